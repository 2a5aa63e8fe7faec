"""What a tested run has to show beside its metrics: confusion, ROC curve, the videos it judged worst."""

import csv
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int64, UInt8

from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache

_ROC_POINTS = 200  # more cannot be told apart in a chart


class Judged(NamedTuple):
    """One test video and its score."""

    video: str
    label: str
    score: float

    @property
    def error(self) -> float:
        """Distance of the score from the label: 0 right, 1 utterly wrong."""
        return abs(self.score - (self.label == FAKE))


def judged_test_videos(predictions: Path) -> list[Judged]:
    """The test videos of a predictions.csv.

    Args:
        predictions: The file.
    """
    with predictions.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    return [Judged(row["video"], row["label"], float(row["score"])) for row in rows]


def worst(judged: list[Judged], n: int) -> list[Judged]:
    """The n videos whose scores are furthest from their labels, worst first."""
    return sorted(judged, key=lambda item: (-item.error, item.video))[:n]


def confusion(judged: list[Judged], threshold: float) -> list[tuple[str, str, int]]:
    """Counts by true and by given label; a score above the threshold means FAKE."""
    given = [(item.label, FAKE if item.score > threshold else REAL) for item in judged]
    return [(true, called, given.count((true, called))) for true in (REAL, FAKE) for called in (REAL, FAKE)]


def roc(judged: list[Judged]) -> list[tuple[float, float]]:
    """False and true positive rate at every threshold, thinned for a chart; ties move together."""
    scores: Float[np.ndarray, " n"] = np.array([item.score for item in judged])
    fake = np.array([item.label == FAKE for item in judged])
    order = np.argsort(-scores, kind="stable")
    last_of_ties: Int64[np.ndarray, " m"] = np.r_[np.flatnonzero(np.diff(scores[order])), len(order) - 1]
    true = np.r_[0, np.cumsum(fake[order])[last_of_ties]] / max(fake.sum(), 1)
    false = np.r_[0, np.cumsum(~fake[order])[last_of_ties]] / max((~fake).sum(), 1)
    shown = np.unique(np.linspace(0, len(true) - 1, min(_ROC_POINTS, len(true))).round().astype(int))
    return [(float(x), float(y)) for x, y in zip(false[shown], true[shown], strict=True)]


def face_strip(cache: FaceCache, video: str, height: int = 96) -> UInt8[np.ndarray, "h w 3"]:
    """A clip's faces side by side, RGB.

    Args:
        cache: Where the clip lies.
        video: Its name.
        height: Of the strip, in pixels.
    """
    faces = cache.read_clip(video).faces.transpose(0, 2, 3, 1)
    smaller = [cv2.resize(face, (height, height), interpolation=cv2.INTER_AREA) for face in faces]
    return np.concatenate(smaller, axis=1)
