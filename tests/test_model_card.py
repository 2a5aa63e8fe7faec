"""The model card of the run to use."""

from pathlib import Path

import pytest

from benchmarks.example_study import write_study
from dfdc_lightning.report.evidence import Evidence, gather
from dfdc_lightning.report.run_card import model_card
from dfdc_lightning.report.study import read_study


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    write_study(tmp_path / "toy", {"baseline": 1.2, "lstm": 2.4}, seeds=(0, 1, 2), videos=80)
    return gather([read_study(tmp_path, "toy", ["baseline"])], n_resamples=200)


def test_it_is_of_the_run_that_validation_chose(evidence: Evidence) -> None:
    runs = [run for experiment in evidence.experiments for run in experiment.runs]
    best = max(runs, key=lambda run: run.validation[0])
    assert model_card(evidence).startswith(
        f"# Model card: {best.run.experiment}, seed {best.run.seed}, study toy"
    )


def test_it_names_data_use_limits_metrics_and_where_the_threshold_comes_from(
    evidence: Evidence,
) -> None:
    card = model_card(evidence)
    for heading in ("Intended use", "Limits", "Test results", "Threshold", "Data", "Training of the study"):
        assert f"## {heading}" in card
    low, high = evidence.chosen.estimates["auroc"].interval
    for words in (
        "hash of the split: 89ab4567",
        "data/made_up",
        f"{low:.3f}–{high:.3f}",
        "threshold 0.6",
        "REAL test videos are called FAKE",
        "Youden",
    ):
        assert words in card


def test_without_validation_scores_it_says_that_the_test_chose(evidence: Evidence) -> None:
    for experiment in evidence.experiments:
        for run in experiment.runs:
            del run.run.predictions.splits["val"]
    card = model_card(evidence)
    assert "highest *test* AUROC" in card
    assert "optimistic" in card
    assert "Youden" not in card


def test_no_line_holds_a_leftover_of_the_template(evidence: Evidence) -> None:
    card = model_card(evidence)
    assert "{" not in card
    assert "None" not in card
    assert "\n\n\n\n" not in card
