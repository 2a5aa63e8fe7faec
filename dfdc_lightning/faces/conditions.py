"""In which conditions a detector gets its faces: size, sharpness, brightness."""

from collections.abc import Sequence

import cv2
import numpy as np

from dfdc_lightning.faces.cache import FaceCache, FaceClip

NAMES = ("face_pixels", "sharpness", "brightness")
_MOST = 200  # clips that are measured: enough for a percentile
_PERCENTILES = (1.0, 99.0)

Range = list[float]


def measure(clip: FaceClip) -> dict[str, float]:
    """Measure one clip: the median over its frames, by name.

    `face_pixels` is the side of the crop in the source video, `sharpness` the variance of the Laplacian
    (Pech-Pacheco et al., 2000) of the crop as the detector gets it, `brightness` its mean grey value (0 to
    255).
    """
    greys = [
        cv2.cvtColor(np.ascontiguousarray(face.transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY) for face in clip.faces
    ]
    values = (
        clip.boxes[:, 2] - clip.boxes[:, 0],
        [cv2.Laplacian(grey, cv2.CV_32F).var() for grey in greys],
        [grey.mean() for grey in greys],
    )
    return {name: float(np.median(value)) for name, value in zip(NAMES, values, strict=True)}


def conditions(cache: FaceCache, videos: Sequence[str]) -> dict[str, Range]:
    """Find the range in which nearly all of these clips lie, by name.

    Args:
        cache: Where the clips lie.
        videos: Training videos; of many, evenly spaced ones are measured.

    Returns:
        The 1st and the 99th percentile of each value of `measure`.
    """
    chosen = np.unique(np.linspace(0, len(videos) - 1, min(len(videos), _MOST)).round().astype(int))
    measured = [measure(cache.read_clip(videos[index])) for index in chosen]
    return {
        name: [round(float(np.percentile([values[name] for values in measured], p)), 4) for p in _PERCENTILES]
        for name in NAMES
    }
