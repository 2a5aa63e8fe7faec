"""Warns of what makes a verdict unsure: few or small faces, blur, and what is unlike the training faces."""

from collections.abc import Mapping, Sequence

from dfdc_lightning.faces.cache import FaceClip
from dfdc_lightning.faces.conditions import measure

_FEW = 0.5  # share of frames with a face below which the rest is guessed
_ENLARGED = 2.0  # times a face may be enlarged before little of it is real detail

_OUTSIDE = {  # in words: below the range, above it
    "face_pixels": ("smaller", "larger"),
    "sharpness": ("more blurred", "sharper or noisier"),
    "brightness": ("darker", "brighter"),
}
_UNITS = {"face_pixels": " pixels", "sharpness": "", "brightness": " of 255"}


def warnings(clip: FaceClip, conditions: Mapping[str, Sequence[float]]) -> list[str]:
    """Write sentences on one person's clip; none where nothing is unusual.

    Args:
        clip: The person's faces.
        conditions: Ranges of the training clips, see `faces/conditions.py`; empty where nobody recorded them.
    """
    found, t, size = int(clip.found.sum()), len(clip.found), clip.faces.shape[-1]
    measured = measure(clip)
    sentences = []
    if found < _FEW * t:
        sentences.append(f"the face was found in {found} of {t} frames only, the other crops are guessed")
    if measured["face_pixels"] * _ENLARGED < size:
        pixels = measured["face_pixels"]
        sentences.append(
            f"the face is small: {pixels:.0f} pixels, enlarged to the {size} that the model sees"
        )
    for name, (low, high) in conditions.items():
        value, (below, above) = measured[name], _OUTSIDE[name]
        if not low <= value <= high:
            unit, words = _UNITS[name], below if value < low else above
            sentences.append(
                f"outside the training conditions: the face is {words} than nearly all training faces "
                f"({value:.1f}{unit}; {low:.1f} to {high:.1f})"
            )
    if not conditions:
        sentences.append(
            "the training conditions were not recorded, so nobody can tell whether this video is like them"
        )
    return sentences
