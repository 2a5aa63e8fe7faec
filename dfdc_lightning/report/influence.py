"""What each source group contributes to AUROC and to shares: their variance over videos without resampling.

The contribution of a group is the sum of its videos' placement values less their mean (AUROC: DeLong et al.,
1988; by group: Obuchowski, 1997). Inner products of two runs' contributions are the covariance of their
values, as those of bootstrap values are, at a thousandth of the cost.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dfdc_lightning.report.inference import Measured


def share(
    values: Float64[np.ndarray, " v"], mask: Bool[np.ndarray, " v"], group: Int64[np.ndarray, " v"]
) -> Measured:
    """Average the masked videos' values, and tell what each group contributes.

    Args:
        values: One per video, e.g. 1 where the verdict is wrong.
        mask: The videos that count.
        group: Number of each video's source group, from 0.
    """
    mean = float(values[mask].mean())
    moved = np.where(mask, values - mean, 0.0) / mask.sum()
    return Measured(mean, _by_group(moved, group, mask))


def auroc(
    score: Float64[np.ndarray, " v"],
    label: Bool[np.ndarray, " v"],
    mask: Bool[np.ndarray, " v"],
    group: Int64[np.ndarray, " v"],
) -> Measured:
    """Compute the AUROC of the masked videos, which hold both labels, and what each group contributes."""
    real, fake = mask & ~label, mask & label
    reals, fakes = np.sort(score[real]), np.sort(score[fake])
    place = np.zeros(len(score))
    place[fake] = _midranks(reals, score[fake]) / len(reals)
    place[real] = 1 - _midranks(fakes, score[real]) / len(fakes)
    value = float(place[fake].mean())
    sizes = np.where(label, fake.sum(), real.sum())
    moved = np.where(mask, place - value, 0.0) / sizes
    return Measured(value, _by_group(moved, group, mask))


def _midranks(
    ordered: Float64[np.ndarray, " k"], values: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Count how many of `ordered` lie below each value, those equal to it half."""
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(below / 2.0)


def _by_group(
    moved: Float64[np.ndarray, " v"], group: Int64[np.ndarray, " v"], mask: Bool[np.ndarray, " v"]
) -> Float64[np.ndarray, " g"]:
    n = len(np.unique(group[mask]))
    return np.asarray(np.bincount(group, moved) * np.sqrt(n / max(1, n - 1)))
