"""Tables of a made-up study, read back from their files."""

import csv
import io

import numpy as np
import pytest

from benchmarks.example_study import write_study
from dfdc_lightning.report import operating, tables
from dfdc_lightning.report.evidence import Evidence, gather
from dfdc_lightning.report.published import published
from dfdc_lightning.report.study import read_study
from dfdc_lightning.report.table import Table, p_value, percent, signed


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    root = tmp_path_factory.mktemp("multirun")
    write_study(root / "toy", {"baseline": 1.4, "lstm": 2.6, "sixth": 1.4}, seeds=(0, 1, 2), videos=120)
    return gather([read_study(root, "toy", ["baseline", "jpeg", "lstm"])], n_resamples=400)


def cells(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.csv())))


def test_the_results_are_means_with_joint_intervals_and_the_best_is_marked(evidence: Evidence) -> None:
    rows = {row["experiment"]: row for row in cells(tables.results(evidence))}
    assert list(rows) == ["baseline", "lstm", "sixth"]
    values = evidence.experiments[1].values("auroc")
    lstm = rows["lstm"]
    assert [float(lstm[key]) for key in ("AUROC", "SD", "best*")] == pytest.approx(
        [values.mean(), values.std(ddof=1), values.max()], abs=5e-4
    )
    low, high = (float(x) for x in lstm["95 %"].split("–"))
    assert low < values.mean() < high
    assert lstm["verdict"] == "better"
    assert rows["sixth"]["verdict"].startswith("not told apart (≤ 0.")
    assert "chosen on test" in tables.results(evidence).caption


def test_the_best_eer_is_the_lowest(evidence: Evidence) -> None:
    for experiment, row in zip(evidence.experiments, cells(tables.one_measure(evidence, "eer")), strict=True):
        assert float(row["best*"]) == pytest.approx(experiment.values("eer").min(), abs=5e-4)
        assert float(row["SD"]) == pytest.approx(np.std(experiment.values("eer"), ddof=1), abs=5e-4)


def test_the_studys_own_numbers_stand_beside_ours_with_their_source(evidence: Evidence) -> None:
    table = tables.one_measure(evidence, "auroc")
    rows = {row["experiment"]: row for row in cells(table)}
    theirs = [rows["lstm"][f"study: {what}"] for what in ("mean", "best", "interval of best")]
    assert theirs == ["0.92", "0.96", "0.931–0.975"]
    assert rows["sixth"]["study: mean"] == "–"
    assert "student study on the Deepfake Detection Challenge" in table.caption


def test_the_study_published_four_measures_of_five_experiments() -> None:
    known = published()
    assert len(known) == 20
    assert {measure for _, measure in known} == {"auroc", "accuracy", "f1", "eer"}
    assert all((theirs.interval is None) == (measure == "eer") for (_, measure), theirs in known.items())


def test_frame_level_and_video_level_are_never_mixed(evidence: Evidence) -> None:
    rows = {row[0]: row for row in operating.levels(evidence).rows}
    assert float(rows["baseline"][1]) < float(rows["baseline"][3])
    assert rows["lstm"][1] == "scores whole clips"


def test_confusion_counts_add_up_to_the_test_videos(evidence: Evidence) -> None:
    for row in operating.confusions(evidence).rows:
        assert sum(float(x) for x in row[2:4]) == pytest.approx(60, abs=0.11)
        assert sum(float(x) for x in row[4:6]) == pytest.approx(60, abs=0.11)


def test_each_experiment_is_shown_at_three_thresholds(evidence: Evidence) -> None:
    rows = [row for row in operating.thresholds(evidence).rows if row[0] == "baseline"]
    assert [row[1] for row in rows] == ["fixed", "Youden on validation", "EER point on validation"]
    assert rows[0][2] == "0.600"
    assert len({row[2] for row in rows}) == 3


def test_differences_are_paired_and_a_real_one_is_found(evidence: Evidence) -> None:
    assert {c.experiment.name: c.auroc.clear for c in evidence.comparisons} == {"lstm": True, "sixth": False}
    lstm = evidence.comparisons[0]
    means = [experiment.mean["auroc"].value for experiment in evidence.experiments]
    assert lstm.auroc.difference == pytest.approx(means[1] - means[0])
    apart = sum(evidence.experiments[i].mean["auroc"].standard_error ** 2 for i in (0, 1))
    assert lstm.auroc.standard_error**2 < apart  # the same videos are hard for both


def test_validation_chooses_without_looking_at_the_test(evidence: Evidence) -> None:
    for experiment, row in zip(evidence.experiments, tables.chosen(evidence).rows, strict=True):
        by_validation = max(experiment.runs, key=lambda run: run.validation[0])
        assert row[1] == str(by_validation.run.seed)


def test_latex_escapes_what_latex_would_choke_on() -> None:
    text = Table("a_b", "50 % & more", "x_1", ["Δ", "a_b"], [["−0.1", "0.1–0.2"]]).latex()
    assert r"50\,\% \& more" in text
    assert r"$-$0.1 & 0.1--0.2 \\" in text
    assert r"\label{tab:a-b}" in text
    cell = Table("t", "", "", ["a"], [["{x}^~$\\ y\nz"]]).latex()
    assert r"\{x\}\textasciicircum{}\textasciitilde{}\$\textbackslash{} y z \\" in cell


def test_markdown_shows_names_as_they_are() -> None:
    text = Table("t", "", "", ["a", "p"], [["x|<script>alert(1)</script>\nnext", "< 0.001"]]).markdown()
    assert "<script>" not in text
    assert r"x\|&lt;script>alert(1)&lt;/script> next" in text
    assert "< 0.001" in text
    assert len(text.splitlines()) == 3


def test_markdown_has_a_row_a_line_and_equal_widths(evidence: Evidence) -> None:
    lines = tables.runs(evidence).markdown().splitlines()
    assert len(lines) == 2 + 9
    assert len({len(line) for line in lines}) == 1


def test_small_p_values_and_signs_are_written_as_papers_do() -> None:
    assert [p_value(0.0002), p_value(0.0312), p_value(None)] == ["< 0.001", "0.031", "–"]
    assert [signed(-0.5), signed(0.25), signed(-0.0001)] == ["−0.500", "+0.250", "0.000"]
    assert percent(0.999) == "99.9 %"
