"""What one run's scores are worth: AUROC, accuracy, F1, EER and what else follows from scores and labels.

Conventions: FAKE = 1; a video is called FAKE when its score is *above* the threshold; F1 is
that of FAKE; the EER is the mean of false-positive and false-negative rate at the ROC point where the two
are closest (the point with the higher threshold, should two be equally close) — the definition torchmetrics
uses.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Integer

from dfdc_lightning.results.ranking import MEASURES, Ranking

NAMES = {"auroc": "AUROC", "accuracy": "Accuracy", "f1": "F1", "eer": "EER"}
LOWER_IS_BETTER = ("eer",)


def measure(
    score: Float64[np.ndarray, " v"], label: Bool[np.ndarray, " v"], threshold: float
) -> dict[str, float]:
    """Compute each of MEASURES, by name, for one set of scores."""
    everyone = np.zeros(len(score), np.int64)
    values = Ranking(score, label, everyone, threshold).measure(np.ones((1, 1), np.int32))
    return {name: float(values[name][0]) for name in MEASURES}


class Curve(NamedTuple):
    """ROC points from the highest threshold down; at a point, scores of at least `threshold` are FAKE."""

    fpr: Float64[np.ndarray, " k"]
    tpr: Float64[np.ndarray, " k"]
    threshold: Float64[np.ndarray, " k"]

    def thinned(self, most: int) -> "Curve":
        """Keep at most so many points, the first and the last among them: more only make a drawing large."""
        if len(self.fpr) <= most:
            return self
        kept = np.unique(np.linspace(0, len(self.fpr) - 1, most).round().astype(int))
        return Curve(self.fpr[kept], self.tpr[kept], self.threshold[kept])


def roc(score: Float64[np.ndarray, " v"], label: Bool[np.ndarray, " v"]) -> Curve:
    """Compute the ROC curve: (0, 0), then one point for each distinct score."""
    points = np.append(np.unique(score), np.inf)[::-1]
    real, fake = np.sort(score[~label]), np.sort(score[label])
    fpr = 1 - np.searchsorted(real, points, "left") / len(real)
    tpr = 1 - np.searchsorted(fake, points, "left") / len(fake)
    return Curve(fpr, tpr, points)


def youden_threshold(curve: Curve) -> float:
    """Find the threshold with the largest TPR − FPR (Youden's J), the highest one of several."""
    return _between(curve, int(np.argmax(curve.tpr - curve.fpr)))


def eer_threshold(curve: Curve) -> float:
    """Find the threshold at which false-positive and false-negative rate are closest."""
    return _between(curve, int(np.argmin(np.abs(curve.fpr - (1 - curve.tpr)))))


def tpr_at(curve: Curve, fpr: float) -> float:
    """Find the highest true-positive rate whose false-positive rate is at most `fpr`, not interpolated."""
    return float(curve.tpr[curve.fpr <= fpr + 1e-12].max())


class Confusion(NamedTuple):
    """Videos by label and verdict."""

    real_right: int
    real_wrong: int
    fake_right: int
    fake_wrong: int


def confusion(score: Float64[np.ndarray, " v"], label: Bool[np.ndarray, " v"], threshold: float) -> Confusion:
    """Count right and wrong verdicts of each label at a threshold."""
    fake = score > threshold
    return Confusion(
        int((~fake & ~label).sum()),
        int((fake & ~label).sum()),
        int((fake & label).sum()),
        int((~fake & label).sum()),
    )


class Reliability(NamedTuple):
    """Bins of equal width: mean score, share of FAKE, number of videos; NaN where a bin is empty."""

    score: Float64[np.ndarray, " k"]
    fake: Float64[np.ndarray, " k"]
    n: Integer[np.ndarray, " k"]


def reliability(
    score: Float64[np.ndarray, " v"], label: Bool[np.ndarray, " v"], bins: int = 10
) -> Reliability:
    """Measure how often videos of a score are FAKE."""
    index = np.minimum((score * bins).astype(np.int64), bins - 1)
    count = np.bincount(index, minlength=bins)
    filled = np.where(count > 0, count, np.nan)
    return Reliability(
        np.bincount(index, score, bins) / filled,
        np.bincount(index, label.astype(float), bins) / filled,
        count,
    )


def calibration_error(bins: Reliability) -> float:
    """Average |mean score − share of FAKE| over the bins, weighted by videos (ECE; Naeini et al., 2015)."""
    gap = np.abs(np.nan_to_num(bins.score) - np.nan_to_num(bins.fake))
    return float((gap * bins.n).sum() / bins.n.sum())


def brier(score: Float64[np.ndarray, " v"], label: Bool[np.ndarray, " v"]) -> float:
    """Average the squared distance of score and label (Brier, 1950)."""
    return float(((score - label) ** 2).mean())


def log_loss(score: Float64[np.ndarray, " v"], label: Bool[np.ndarray, " v"], least: float = 1e-7) -> float:
    """Average the negative log-likelihood; scores are kept `least` away from 0 and 1, so it stays finite."""
    kept = np.clip(score, least, 1 - least)
    return float(-np.log(np.where(label, kept, 1 - kept)).mean())


def _between(curve: Curve, point: int) -> float:
    """Lower a threshold half-way to the next score, so that `score > threshold` says what the point says."""
    here = min(curve.threshold[point], 1.0)
    below = curve.threshold[point + 1] if point + 1 < len(curve.threshold) else min(here, 0.0)
    return float((here + below) / 2)
