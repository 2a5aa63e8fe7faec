"""The test videos that a run judged worst, and their faces."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache
from dfdc_lightning.results.predictions import Scores


class Judged(NamedTuple):
    """One test video and its score; `error` is the score's distance from the label: 0 right, 1 wrong."""

    video: str
    label: str
    score: float
    error: float


def worst(test: Scores, n: int) -> list[Judged]:
    """Return the n videos whose scores are furthest from their labels, worst first."""
    labels = [FAKE if fake else REAL for fake in test.label]
    errors = np.abs(test.score - test.label).tolist()
    judged = list(map(Judged, test.video, labels, test.score.tolist(), errors))
    return sorted(judged, key=lambda item: (-item.error, item.video))[:n]


def face_strip(cache: FaceCache, video: str, height: int = 96) -> UInt8[np.ndarray, "h w 3"]:
    """Put a clip's faces side by side, RGB.

    Args:
        cache: Where the clip lies.
        video: Its name.
        height: Of the strip, in pixels.
    """
    faces = cache.read_clip(video).faces.transpose(0, 2, 3, 1)
    smaller = [cv2.resize(face, (height, height), interpolation=cv2.INTER_AREA) for face in faces]
    return np.concatenate(smaller, axis=1)
