"""Inference over seeds and videos: against its published references, and where there is nothing to infer."""

import numpy as np
import pytest
from scipy import stats

from dfdc_lightning.report.inference import (
    FEWEST_GROUPS,
    Measured,
    adjusted,
    compare,
    mean_interval,
    measured,
    run_interval,
    score_ends,
    standard_error,
    variances,
)

GROUPS = 60


def study(
    rng: np.random.Generator, seeds: tuple[int, int], spread: float = 0.01, gap: float = 0.0
) -> tuple[list[Measured], list[Measured]]:
    """Values over seeds of two methods; some videos are hard for all runs, some for one method or one run."""
    resamples = 500
    common = rng.normal(0, 0.02, resamples)
    sides = []
    for method, n in enumerate(seeds):
        own = rng.normal(0, 0.015, resamples)
        sides.append(
            [
                measured(
                    0.85 - gap * method + rng.normal(0, spread),
                    common + own + rng.normal(0, 0.01, resamples),
                    GROUPS,
                )
                for _ in range(n)
            ]
        )
    return sides[0], sides[1]


def obuchowski_rockette(first: list[Measured], second: list[Measured]) -> tuple[float, float]:
    """F and degrees of freedom, readers nested within test, as in Hillis (2007), written out in sums."""
    values = np.array([[run.value for run in side] for side in (first, second)])
    tests, readers = values.shape
    of_test = values.mean(axis=1)
    mean_square_test = readers * ((of_test - values.mean()) ** 2).sum() / (tests - 1)
    mean_square_reader = ((values - of_test[:, None]) ** 2).sum() / (tests * (readers - 1))
    within = [a.spread @ b.spread for side in (first, second) for a in side for b in side if a is not b]
    between = [a.spread @ b.spread for a in first for b in second]
    videos = max(readers * (np.mean(within) - np.mean(between)), 0)
    freedom = (mean_square_reader + videos) ** 2 / (mean_square_reader**2 / (tests * (readers - 1)))
    return mean_square_test / (mean_square_reader + videos), freedom


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_the_standard_error_is_that_of_obuchowski_and_rockette(seeds: int) -> None:
    first, second = study(np.random.default_rng(seeds), (seeds, seeds), spread=0.04, gap=0.02)
    found = compare(first, second, GROUPS)
    assert found.difference is not None and found.standard_error is not None
    f, _ = obuchowski_rockette(first, second)
    assert (found.difference / found.standard_error) ** 2 == pytest.approx(f)


def test_the_p_value_comes_close_to_that_of_hillis_with_many_seeds_and_is_larger_with_few() -> None:
    for seeds, tolerance in ((40, 0.004), (3, 1.0)):
        first, second = study(np.random.default_rng(9), (seeds, seeds), spread=0.03, gap=0.01)
        f, freedom = obuchowski_rockette(first, second)
        hillis = stats.f.sf(f, 1, freedom)
        p = compare(first, second, 10_000).p
        assert p is not None
        assert hillis - 0.004 <= p <= hillis + tolerance


def test_without_variance_over_videos_it_is_the_test_of_welch() -> None:
    rng = np.random.default_rng(3)
    still = np.zeros(10)
    first = [Measured(value, still) for value in rng.normal(0.9, 0.01, 4)]
    second = [Measured(value, still) for value in rng.normal(0.88, 0.03, 6)]
    theirs = stats.ttest_ind([run.value for run in first], [run.value for run in second], equal_var=False)
    found = compare(first, second, GROUPS)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-6)
    assert found.df == pytest.approx(theirs.df, rel=1e-4)
    assert found.interval == pytest.approx(tuple(theirs.confidence_interval()), rel=1e-6)


def test_an_interval_and_its_p_value_agree() -> None:
    for draw in range(20):
        first, second = study(np.random.default_rng(draw), (3, 5), spread=0.02, gap=0.05)
        found = compare(first, second, GROUPS)
        assert found.p is not None and found.interval is not None and found.df is not None
        low, high = found.interval
        assert (found.p < 0.05) == (low > 0 or high < 0) == found.clear
        half = stats.t.ppf(0.975, found.df) * found.standard_error
        assert (low, high) == pytest.approx((found.difference - half, found.difference + half), abs=1e-6)
        assert found.largest_difference_still_possible == pytest.approx(max(-low, high))


def test_exchanging_methods_changes_the_sign_alone() -> None:
    first, second = study(np.random.default_rng(5), (3, 4))
    one, other = compare(first, second, GROUPS), compare(second, first, GROUPS)
    assert one.difference == pytest.approx(-other.difference)
    assert one.p == pytest.approx(other.p)
    assert one.interval == pytest.approx((-other.interval.high, -other.interval.low))


def test_the_order_of_seeds_changes_nothing() -> None:
    first, second = study(np.random.default_rng(6), (4, 4))
    one, other = compare(first, second, GROUPS), compare(first[::-1], second[1:] + second[:1], GROUPS)
    assert one.p == pytest.approx(other.p)
    assert mean_interval(first, GROUPS).interval == pytest.approx(mean_interval(first[::-1], GROUPS).interval)


def test_seeds_that_agree_by_chance_do_not_shorten_the_interval_of_the_videos() -> None:
    first, second = study(np.random.default_rng(7), (2, 2), spread=0.0)
    found = compare(first, second, GROUPS)
    spread = np.mean([r.spread for r in first], axis=0) - np.mean([r.spread for r in second], axis=0)
    half = stats.t.ppf(0.975, GROUPS - 1) * np.sqrt(spread @ spread)
    assert found.interval.high - found.interval.low >= 2 * half * (1 - 1e-9)


def test_one_seed_gives_no_verdict_on_a_method() -> None:
    first, second = study(np.random.default_rng(0), (5, 1))
    found = compare(first, second, GROUPS)
    assert found.p is None and found.interval is None and not found.clear
    assert "one seed" in found.reason
    assert mean_interval(second, GROUPS).interval is None
    assert "one seed" in mean_interval(second, GROUPS).reason
    assert run_interval(second[0], GROUPS).interval is not None


def test_few_groups_give_no_interval_and_the_reason_says_so() -> None:
    first, second = study(np.random.default_rng(0), (3, 3))
    few = FEWEST_GROUPS - 1
    for found in (compare(first, second, few), mean_interval(first, few), run_interval(first[0], few)):
        assert found.interval is None
        assert f"{few} source groups" in found.reason
    assert compare(first, second, FEWEST_GROUPS).interval is not None


@pytest.mark.parametrize(("best", "groups"), [(1.0, 157), (1.0, 20), (0.0, 40)])
def test_a_perfect_separation_is_a_bound(best: float, groups: int) -> None:
    runs = [Measured(best, np.zeros(10))] * 3
    for found in (run_interval(runs[0], groups, best=best), mean_interval(runs, groups, best=best)):
        assert found.bound
        inner = found.interval.low if best == 1 else 1 - found.interval.high
        assert inner**groups == pytest.approx(0.025)  # so often would all pairs be ranked rightly
    found = compare(runs, runs, groups)
    assert found.p == 1
    assert found.interval == pytest.approx((inner - 1, 1 - inner))


def test_runs_without_any_variation_give_a_reason() -> None:
    still = np.zeros(10)
    found = compare([Measured(1.0, still)] * 2, [Measured(0.5, still)] * 2, GROUPS)
    assert found.p is None and found.reason
    assert run_interval(Measured(0.5, still), GROUPS).reason


def test_an_interval_stays_within_0_and_1_and_holds_its_value() -> None:
    rng = np.random.default_rng(1)
    for value in (0.02, 0.5, 0.97, 0.999):
        run = Measured(value, rng.normal(0, value * (1 - value), 100) / 10)
        low, high = run_interval(run, GROUPS).interval
        assert 0 < low < value < high < 1


def test_holm_skips_what_has_no_p_value() -> None:
    rng = np.random.default_rng(2)
    clear = compare(*study(rng, (5, 5), gap=0.3), GROUPS)
    without = compare(*study(rng, (5, 1)), GROUPS)
    found = adjusted([clear, without, clear])
    assert found[1].p_holm is None
    assert found[0].p_holm == pytest.approx(2 * clear.p)


def test_variances_of_many_studies_at_once_are_those_of_each() -> None:
    rng = np.random.default_rng(4)
    first, second = study(rng, (3, 2), spread=0.03)
    values = [np.array([run.value for run in side]) for side in (first, second)]
    spread = np.array([run.spread for run in first + second])
    many = variances([np.stack([v, v]) for v in values], np.stack([spread @ spread.T] * 2), GROUPS)
    assert standard_error(many) == pytest.approx([compare(first, second, GROUPS).standard_error] * 2)


def test_ends_of_the_interval_are_the_true_values_that_the_estimate_just_allows() -> None:
    value, half = np.array([0.3, 0.8, 0.97, 0.999]), np.array([0.1, 0.05, 0.03, 0.002])
    for end in score_ends(value, half):
        scale = (end * (1 - end) / (value * (1 - value))) ** (2 / 3)
        assert abs(value - end) == pytest.approx(half * scale, rel=1e-6)
    mirrored = score_ends(1 - value, half)
    assert score_ends(value, half)[0] == pytest.approx(1 - mirrored[1])
