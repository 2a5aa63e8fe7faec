"""Measures and intervals against scikit-learn, SciPy, torchmetrics, and by simulation."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, log_loss, roc_auc_score, roc_curve

from dfdc_lightning.report import influence
from dfdc_lightning.report.inference import measured, run_interval
from dfdc_lightning.report.statistics import (
    Clusters,
    bootstrap,
    clusters,
    holm,
    resamples,
)
from dfdc_lightning.results import measures
from dfdc_lightning.results.ranking import MEASURES, Ranking

Scores = tuple[np.ndarray, np.ndarray]


def drawn(rng: np.random.Generator, n: int, distance: float = 1.4, decimals: int = 6) -> Scores:
    """Scores of n videos, every second FAKE; few decimals make ties."""
    label = np.arange(n) % 2 == 1
    score = 1 / (1 + np.exp(-(rng.normal(size=n) + distance * (label - 0.5))))
    return score.round(decimals), label


def alone(score: np.ndarray, label: np.ndarray) -> tuple[Ranking, Clusters]:
    """A ranking and a design in which every video stands for itself."""
    design = clusters(label, [str(i) for i in range(len(label))])
    return Ranking(score, label, design.of_video, 0.6), design


@pytest.mark.parametrize("decimals", [6, 1])
@pytest.mark.parametrize("n", [20, 101, 314])
def test_measures_equal_those_of_scikit_learn_with_and_without_ties(n: int, decimals: int) -> None:
    score, label = drawn(np.random.default_rng(n), n, decimals=decimals)
    called = score > 0.6
    fpr, tpr, _ = roc_curve(label, score, drop_intermediate=False)
    closest = np.argmin(np.abs(fpr - (1 - tpr)))
    assert measures.measure(score, label, 0.6) == pytest.approx(
        {
            "auroc": roc_auc_score(label, score),
            "accuracy": accuracy_score(label, called),
            "f1": f1_score(label, called),
            "eer": (fpr[closest] + 1 - tpr[closest]) / 2,
        },
        abs=1e-12,
    )


def test_eer_is_that_of_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    from torchmetrics.functional.classification import binary_eer

    for n in (50, 314):
        score, label = drawn(np.random.default_rng(n), n)
        theirs = float(binary_eer(torch.tensor(score), torch.tensor(label).long()))
        assert measures.measure(score, label, 0.6)["eer"] == pytest.approx(theirs, abs=1e-6)


def test_roc_and_calibration_equal_those_of_scikit_learn() -> None:
    score, label = drawn(np.random.default_rng(3), 200, decimals=2)
    curve = measures.roc(score, label)
    fpr, tpr, _ = roc_curve(label, score, drop_intermediate=False)
    np.testing.assert_allclose(curve.fpr, fpr, atol=1e-12)
    np.testing.assert_allclose(curve.tpr, tpr, atol=1e-12)
    assert measures.brier(score, label) == pytest.approx(brier_score_loss(label, score))
    assert measures.log_loss(score, label) == pytest.approx(log_loss(label, np.clip(score, 1e-7, 1 - 1e-7)))
    assert measures.tpr_at(curve, 0.05) == pytest.approx(tpr[fpr <= 0.05].max())
    bins = measures.reliability(np.array([0.05, 0.15, 0.15, 1.0]), np.array([False, True, False, True]))
    assert bins.n.tolist() == [1, 2, 0, 0, 0, 0, 0, 0, 0, 1]
    assert measures.calibration_error(bins) == pytest.approx((0.05 + 2 * 0.35) / 4)


def test_thresholds_from_validation_do_what_their_names_say() -> None:
    score, label = drawn(np.random.default_rng(5), 300)
    curve = measures.roc(score, label)
    reached = [
        ((score > t) & label).sum() / label.sum() - ((score > t) & ~label).sum() / (~label).sum()
        for t in score
    ]
    youden = measures.youden_threshold(curve)
    at_youden = ((score > youden) & label).sum() / label.sum() - ((score > youden) & ~label).sum() / (
        ~label
    ).sum()
    assert at_youden == pytest.approx(max(reached))
    counts = measures.confusion(score, label, measures.eer_threshold(curve))
    assert counts.real_wrong / (~label).sum() == pytest.approx(counts.fake_wrong / label.sum(), abs=0.011)
    assert sum(counts) == 300


def test_one_label_only_is_refused() -> None:
    with pytest.raises(ValueError, match="REAL and FAKE"):
        measures.measure(np.array([0.1, 0.9]), np.array([True, True]), 0.6)


def test_any_weighting_of_videos_is_measured_as_if_they_were_repeated() -> None:
    rng = np.random.default_rng(8)
    score, label = drawn(rng, 60, decimals=1)
    ranking, design = alone(score, label)
    for counts in resamples(design, 25, seed=1, rows=25):
        found = ranking.measure(counts)
        for i, row in enumerate(counts):
            times = row[design.of_video]
            expected = measures.measure(np.repeat(score, times), np.repeat(label, times), 0.6)
            assert {name: found[name][i] for name in MEASURES} == pytest.approx(expected, abs=1e-12)


def test_the_bootstrap_interval_is_that_of_scipy_within_monte_carlo_error() -> None:
    score, label = drawn(np.random.default_rng(0), 314)
    ranking, design = alone(score, label)
    ours = np.quantile(bootstrap([ranking], design, 10_000, seed=4)["auroc"][0], [0.025, 0.975])

    def auroc(fake: np.ndarray, real: np.ndarray, axis: int = -1) -> np.ndarray:
        return (fake[..., :, None] > real[..., None, :]).mean(axis=(-1, -2))

    theirs = stats.bootstrap(
        (score[label], score[~label]), auroc, n_resamples=2000, method="percentile", batch=50, rng=1
    ).confidence_interval
    # The 2.5 % quantile of 2,000 draws has a standard error of about 0.06 standard deviations.
    deviation = bootstrap([ranking], design, 2000, seed=5)["auroc"][0].std()
    np.testing.assert_allclose(ours, theirs, atol=0.25 * deviation)


def test_label_shares_stay_and_whole_groups_are_drawn() -> None:
    label = np.array([False, True, True, False, True, False, False, True])
    group = ["a", "a", "a", "b", "b", "c", "d", "e"]
    design = clusters(label, group)
    assert sorted(len(stratum) for stratum in design.strata) == [1, 2, 2]
    for counts in resamples(design, 200, seed=0, rows=64):
        assert counts.shape[1] == 5
        for stratum in design.strata:
            assert (counts[:, stratum].sum(axis=1) == len(stratum)).all()


def test_resamples_do_not_depend_on_the_size_of_batches() -> None:
    _, design = alone(*drawn(np.random.default_rng(0), 40))
    at_once = np.concatenate(list(resamples(design, 50, seed=3, rows=50)))
    in_parts = np.concatenate(list(resamples(design, 50, seed=3, rows=7)))
    assert (at_once == in_parts).all()


def test_the_same_resamples_serve_every_run() -> None:
    score, label = drawn(np.random.default_rng(2), 100)
    ranking, design = alone(score, label)
    twice = bootstrap([ranking, ranking], design, 300, seed=0)
    for values in twice.values():
        assert (values[0] == values[1]).all()


def covered(n_studies: int, clustered: bool, by_group: bool) -> float:
    """How often a nominal 95 % interval holds the true AUROC, in studies drawn from a known distribution."""
    rng = np.random.default_rng(2024)
    if (
        clustered
    ):  # sources of one REAL and three FAKE videos; the FAKE ones of a source share their difficulty
        group, label, spread = np.repeat(np.arange(80), 4), np.tile([False, True, True, True], 80), 1.6
    else:
        group, label, spread = np.arange(314), np.arange(314) % 2 == 1, 0.0
    truth = stats.norm.cdf(1.5 / np.sqrt(2 + spread**2))
    design = clusters(label, [str(g) for g in (group if by_group else np.arange(len(label)))])
    inside = 0
    for _ in range(n_studies // 25):  # 25 studies share their resamples, for speed
        shared = rng.normal(0, spread, (25, group.max() + 1))[:, group] * label
        latent = 1.5 * label + shared + rng.normal(0, 1, (25, len(label)))
        rankings = [Ranking(scores, label, design.of_video, 0.6) for scores in latent]
        whole = np.ones((1, design.n), np.int32)
        drawn_samples = bootstrap(rankings, design, 500, seed=int(rng.integers(1 << 30)))["auroc"]
        for ranking, samples in zip(rankings, drawn_samples, strict=True):
            run = measured(float(ranking.measure(whole)["auroc"][0]), samples, design.smaller)
            low, high = run_interval(run, design.smaller).interval
            inside += low <= truth <= high
    return inside / n_studies


@pytest.mark.slow
@pytest.mark.parametrize("clustered", [False, True])
def test_a_nominal_95_percent_interval_covers_93_to_97_percent(clustered: bool) -> None:
    assert 0.93 <= covered(1000, clustered, by_group=True) <= 0.97


@pytest.mark.slow
def test_forgetting_the_groups_would_cover_too_little() -> None:
    assert covered(400, clustered=True, by_group=False) < 0.91


def slow_delong(first: np.ndarray, second: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Covariance of two AUROCs straight from its definition: components by comparing every pair."""

    def components(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gap = score[label][:, None] - score[~label][None, :]
        wins = (gap > 0) + 0.5 * (gap == 0)
        return wins.mean(axis=1), wins.mean(axis=0)

    (f1, r1), (f2, r2) = components(first), components(second)
    return np.cov(f1, f2) / label.sum() + np.cov(r1, r2) / (~label).sum()


@pytest.mark.parametrize("decimals", [6, 1])
def test_the_contributions_of_single_videos_give_delongs_covariance(decimals: int) -> None:
    rng = np.random.default_rng(6)
    first, label = drawn(rng, 150, 1.6, decimals)
    second = np.clip(first + rng.normal(0, 0.3, 150), 0, 1).round(decimals)
    everyone, alone_each = np.ones(150, bool), np.arange(150)
    runs = [influence.auroc(score, label, everyone, alone_each) for score in (first, second)]
    ours = [[a.spread @ b.spread for b in runs] for a in runs]
    np.testing.assert_allclose(ours, slow_delong(first, second, label) * (150 / 149) / (75 / 74), rtol=1e-9)
    assert runs[0].value == pytest.approx(roc_auc_score(label, first))


def test_contributions_of_groups_and_the_bootstrap_agree() -> None:
    rng = np.random.default_rng(10)
    label, group = np.arange(314) % 2 == 1, np.arange(314) // 2
    shared = rng.normal(0, 1, 157)[group]
    scores = [1.5 * label + shared + rng.normal(0, 1, 314) for _ in range(2)]
    design = clusters(label, [str(g) for g in group])
    rankings = [Ranking(score, label, design.of_video, 0.6) for score in scores]
    samples = bootstrap(rankings, design, 5000)
    everyone, right = np.ones(314, bool), [((s > 0.6) == label) * 1.0 for s in scores]
    for name, closed in (
        ("auroc", [influence.auroc(s, label, everyone, design.of_video) for s in scores]),
        ("accuracy", [influence.share(r, everyone, design.of_video) for r in right]),
    ):
        spread = np.array([measured(0.0, values, design.smaller).spread for values in samples[name]])
        ours = np.array([[a.spread @ b.spread for b in closed] for a in closed])
        np.testing.assert_allclose(spread @ spread.T, ours, rtol=0.08, atol=2e-5)


def test_holm_on_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
