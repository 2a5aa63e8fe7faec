"""How many seeds and videos would be enough: power of the joint test from the variances of a pilot.

With S seeds and k times the pilot's videos, the variance over seeds is σ² + ε / k, where ε is what a seed's
own hard videos add, and the videos' common part is common / k (Obuchowski and Rockette, 1995). The test's
power follows from drawing these variances as a study would estimate them and asking `inference.half_width`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from dfdc_lightning.report.evidence import Comparison, Evidence
from dfdc_lightning.report.inference import Measured, Variances, half_width, variances
from dfdc_lightning.report.table import Table, percent, rate

POWER = 0.8
_DRAWS = 4000
_MOST_SEEDS, _MOST_TIMES = 200, 1000.0
_SMALLEST_VARIANCE = 1e-12
_SEEDS, _TIMES = (3, 5, 10, 20), (1, 2, 4)
_NOT_ALONE = "not enough alone"


class Parts(NamedTuple):
    """Variances of a pilot's comparison: over seeds proper and of seeds by videos (one per side), common."""

    seeds: Float64[np.ndarray, " 2"]
    own: Float64[np.ndarray, " 2"]
    common: float
    groups: int


def parts(first: list[Measured], second: list[Measured], groups: int) -> Parts:
    """Take the variance of a pilot apart; what is estimated below zero counts as zero.

    Args:
        first: Two or more seeds of one method.
        second: Two or more seeds of the other, on the same videos and resamples.
        groups: `Clusters.smaller`.
    """
    spread = np.array([run.spread for run in [*first, *second]])
    covariance = spread @ spread.T
    values = [np.array([run.value for run in side]) for side in (first, second)]
    found = variances(values, covariance, groups)
    own = []
    for part in (slice(0, len(first)), slice(len(first), None)):
        block = covariance[part, part]
        n = len(block)
        own.append(np.trace(block) / n - (block.sum() - np.trace(block)) / (n * (n - 1)))
    over_seeds = np.array([side.var(ddof=1) for side in values])
    own_part = np.minimum(np.maximum(own, 0), over_seeds)
    return Parts(over_seeds - own_part, own_part, float(found.common), groups)


def power(pilot: Parts, seeds: int, times: float, delta: float, level: float = 0.05) -> float:
    """Compute the chance that the joint test calls a true difference clear.

    Args:
        pilot: Variances of the pilot.
        seeds: Seeds per method.
        times: Videos, as a multiple of the pilot's.
        delta: The true difference.
        level: Of the test.
    """
    rng = np.random.default_rng(0)  # the same draws for every question, so that power grows with size
    groups = max(2, round(pilot.groups * times))
    over_seeds = pilot.seeds + pilot.own / times
    common = pilot.common / times
    drawn = [
        variance / seeds * rng.chisquare(seeds - 1, _DRAWS) / (seeds - 1) + _SMALLEST_VARIANCE
        for variance in over_seeds
    ]
    estimated = common * rng.chisquare(groups - 1, _DRAWS) / (groups - 1)
    videos = estimated + (pilot.own / times / seeds).sum()
    half = half_width(Variances(drawn, [seeds - 1] * 2, estimated, videos, groups), level)
    gap = delta + np.sqrt(over_seeds.sum() / seeds + common) * rng.standard_normal(_DRAWS)
    return float((gap > half).mean())


class Enough(NamedTuple):
    """What would detect the difference; None where no number of them alone is enough."""

    power: float
    seeds: int | None
    times: float | None


def enough(pilot: Parts, seeds: int, delta: float, wanted: float = POWER) -> Enough:
    """Find the power at this size, the seeds needed with these videos, the videos needed with these seeds."""
    return Enough(
        power(pilot, seeds, 1.0, delta),
        _smallest_whole(lambda n: power(pilot, n, 1.0, delta) >= wanted),
        _smallest(lambda times: power(pilot, seeds, times, delta) >= wanted, 15 / pilot.groups),
    )


def sample_sizes(evidence: Evidence) -> Table:
    """Tabulate how many seeds or videos would detect a difference of `evidence.delta`, by comparison."""
    rows = []
    for c in _with_variances(evidence):
        seeds, videos = _size(c)
        pilot = _parts_of(c)
        found, doubled = enough(pilot, seeds, evidence.delta), enough(pilot, 2 * seeds, evidence.delta)
        needed = [_NOT_ALONE if found.seeds is None else str(found.seeds)]
        for times in (found.times, doubled.times):
            needed.append(_NOT_ALONE if times is None else f"{_two_digits(times * videos):,}")
        rows.append(
            [c.experiment.label, c.reference.label, str(seeds), f"{videos:,}", rate(found.power), *needed]
        )
    columns = ["experiment", "compared with", "seeds", "test videos", f"power for Δ = {evidence.delta:g}"]
    columns += ["seeds needed with these videos", "videos needed with these seeds"]
    columns.append("videos needed with twice the seeds")
    caption = (
        f"A true AUROC difference of {evidence.delta:g} is called clear with a power of {percent(POWER)} by "
        "so many seeds per experiment or test videos, for one comparison at 5 % (Holm's correction for "
        "several needs more). Computed from this study's variances, which few seeds estimate roughly. More "
        f"than {_MOST_SEEDS} seeds or {_MOST_TIMES:,.0f} times the videos: not enough alone."
    )
    return Table("enough", "How much would be enough?", caption, columns, rows)


def powers(evidence: Evidence) -> Table:
    """Tabulate the power of studies of several sizes, by comparison."""
    rows = []
    for c in _with_variances(evidence):
        pilot, videos = _parts_of(c), _size(c)[1]
        for times in _TIMES:
            found = [rate(power(pilot, seeds, times, evidence.delta)) for seeds in _SEEDS]
            rows.append([c.experiment.label, c.reference.label, f"{times * videos:,}", *found])
    columns = ["experiment", "compared with", "test videos", *(f"{seeds} seeds" for seeds in _SEEDS)]
    caption = f"Power for a true AUROC difference of {evidence.delta:g}, for one comparison at 5 %."
    return Table("powers", "Power of other sizes", caption, columns, rows)


def _with_variances(evidence: Evidence) -> list[Comparison]:
    return [c for c in evidence.comparisons if c.auroc.interval is not None]


def _size(c: Comparison) -> tuple[int, int]:
    """Count the seeds of the side that has fewer, and the test videos."""
    return min(len(c.experiment.runs), len(c.reference.runs)), len(c.experiment.design.of_video)


def _parts_of(c: Comparison) -> Parts:
    first, second = ([run.measured["auroc"] for run in side.runs] for side in (c.experiment, c.reference))
    return parts(first, second, c.experiment.design.smaller)


def _smallest_whole(passes: Callable[[int], bool]) -> int | None:
    if not passes(_MOST_SEEDS):
        return None
    low, high = 1, _MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


def _smallest(passes: Callable[[float], bool], least: float) -> float | None:
    if not passes(_MOST_TIMES):
        return None
    low, high = np.log(min(least, 1.0)), np.log(_MOST_TIMES)
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if passes(float(np.exp(middle))) else (middle, high)
    return float(np.exp(high))


def _two_digits(value: float) -> int:
    """Round up to two digits: more would say more than is known."""
    unit = 10 ** max(0, int(np.floor(np.log10(max(value, 1)))) - 1)
    return int(np.ceil(value / unit) * unit)
