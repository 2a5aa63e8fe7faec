"""The level that windows of a REAL video exceed by chance no more often than stated.

Persons and rooms make scores differ far more than the seconds of one video do, so a window is compared with
the other windows of the same person, on the logit scale: its distance above their median, in units of their
spread. A short swap raises only few of them. The spread is measured below the median, where no swap
reaches, and held together with that of REAL validation videos, as a few windows may agree by chance; it
counts as `_PRIOR` of them. Windows overlap by half, so every other one counts. The level is Student's
quantile for as many degrees of freedom, at the rate of one window in ten minutes.
"""

import math
from collections.abc import Sequence

import numpy as np

from dfdc_lightning.results.predictions import Scores

PERIOD = 600.0  # seconds of REAL video in which one window exceeds the level by chance
_PRIOR = 5
_FEWEST = 8  # windows of a person below which there is nothing to compare with
_VIDEOS = 5  # validation videos that tell the spread
_CLIP = 1e-6


def logits(scores: Sequence[float]) -> np.ndarray:
    """Turn scores into logits."""
    kept = np.clip(np.asarray(scores, np.float64), _CLIP, 1 - _CLIP)
    return np.asarray(np.log(kept / (1 - kept)))


def spread_within(val: Scores | None) -> float | None:
    """Measure how much the mean logit of a REAL validation video varies with the choice of its frames.

    Returns:
        The median over videos of the standard deviation of frame logits, over the root of their number; None
        where the model scores no frames or too few videos are there.
    """
    if val is None or val.frames is None or val.frames.shape[1] < 2:
        return None
    frames = logits(val.frames[~val.label].ravel().tolist()).reshape(-1, val.frames.shape[1])
    if len(frames) < _VIDEOS:
        return None
    spread = float(np.median(frames.std(axis=1, ddof=1)) / math.sqrt(frames.shape[1]))
    return spread if spread > 0 else None


def level(scores: Sequence[float], hop: float, prior: float | None) -> float | None:
    """Find the score that chance exceeds once in `PERIOD` seconds.

    Args:
        scores: Of the windows of one person, in time order, each overlapping half of the next.
        hop: Seconds from one window to the next.
        prior: From `spread_within`.

    Returns:
        None where there are too few windows.
    """
    from scipy.special import stdtrit  # half a second that only a scan has to wait

    if len(scores) < _FEWEST:
        return None
    values = logits(scores)
    middle = float(np.median(values))
    below = values[values <= middle]
    freedom = len(values) / 4  # half of every other window
    squares = float(((below - middle) ** 2).mean()) * freedom
    if prior is not None:
        squares, freedom = squares + _PRIOR * prior**2, freedom + _PRIOR
    quantile = float(stdtrit(freedom, 1 - min(hop / PERIOD, 0.25)))
    return float(1 / (1 + np.exp(-(middle + quantile * math.sqrt(squares / freedom)))))
