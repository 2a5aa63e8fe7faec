"""The report says how far experiments hold: other data sets, corruptions, and what could not be counted."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.example_study import write_study
from dfdc_lightning.audit.check_file import write_check
from dfdc_lightning.report.evidence import Evidence, gather
from dfdc_lightning.report.inference import Estimate
from dfdc_lightning.report.robustness import half_lost, robustness
from dfdc_lightning.report.robustness_figures import corruption_curves, corruption_levels
from dfdc_lightning.report.robustness_tables import corruptions, elsewhere, sentences
from dfdc_lightning.report.sections import contents
from dfdc_lightning.report.study import read_study
from dfdc_lightning.results.elsewhere import About, folder_of, strip_of, write_evaluation
from dfdc_lightning.results.elsewhere import fingerprint_of as fingerprint
from dfdc_lightning.results.measures import measure
from dfdc_lightning.results.predictions import ScoredVideo
from dfdc_lightning.results.run_folder import RunFolder

LEVELS = {1: 1.6, 2: 1.2, 3: 0.8, 4: 0.3, 5: 0.0}  # distance of the labels' means


def write(run: Path, data: str, condition: str, distance: float, own: bool = False, **about: object) -> None:
    """Scores of 40 pairs, as of a detector that separates labels by so many standard deviations."""
    seed = [*run.name.encode(), *condition.encode()]
    latent = np.random.default_rng(seed).normal(0, 1, 80) + distance * (np.arange(80) % 2)
    videos = [
        ScoredVideo("test", f"{'test' if own else data}{i:06d}", f"test_g{i // 2:06d}", i % 2 == 1, score)
        for i, score in enumerate(1 / (1 + np.exp(-latent)))
    ]
    write_evaluation(
        folder_of(run, data, condition), about_of(run, data, condition, own)._replace(**about), videos
    )


def about_of(run: Path, data: str, condition: str, own: bool) -> About:
    weights = fingerprint(run / "predictions.csv")
    return About(data, condition, own, "data/there", "c", weights, "clip", [], "", {})


def study(root: Path, seeds: tuple[int, ...] = (0, 1, 2)) -> list[Path]:
    write_study(root / "toy", {"baseline": 1.6, "lstm": 2.0}, seeds, 80, 2, ("baseline", "lstm"))
    return sorted((root / "toy").glob("*/*"))


def read(root: Path) -> Evidence:
    return gather([read_study(root, "toy", ["baseline"])], n_resamples=200)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    root = tmp_path_factory.mktemp("multirun")
    for run in study(root):
        write(run, "celebdf", "", 0.5, trained_on=["a"], without_score={"b": "damaged"})
        for level, distance in LEVELS.items():
            write(run, "own", f"jpeg-{level}", distance, own=True)
            write(run, "own", f"noise-{level}", 1.6, own=True)
        cv2.imwrite(str(strip_of(run, "own", "jpeg")), np.full((32, 192, 3), 90, np.uint8))
    return read(root)


def test_a_row_per_experiment_and_data_set_has_mean_interval_and_change(found: Evidence) -> None:
    table = elsewhere(found)
    assert [row[:4] for row in table.rows] == [
        ["celebdf", "baseline", "40", "40"],
        ["celebdf", "lstm", "40", "40"],
    ]
    one = robustness(found).elsewhere[0]
    scores = [
        measure(*arrays, 0.5)["auroc"]
        for run in one.experiment.runs
        for arrays in [read_scores(folder_of(run.run.folder, "celebdf"))]
    ]
    assert one.auroc.value == pytest.approx(np.mean(scores))
    assert one.change.difference == pytest.approx(one.auroc.value - one.experiment.mean["auroc"].value)
    low, high = one.change.interval or (0, 0)
    assert low < one.change.difference < high < 0
    assert table.rows[0][-2:] == ["1", "1"]


def read_scores(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    rows = [line.split(",") for line in (folder / "predictions.csv").read_text().splitlines()[1:]]
    return np.array([float(row[4]) for row in rows]), np.array([row[3] == "FAKE" for row in rows])


def test_the_level_at_which_half_is_lost_lies_between_two_levels(found: Evidence) -> None:
    experiment = found.experiments[0]
    curve = robustness(found).curve(experiment, "own", "jpeg")
    lost = half_lost(experiment.mean["auroc"], curve)
    target = 0.5 + (experiment.mean["auroc"].value - 0.5) / 2
    below = next(one.level for one in curve if one.auroc.value <= target)
    assert lost is not None and below - 1 < lost <= below
    assert half_lost(Estimate(0.5, 3, 40), curve) is None
    assert half_lost(experiment.mean["auroc"], robustness(found).curve(experiment, "own", "noise")) is None
    rows = {(row[1], row[2]): row for row in corruptions(found).rows}
    assert rows["baseline", "jpeg"][-2] == f"level {lost:.1f}"
    assert rows["baseline", "noise"][-2] == "never"


def test_what_may_be_said_is_said(found: Evidence) -> None:
    said = sentences(found)
    assert said.startswith("On celebdf, ") and "against 0." in said
    assert "2 of 4 curves lose half" in said and "under jpeg at level" in said


def test_curves_and_levels_are_drawn_and_the_page_has_the_section(found: Evidence) -> None:
    (curves,) = corruption_curves(found)
    titles = [axes.get_title() for axes in curves.figure.axes if axes.get_title()]
    assert titles == ["jpeg", "noise"]
    (line, *_) = curves.figure.axes[0].lines
    assert list(line.get_xdata()) == [0, 1, 2, 3, 4, 5]
    (levels,) = corruption_levels(found)
    assert [label.get_text() for label in levels.figure.axes[0].get_yticklabels()] == ["jpeg"]
    section = next(section for section in contents(found) if section.anchor == "robustness")
    assert len(section.tables) == 2 and len(section.pictures) == 2


def test_a_change_on_the_same_videos_is_surer_than_one_on_other_videos(tmp_path: Path) -> None:
    for run in study(tmp_path):
        test = RunFolder(run).predictions.splits["test"]
        videos = [
            ScoredVideo("test", *one)
            for one in zip(test.video, test.group, test.label, test.score, strict=True)
        ]
        for own, name in ((True, "own"), (False, "other")):
            write_evaluation(folder_of(run, name, "jpeg-1"), about_of(run, name, "jpeg-1", own), videos)
    found = read(tmp_path)
    own, other = (robustness(found).curve(found.experiments[0], name, "jpeg")[0] for name in ("own", "other"))
    assert own.change.difference == 0 == pytest.approx(other.change.difference)
    assert own.change.interval is None  # the same scores on the same videos: nothing varies
    assert other.change.interval is not None and other.change.interval.high > 0.01


def test_the_shortcut_baseline_of_a_data_set_stands_in_its_rows(tmp_path: Path) -> None:
    cache = tmp_path / "celebdf"
    for run in study(tmp_path / "multirun", (0, 1)):
        write(run, "celebdf", "", 1.0, cache=str(cache))
    assert elsewhere(read(tmp_path / "multirun")).rows[0][8] == "–"
    write_check(cache, {"shortcuts": {"auroc": 0.712, "low": 0.6, "high": 0.8}})
    assert elsewhere(read(tmp_path / "multirun")).rows[0][8] == "0.712 (0.600–0.800)"


def test_a_study_without_evaluations_has_no_such_section(tmp_path: Path) -> None:
    study(tmp_path)
    assert "robustness" not in [section.anchor for section in contents(read(tmp_path))]


def test_evaluations_of_earlier_weights_and_damaged_ones_are_named(tmp_path: Path) -> None:
    first, second, third, *_ = study(tmp_path)
    write(first, "celebdf", "", 1.0, model="of earlier weights")
    write(second, "celebdf", "", 1.0)
    (folder_of(second, "celebdf") / "evaluation.json").write_text("{")
    write(third, "celebdf", "", 1.0, doubt="its cache is gone")
    said = robustness(read(tmp_path)).faults
    assert len(said) == 4
    assert any("was trained again after its evaluation" in one for one in said)
    assert any("evaluation.json is damaged" in one for one in said)
    assert any("its cache is gone" in one for one in said)
    assert any("2 of 3 seeds have not been evaluated" in one for one in said)
