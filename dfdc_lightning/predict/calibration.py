"""Learns from a run's validation scores where to cut scores and how far they are probabilities."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from dfdc_lightning.results.measures import log_loss, roc, youden_threshold
from dfdc_lightning.results.predictions import Scores

LEAST = 20  # validation videos of each label below which a temperature would be a guess
_SHARPNESS = (0.05, 20.0)  # 1 / temperature; at either end nothing has been fitted
_SHIFT = 20.0  # largest shift of a logit that is tried
_SURPRISING = 3.84  # log-likelihood ratio that chance exceeds once in twenty (chi-square, one degree)
_GOLDEN = (5**0.5 - 1) / 2


class Calibration(NamedTuple):
    """A threshold and its source; a temperature, None where scores cannot be probabilities, and why."""

    threshold: float
    threshold_source: str
    temperature: float | None
    reason: str


def calibrate(val: Scores | None, fault: str, given: float) -> Calibration:
    """Choose threshold and temperature on validation scores.

    The threshold is the one with the largest difference of true- and false-positive rate (Youden, 1950); the
    temperature is the one under which the validation labels are likeliest (Guo et al., 2017), on the logit of
    the video's score.

    Args:
        val: Validation scores with both labels, or None.
        fault: Why `val` is None.
        given: The threshold the run was trained with, taken where validation cannot choose one.
    """
    if val is None:
        return Calibration(
            given, f"the run's own setting, as validation cannot choose one: {fault}", None, fault
        )
    n = len(val.video)
    threshold = youden_threshold(roc(val.score, val.label))
    source = f"chosen on {n} validation videos (largest difference of true- and false-positive rate)"
    temperature, reason = fit_temperature(val.score, val.label)
    return Calibration(threshold, source, temperature, reason)


def fit_temperature(
    score: Float64[np.ndarray, " v"], label: Bool[np.ndarray, " v"]
) -> tuple[float | None, str]:
    """Find the likeliest temperature and a sentence on it; None where it cannot be told."""
    fewest = int(min(label.sum(), (~label).sum()))
    if fewest < LEAST:
        return (
            None,
            f"{fewest} validation videos of one label are too few to calibrate on ({LEAST} are needed)",
        )
    sharpness = _lowest(lambda value: log_loss(sharpened(score, value), label), *_SHARPNESS)
    if sharpness > _SHARPNESS[1] - 0.01:
        return (
            None,
            f"the {len(score)} validation videos are told apart without an error, which fits no temperature",
        )
    if sharpness < _SHARPNESS[0] + 0.01:
        return (
            None,
            f"the scores say nothing about the {len(score)} validation videos, which fits no temperature",
        )
    if (side := _misplaced(score, label, sharpness)) is not None:
        return (
            None,
            f"on the {len(score)} validation videos the scores are too {side} as a whole, which no "
            "temperature mends",
        )
    return 1 / sharpness, f"temperature {1 / sharpness:.3g}, fitted on {len(score)} validation videos"


def sharpened(
    score: Float64[np.ndarray, "*v"], sharpness: float, shift: float = 0.0
) -> Float64[np.ndarray, "*v"]:
    """Multiply the logits of scores by `sharpness` (one over the temperature) and move them by `shift`."""
    kept = np.clip(score, 1e-7, 1 - 1e-7)
    return np.asarray(1 / (1 + ((1 - kept) / kept) ** sharpness * np.exp(-shift)), np.float64)


def _misplaced(
    score: Float64[np.ndarray, " v"], label: Bool[np.ndarray, " v"], sharpness: float
) -> str | None:
    """Say "high" or "low" where the labels are clearly likelier with shifted logits (Platt, 1999).

    A temperature leaves a score of 0.5 where it is. Where FAKE and REAL part elsewhere, videos that are all
    REAL would be given a probability above one half.
    """

    def best(shift: float) -> float:
        return _lowest(lambda value: log_loss(sharpened(score, value, shift), label), *_SHARPNESS)

    def loss(shift: float) -> float:
        return log_loss(sharpened(score, best(shift), shift), label)

    shift = _lowest(loss, -_SHIFT, _SHIFT, 1e-2)
    gain = 2 * len(score) * (log_loss(sharpened(score, sharpness), label) - loss(shift))
    return None if gain <= _SURPRISING else "high" if shift < 0 else "low"


def _lowest(loss: Callable[[float], float], low: float, high: float, width: float = 1e-4) -> float:
    """Find where a convex loss is least, by golden section."""
    while high - low > width:
        a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        low, high = (low, b) if loss(a) <= loss(b) else (a, high)
    return (low + high) / 2
