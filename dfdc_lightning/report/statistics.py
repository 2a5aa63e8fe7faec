"""Resamples of the test videos by source group, and Holm's correction for many comparisons."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from dfdc_lightning.results.ranking import MEASURES, Ranking

_CELLS = (
    400_000  # counts held at a time: small enough for the processor's cache, large enough to amortise Python
)


class Clusters(NamedTuple):
    """Which videos are drawn together, and among which others.

    A cluster is a source group (a REAL video and what was made from it). The strata are three kinds of
    cluster: with REAL videos only, with FAKE only and with both. A resample keeps the number of clusters of
    each kind, so it holds both labels, but not the number of videos of a label where clusters differ in size;
    `Ranking` weights the labels back to their shares. Where every video is a cluster, this is stratification
    by label.
    """

    of_video: Int64[np.ndarray, " v"]
    strata: list[Int64[np.ndarray, " _"]]
    holding_real: int
    holding_fake: int

    @property
    def n(self) -> int:
        """How many clusters there are."""
        return sum(len(stratum) for stratum in self.strata)

    @property
    def smaller(self) -> int:
        """How many clusters hold the rarer label: so many independent videos an interval rests on."""
        return min(self.holding_real, self.holding_fake)


def clusters(label: Bool[np.ndarray, " v"], group: Sequence[str]) -> Clusters:
    """Group videos by source, and the clusters by the labels they hold."""
    _, index = np.unique(np.asarray(group), return_inverse=True)
    fakes = np.bincount(index, weights=label)
    kind = np.where(fakes == 0, 0, np.where(fakes == np.bincount(index), 1, 2))
    strata = [np.flatnonzero(kind == k) for k in range(3) if (kind == k).any()]
    return Clusters(index, strata, int((kind != 1).sum()), int((kind != 0).sum()))


def resamples(design: Clusters, n: int, seed: int, rows: int) -> Iterator[Int32[np.ndarray, "b c"]]:
    """Draw clusters with replacement within strata, `n` times, in batches of `rows`.

    Each stratum has its own stream, so the draws do not depend on `rows`.
    """
    streams = [np.random.default_rng([seed, k]) for k in range(len(design.strata))]
    for start in range(0, n, rows):
        b = min(rows, n - start)
        counts = np.zeros((b, design.n), np.int32)
        for stream, stratum in zip(streams, design.strata, strict=True):
            size = len(stratum)
            drawn = stream.integers(0, size, size=(b, size), dtype=np.uint32).astype(np.int64)
            drawn += np.arange(0, b * size, size)[:, None]
            counts[:, stratum] = np.bincount(drawn.ravel(), minlength=b * size).reshape(b, size)
        yield counts


def bootstrap(
    rankings: Sequence[Ranking], design: Clusters, n: int = 10_000, seed: int = 0
) -> dict[str, Float64[np.ndarray, "r n"]]:
    """Measure every run on the same `n` resamples, each of MEASURES by name; so differences are paired.

    Args:
        rankings: One for each run, over the same videos and clusters.
        design: What is drawn together and among which others.
        n: Number of resamples.
        seed: The same seed and design give the same resamples.
    """
    samples = {name: np.empty((len(rankings), n)) for name in MEASURES}
    start = 0
    for counts in resamples(design, n, seed, rows=max(1, _CELLS // len(design.of_video))):
        stop = start + len(counts)
        for run, ranking in enumerate(rankings):
            for name, values in ranking.measure(counts).items():
                samples[name][run, start:stop] = values
        start = stop
    return samples


class Interval(NamedTuple):
    """Lower and upper end."""

    low: float
    high: float


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that the chance of even one false finding stays at the level chosen (Holm, 1979)."""
    order = np.argsort(p_values, kind="stable")
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = running
    return adjusted
