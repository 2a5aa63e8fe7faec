"""Warns of what makes a verdict unsure: few or small faces, and videos of which only a part is sound."""

import numpy as np

from dfdc_lightning.faces.cache import FaceClip

_FEW = 0.5  # share of frames with a face below which the rest is guessed
_ENLARGED = 2.0  # times a face may be enlarged before little of it is real detail


def warnings(clip: FaceClip) -> list[str]:
    """Write sentences on one person's clip; none where nothing is unusual."""
    found, t, size = int(clip.found.sum()), len(clip.found), clip.faces.shape[-1]
    pixels = float(np.median(clip.boxes[:, 2] - clip.boxes[:, 0]))
    sentences = []
    if found < _FEW * t:
        sentences.append(f"the face was found in {found} of {t} frames only, the other crops are guessed")
    if pixels * _ENLARGED < size:
        sentences.append(
            f"the face is small: {pixels:.0f} pixels, enlarged to the {size} that the model sees"
        )
    return sentences
