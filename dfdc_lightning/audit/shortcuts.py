"""Can FAKE be told from REAL without looking at a face? A small classifier on facts of the file and light.

Boosted stumps (Friedman, 2001: logistic loss, one Newton step per leaf) see the container (size, rate,
length, bytes, keyframes, codec) and how the face is lit, how sharp and how large it is. They are trained and
tested on different groups. An AUROC clearly above 0.5 means that a detector may learn the data set's making
instead of forgery. One clearly below 0.5 means no shortcut: where a fact is spread evenly over both labels,
as in rendered data, what is more frequent among FAKE in four folds is rarer in the fifth.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from dfdc_lightning.faces.cache import FAKE, REAL, Row
from dfdc_lightning.faces.split import order
from dfdc_lightning.results.ranking import Ranking

CONTAINER = (
    "pixels",
    "shape",
    "fps",
    "seconds",
    "n_frames",
    "bits_per_second",
    "bits_per_pixel",
    "keyframe_every",
    "codec",
)
LOOK = ("face_pixels", "sharpness", "brightness")
LEVEL = 0.99  # intervals over groups miss what training varies: at 0.95, 7 % of clean worlds were accused
_FOLDS = 5
_BINS = 32
_ROUNDS, _RATE, _PENALTY = 60, 0.2, 5.0
_RESAMPLES, _AT_ONCE = 1000, 50  # memory is that of those at once
_LEAST = 20  # groups, and videos of each label, below which nothing is measured


class MeasuredAuroc(NamedTuple):
    """An AUROC over videos with its interval over groups."""

    auroc: float
    low: float
    high: float


def shortcuts(rows: Sequence[Row], looks: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Measure what facts alone tell of the label; the form is that of `shortcuts` in check.json.

    Args:
        rows: Used videos of both labels.
        looks: For each video the values of `LOOK`.
    """
    label = np.array([row.label == FAKE for row in rows], bool)
    group = np.unique([row.group for row in rows], return_inverse=True)[1] if rows else np.zeros(0, np.int64)
    n = {REAL: int((~label).sum()), FAKE: int(label.sum())}
    groups = len(set(group.tolist()))
    if min(groups, *n.values()) < _LEAST:
        reason = (
            f"{groups} groups, {n[REAL]} REAL and {n[FAKE]} FAKE are too few: {_LEAST} of each are needed"
        )
        return {"reason": reason}
    table = facts_table(rows, looks)
    fold = np.array([order(0, row.group)[0] % _FOLDS for row in rows])
    whole = judged(table, label, group, fold)
    families = {"container": CONTAINER, "look": LOOK}
    return {
        **whole._asdict(),
        "level": LEVEL,
        "found": whole.low > 0.5,
        "real": n[REAL],
        "fake": n[FAKE],
        "groups": groups,
        "families": {
            name: judged({key: table[key] for key in keys}, label, group, fold)._asdict()
            for name, keys in families.items()
        },
        "facts": [
            {"name": name, "auroc": round(_one_sided(values, label), 4)}
            for name, values in sorted(table.items(), key=lambda item: -_one_sided(item[1], label))
        ],
    }


def facts_table(
    rows: Sequence[Row], looks: Mapping[str, Mapping[str, float]]
) -> dict[str, Float64[np.ndarray, " v"]]:
    """Collect the facts by name, one value per video; what is not known is 0 for all that lack it."""

    def column(name: str) -> Float64[np.ndarray, " v"]:
        return np.array([float(getattr(row, name)) for row in rows])

    width, height, seconds = column("width"), column("height"), column("seconds")
    pixels, rate = width * height, 8 * column("bytes") / np.maximum(seconds, 1e-3)
    values = {
        "pixels": pixels,
        "shape": width / np.maximum(height, 1),
        "fps": np.round(column("fps"), 2),
        "seconds": np.round(seconds, 2),
        "n_frames": column("n_frames"),
        "bits_per_second": rate,
        "bits_per_pixel": rate / np.maximum(pixels * column("fps"), 1),
        "keyframe_every": column("n_frames") / np.maximum(column("keyframes"), 1) * (column("keyframes") > 0),
        "codec": np.array([float(zlib.crc32(row.codec.encode()) % 997) for row in rows]),
    }
    return values | {name: np.array([looks[row.video][name] for row in rows]) for name in LOOK}


def judged(
    table: Mapping[str, Float64[np.ndarray, " v"]],
    label: Bool[np.ndarray, " v"],
    group: Int64[np.ndarray, " v"],
    fold: Int64[np.ndarray, " v"],
) -> MeasuredAuroc:
    """Train on four folds, score the fifth, and measure all scores together.

    Args:
        table: The facts.
        label: True for FAKE.
        group: Which group a video belongs to; intervals resample groups.
        fold: Which fold its group is in.
    """
    bins = np.stack([_binned(values) for values in table.values()])
    score = np.zeros(len(label))
    for number in np.unique(fold):
        test = fold == number
        if label[~test].all() or not label[~test].any():
            continue
        score[test] = _boosted(bins[:, ~test], label[~test], bins[:, test])
    n_groups = int(group.max()) + 1
    rng, share = np.random.default_rng(0), np.full(n_groups, 1 / n_groups)
    ranking = Ranking(score, label, group, 0.0)
    auroc = float(ranking.measure(np.ones((1, n_groups), np.int32))["auroc"][0])
    with np.errstate(invalid="ignore", divide="ignore"):
        resampled = np.concatenate(
            [
                ranking.measure(rng.multinomial(n_groups, share, _AT_ONCE).astype(np.int32))["auroc"]
                for _ in range(_RESAMPLES // _AT_ONCE)
            ]
        )
    low, high = np.nanquantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return MeasuredAuroc(round(auroc, 4), round(float(low), 4), round(float(high), 4))


def _binned(values: Float64[np.ndarray, " v"]) -> UInt8[np.ndarray, " v"]:
    """Number the values in bins that hold equally many, equal values together."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1], method="nearest"))
    return np.searchsorted(edges, values, "right").astype(np.uint8)


def _boosted(
    bins: UInt8[np.ndarray, "f n"], label: Bool[np.ndarray, " n"], other: UInt8[np.ndarray, "f m"]
) -> Float64[np.ndarray, " m"]:
    """Fit stumps one after another to the gradient of the log-loss; return the score of other videos."""
    n_facts = len(bins)
    cell = (bins + np.arange(n_facts)[:, None] * _BINS).ravel()
    score, result = np.zeros(bins.shape[1]), np.zeros(other.shape[1])
    # Both labels weigh the same: 0 is where nothing is known, in every fold.
    weight = np.where(label, 0.5 / label.mean(), 0.5 / (1 - label.mean()))
    for _ in range(_ROUNDS):
        probability = 1 / (1 + np.exp(-score))
        gradient, curvature = weight * (label - probability), weight * probability * (1 - probability)
        left = [
            np.bincount(cell, np.tile(values, n_facts), n_facts * _BINS)
            .reshape(n_facts, _BINS)
            .cumsum(axis=1)
            for values in (gradient, curvature)
        ]
        right = [values[:, -1:] - values for values in left]
        gain = left[0] ** 2 / (left[1] + _PENALTY) + right[0] ** 2 / (right[1] + _PENALTY)
        fact, place = np.unravel_index(int(gain.argmax()), gain.shape)
        steps = [_RATE * side[0][fact, place] / (side[1][fact, place] + _PENALTY) for side in (left, right)]
        score += np.where(bins[fact] <= place, *steps)
        result += np.where(other[fact] <= place, *steps)
    return result


def _one_sided(values: Float64[np.ndarray, " v"], label: Bool[np.ndarray, " v"]) -> float:
    """Measure the AUROC of one fact alone, turned so that it is at least 0.5."""
    everyone = np.zeros(len(values), np.int64)
    auroc = float(Ranking(values, label, everyone, 0.0).measure(np.ones((1, 1), np.int32))["auroc"][0])
    return max(auroc, 1 - auroc)
