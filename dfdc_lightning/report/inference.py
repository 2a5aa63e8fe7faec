"""Whether methods differ: every number covers the seeds that were trained and the videos that were tested.

Every seed of every method is tested on the same videos, as the readers of a multi-reader study judge the
same cases. A mean over S seeds then varies for three reasons (Obuchowski and Rockette, 1995): the seeds
differ, the videos could have been others, and each seed has its own hard videos. With s² the variance over
seeds, seen on these videos, and the covariance over videos of two seeds of one method (Cov2) and of two
methods (Cov3), the variance of a difference of means is

    SE² = s1²/S1 + s2²/S2 + max(0, Cov2 of the first + Cov2 of the second − 2 Cov3)

s² holds the third reason too, so nothing is counted twice. Seeds belong to one method (seed 0 of two methods
has nothing in common that a test could use), the design "readers nested within test" of Hillis (2007).

Two to five seeds make s² uncertain, and Satterthwaite's degrees of freedom (1946), which Hillis uses, then
call equal methods different in up to 6 % of studies, in 12 % where one method's seeds vary and the other's do
not. So the critical value is that of Cochran and Cox (1950): the mean of Student's quantile for the videos'
part and Welch's for the seeds' part, weighted by the parts of the variance. An interval is never shorter than
the one that the videos alone give. docs/statistics.md has the rates, measured by benchmarks/coverage.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import expit, logit, stdtrit

from dfdc_lightning.report.statistics import Interval, holm

FEWEST_GROUPS = 15
_EXPONENT, _FARTHEST, _HALVINGS = 2 / 3, 36.0, 45  # beyond 36 on the logit scale 1 − AUROC is rounded away
ONE_SEED = "one seed tells nothing about the method's other seeds, so single runs are described"


class Measured(NamedTuple):
    """One measure of one run, and how far each resample of the test videos moved it.

    `spread` is scaled so that the inner product of two runs' is the covariance of their values over videos.
    All runs that meet in one comparison need the same resamples.
    """

    value: float
    spread: Float64[np.ndarray, " n"]


def measured(value: float, samples: Float64[np.ndarray, " n"], groups: int) -> Measured:
    """Scale a measure's bootstrap values to deviations whose products are covariances.

    Args:
        value: The measure on the test videos.
        samples: The measure on each resample (`statistics.bootstrap`).
        groups: `Clusters.smaller`. A bootstrap's variance is too small by (groups − 1) / groups.
    """
    scale = np.sqrt(groups / max(1, groups - 1) / max(1, len(samples) - 1))
    return Measured(value, (samples - samples.mean()) * scale)


@dataclass(frozen=True)
class Estimate:
    """A run's value or a mean over seeds.

    `interval` is None where none can be given, and `reason` says why. Where every test video was separated
    (or called right), `bound` is True: only the inner end of the interval says something ("at least 0.97").
    """

    value: float
    seeds: int
    groups: int
    deviation: float | None = None
    standard_error: float | None = None
    df: float | None = None
    interval: Interval | None = None
    bound: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Difference:
    """First method minus second, of means over seeds; None with a `reason` where no verdict is possible.

    `df` are the degrees of freedom with which `difference` ± t × `standard_error` is `interval`.
    """

    difference: float
    seeds: tuple[int, int]
    groups: int
    standard_error: float | None = None
    df: float | None = None
    p: float | None = None
    p_holm: float | None = None
    interval: Interval | None = None
    confidence: float = 0.95
    reason: str = ""

    @property
    def clear(self) -> bool:
        """Whether the difference is more than chance, all comparisons of the report taken together."""
        p = self.p if self.p_holm is None else self.p_holm
        return p is not None and p < 1 - self.confidence

    @property
    def largest_difference_still_possible(self) -> float | None:
        """The end of the interval that is farther from zero, without its sign."""
        return None if self.interval is None else max(abs(self.interval.low), abs(self.interval.high))


def run_interval(run: Measured, groups: int, confidence: float = 0.95, best: float = 1.0) -> Estimate:
    """Describe one run: its interval covers the choice of videos, not that of the seed.

    Student's t with groups − 1 degrees of freedom; `score_ends` keeps the interval within 0 and 1.

    Args:
        run: Value and spread.
        groups: `Clusters.smaller`.
        confidence: Share of intervals that cover.
        best: The best possible value: 1, or 0 for error rates.
    """
    estimate = Estimate(run.value, 1, groups)
    if groups < FEWEST_GROUPS:
        return replace(estimate, reason=few_groups(groups))
    error = float(np.sqrt(run.spread @ run.spread))
    half = -float(stdtrit(groups - 1, (1 - confidence) / 2)) * error
    estimate = replace(estimate, standard_error=error, df=float(groups - 1))
    return _within_0_and_1(estimate, half, confidence, best)


def mean_interval(
    runs: Sequence[Measured], groups: int, confidence: float = 0.95, best: float = 1.0
) -> Estimate:
    """Average over seeds, with an interval that covers the choice of seeds and of videos.

    Args:
        runs: One for each seed.
        groups: `Clusters.smaller`.
        confidence: Share of intervals that cover.
        best: The best possible value: 1, or 0 for error rates.
    """
    values = np.array([run.value for run in runs])
    estimate = Estimate(float(values.mean()), len(runs), groups)
    if len(runs) < 2:
        return replace(estimate, reason=ONE_SEED)
    estimate = replace(estimate, deviation=float(values.std(ddof=1)))
    if groups < FEWEST_GROUPS:
        return replace(estimate, reason=few_groups(groups))
    half, error = _half(_variances([runs], groups), confidence)
    estimate = replace(estimate, standard_error=error, df=_freedom(half, error, confidence))
    return _within_0_and_1(estimate, half, confidence, best)


def compare(
    first: Sequence[Measured], second: Sequence[Measured], groups: int, confidence: float = 0.95
) -> Difference:
    """Compare two methods by their means over seeds.

    Args:
        first: One for each seed of the first method.
        second: One for each seed of the second, measured on the same videos and resamples.
        groups: `Clusters.smaller`.
        confidence: Share of intervals that cover.
    """
    gap = float(np.mean([run.value for run in first]) - np.mean([run.value for run in second]))
    difference = Difference(gap, (len(first), len(second)), groups, confidence=confidence)
    if min(len(first), len(second)) < 2:
        return replace(difference, reason=ONE_SEED)
    if groups < FEWEST_GROUPS:
        return replace(difference, reason=few_groups(groups))
    variances = _variances([first, second], groups)
    half, error = _half(variances, confidence)
    if error == 0:
        if gap != 0:
            return replace(difference, reason="neither other seeds nor other videos change either value")
        possible = 1 - _worst(groups, confidence)
        return replace(difference, p=1.0, interval=Interval(-possible, possible))
    return _tested(difference, variances, half, error)


def paired(
    first: Sequence[Measured], second: Sequence[Measured], groups: int, confidence: float = 0.95
) -> Difference:
    """Average differences that are taken seed by seed, with an interval over seeds and videos.

    Args:
        first: One for each seed.
        second: The same runs elsewhere, in the same order; or one detector that is taken as it is.
        groups: `Clusters.smaller`.
        confidence: Share of intervals that cover.
    """
    others = list(second) * len(first) if len(second) == 1 else second
    values = np.array([a.value - b.value for a, b in zip(first, others, strict=True)])
    gap = float(values.mean())
    difference = Difference(gap, (len(first), len(second)), groups, confidence=confidence)
    if len(first) < 2:
        return replace(difference, reason=ONE_SEED)
    if groups < FEWEST_GROUPS:
        return replace(difference, reason=few_groups(groups))
    spread = np.array([a.spread - b.spread for a, b in zip(first, others, strict=True)])
    parts = variances([values], spread @ spread.T, groups)
    half, error = _half(parts, confidence)
    if error == 0:
        return replace(difference, reason="neither other seeds nor other videos change the values")
    return _tested(difference, parts, half, error)


def adjusted(differences: Sequence[Difference]) -> list[Difference]:
    """Adjust the p-values of differences for all of them (Holm, 1979)."""
    places = [i for i, difference in enumerate(differences) if difference.p is not None]
    known = holm([p for difference in differences if (p := difference.p) is not None])
    out = list(differences)
    for place, p in zip(places, known, strict=True):
        out[place] = replace(out[place], p_holm=p)
    return out


def few_groups(groups: int) -> str:
    """Say why so few groups give no interval."""
    return (
        f"{groups} source {'group holds' if groups == 1 else 'groups hold'} one of the labels, "
        f"an interval needs {FEWEST_GROUPS}"
    )


class Variances(NamedTuple):
    """Parts of the variance of a mean over seeds, or of a difference of two; arrays broadcast.

    `seeds` has s²/S of each side and `seed_freedom` its S − 1. `common` is the videos' part that all seeds of
    a side share, `videos` the whole variance over videos with these seeds held fixed.
    """

    seeds: list[Float64[np.ndarray, "*b"]]
    seed_freedom: list[int]
    common: Float64[np.ndarray, "*b"]
    videos: Float64[np.ndarray, "*b"]
    groups: int


def variances(
    values: Sequence[Float64[np.ndarray, "*b _"]], covariance: Float64[np.ndarray, "*b r r"], groups: int
) -> Variances:
    """Estimate the parts from one or two sides' values over seeds.

    Args:
        values: Values over seeds of the one method, or of the first and the second.
        covariance: Covariance over videos of all runs, in the same order.
        groups: `Clusters.smaller`.
    """
    sizes = [side.shape[-1] for side in values]
    ends = np.cumsum([0, *sizes])
    parts = [slice(a, b) for a, b in zip(ends, ends[1:], strict=False)]
    common, videos = np.zeros(covariance.shape[:-2]), np.zeros(covariance.shape[:-2])
    for part, size in zip(parts, sizes, strict=True):
        block = covariance[..., part, part]
        total, own = block.sum((-1, -2)), np.trace(block, axis1=-2, axis2=-1)
        common = common + (total - own) / (size * (size - 1))
        videos = videos + total / size**2
    if len(parts) == 2:
        between = covariance[..., parts[0], parts[1]].mean((-1, -2))
        common, videos = common - 2 * between, videos - 2 * between
    seeds = [side.var(axis=-1, ddof=1) / side.shape[-1] for side in values]
    freedom = [size - 1 for size in sizes]
    return Variances(seeds, freedom, np.maximum(common, 0), np.maximum(videos, 0), groups)


def _tested(difference: Difference, parts: Variances, half: float, error: float) -> Difference:
    """Add the test and the interval, which stays within -1 and 1 as every difference of shares does."""
    gap = difference.difference
    return replace(
        difference,
        standard_error=error,
        df=_freedom(half, error, difference.confidence),
        p=_p(gap, parts),
        interval=Interval(max(-1.0, gap - half), min(1.0, gap + half)),
    )


def half_width(parts: Variances, level: float) -> Float64[np.ndarray, "*b"]:
    """Compute half the joint interval's width; `level` is the share of intervals that may miss."""
    of_videos = -stdtrit(parts.groups - 1, level / 2)
    seeds = np.sum(parts.seeds, axis=0)
    total = seeds + parts.common
    with np.errstate(invalid="ignore", divide="ignore"):
        welch = seeds**2 / np.sum(
            [part**2 / df for part, df in zip(parts.seeds, parts.seed_freedom, strict=True)], axis=0
        )
        of_seeds = -stdtrit(np.where(seeds > 0, welch, 1.0), level / 2)
        critical = np.where(total > 0, (parts.common * of_videos + seeds * of_seeds) / total, 0.0)
    return np.asarray(np.maximum(critical * np.sqrt(total), of_videos * np.sqrt(parts.videos)))


def standard_error(parts: Variances) -> Float64[np.ndarray, "*b"]:
    """Compute the joint standard error, never below that of the videos alone."""
    return np.asarray(np.sqrt(np.maximum(np.sum(parts.seeds, axis=0) + parts.common, parts.videos)))


def _variances(sides: Sequence[Sequence[Measured]], groups: int) -> Variances:
    spread = np.array([run.spread for side in sides for run in side])
    values = [np.array([run.value for run in side]) for side in sides]
    return variances(values, spread @ spread.T, groups)


def _half(parts: Variances, confidence: float) -> tuple[float, float]:
    return float(half_width(parts, 1 - confidence)), float(standard_error(parts))


def _p(gap: float, parts: Variances) -> float:
    """Find the level whose interval ends at zero, by bisection of its logarithm."""
    low, high = np.log(1e-12), 0.0
    for _ in range(60):
        middle = (low + high) / 2
        if float(half_width(parts, float(np.exp(middle)))) > abs(gap):
            low = middle
        else:
            high = middle
    return float(np.exp(high))


def _freedom(half: float, error: float, confidence: float) -> float | None:
    """Find the degrees of freedom of the Student's t whose quantile is half / error."""
    if error == 0:
        return None
    low, high = 0.0, np.log(1e6)
    for _ in range(60):
        middle = (low + high) / 2
        if -float(stdtrit(np.exp(middle), (1 - confidence) / 2)) > half / error:
            low = middle
        else:
            high = middle
    return float(np.exp(high))


def _within_0_and_1(estimate: Estimate, half: float, confidence: float, best: float) -> Estimate:
    value = estimate.value
    if value == best:
        worst = _worst(estimate.groups, confidence)
        ends = Interval(worst, 1.0) if best == 1 else Interval(0.0, 1 - worst)
        return replace(estimate, interval=ends, bound=True, standard_error=None, df=None)
    if half == 0 or not 0 < value < 1:
        return replace(estimate, reason="no resample of the videos changes the value")
    low, high = score_ends(np.array([value]), np.array([half]))
    return replace(estimate, interval=Interval(float(low[0]), float(high[0])))


def score_ends(
    value: Float64[np.ndarray, " b"], half: Float64[np.ndarray, " b"]
) -> tuple[Float64[np.ndarray, " b"], Float64[np.ndarray, " b"]]:
    """Keep an interval within 0 and 1, after Wilson (1927): each true value has its own standard error.

    A value close to 1 that came out too high has a standard error that came out too small. So the interval
    holds each true value A with |value − A| ≤ half × (A (1 − A) / (value (1 − value))) ** (2/3). Between the
    exponent of a share (1/2) and that of the logit scale (1), 2/3 covers AUROC best, as
    benchmarks/coverage.py shows. The right side is concave in A, so there is one end on each side.

    Args:
        value: Estimates above 0 and below 1.
        half: Quantile times standard error at the estimate.
    """
    ends = []
    for far in (-_FARTHEST, _FARTHEST):
        inside, outside = logit(value), np.full_like(value, far)
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            true = expit(middle)
            holds = abs(value - true) <= half * (true * (1 - true) / (value * (1 - value))) ** _EXPONENT
            inside, outside = np.where(holds, middle, inside), np.where(holds, outside, middle)
        ends.append(expit(inside))
    return ends[0], ends[1]


def _worst(groups: int, confidence: float) -> float:
    """Find the smallest AUROC that still separates `groups` independent pairs perfectly often enough.

    Separating all videos means ranking a REAL and a FAKE video rightly `groups` times over, whose chance is
    at most AUROC ** groups whatever the distribution of scores (Clopper and Pearson, 1934, without an error).
    """
    return float(((1 - confidence) / 2) ** (1 / groups))
