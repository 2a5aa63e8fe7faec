"""Detectors of others stand beside the study's own on common videos, and a bad file is one sentence."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.example_study import write_study
from dfdc_lightning.errors import UserError
from dfdc_lightning.report.evidence import Evidence, gather
from dfdc_lightning.report.foreign import differences, foreign, results, sentences, uncounted
from dfdc_lightning.report.foreign_scores import match
from dfdc_lightning.report.inference import Measured, paired, run_interval
from dfdc_lightning.report.sections import contents
from dfdc_lightning.report.study import read_study
from dfdc_lightning.report.write import write_report
from dfdc_lightning.results.measures import measure
from dfdc_lightning.results.predictions import Scores

VIDEOS = 80


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("multirun")
    write_study(root / "toy", {"baseline": 1.6, "lstm": 2.0}, (0, 1, 2), VIDEOS, 2, ("lstm",))
    return root


@pytest.fixture(scope="module")
def test(root: Path) -> Scores:
    return read_study(root, "toy", []).usable[0].predictions.splits["test"]


def read(root: Path, *files: Path) -> Evidence:
    return gather([read_study(root, "toy", ["baseline"])], n_resamples=200, scores=files)


def write(path: Path, *lines: str, head: str = "video,score") -> Path:
    path.write_text("\n".join([head, *lines, ""]))
    return path


def theirs(path: Path, test: Scores, videos: int = VIDEOS) -> Path:
    """A detector that is right about most videos."""
    noise = np.random.default_rng(5).normal(0, 0.35, VIDEOS)
    score = np.clip(0.5 + 0.3 * (2.0 * test.label - 1) + noise, 0, 1).round(4)
    return write(path, *(f"{v}.mp4,{s}" for v, s in list(zip(test.video, score, strict=True))[:videos]))


def test_a_detector_and_the_experiments_are_measured_on_common_videos(
    root: Path, test: Scores, tmp_path: Path
) -> None:
    evidence = read(root, theirs(tmp_path / "theirs.csv", test, 70))
    ((one,), notes) = foreign(evidence)
    assert notes == [] and len(one.matched.scores.video) == 70 and one.matched.missing == test.video[70:]
    kept = one.matched.scores
    own = measure(kept.score, kept.label, 0.5)
    assert {name: estimate.value for name, estimate in one.estimates.items()} == pytest.approx(own)
    runs = [run.test for run in evidence.experiments[0].runs]
    means = np.mean([measure(run.score[:70], run.label[:70], 0.6)["auroc"] for run in runs])
    assert one.beside[0].mean["auroc"].value == pytest.approx(means)
    assert one.beside[0].differences["auroc"].difference == pytest.approx(means - own["auroc"])
    rows = results(evidence).rows
    assert [row[1] for row in rows] == ["theirs.csv", "baseline", "lstm"]
    assert {row[2] for row in rows} == {"35"} and [row[4] for row in rows] == ["1", "3", "3"]


def test_videos_that_one_side_lacks_are_counted_and_named(root: Path, test: Scores, tmp_path: Path) -> None:
    file = theirs(tmp_path / "theirs.csv", test, 70)
    file.write_text(file.read_text() + "stranger,0.5\n")
    evidence = read(root, file)
    assert "has scored 70 of 80 test videos of toy, and everything here is on these" in sentences(evidence)
    assert "of its own videos, 1 are not among these" in sentences(evidence)
    rows = uncounted(evidence).rows
    assert [row[2] for row in rows] == [*test.video[70:], "stranger"]


def test_differences_have_joint_intervals_and_adjusted_p(root: Path, test: Scores, tmp_path: Path) -> None:
    evidence = read(root, theirs(tmp_path / "a.csv", test), theirs(tmp_path / "b.csv", test))
    found = [b.differences["auroc"] for one in foreign(evidence)[0] for b in one.beside]
    assert len(found) == 4 == len(differences(evidence).rows)
    for difference in found:
        low, high = difference.interval or (0, 0)
        assert low < difference.difference < high
        assert difference.p is not None and difference.p_holm is not None
        assert difference.p <= difference.p_holm
        assert (difference.p < 0.05) == (not low < 0 < high)


def test_a_difference_to_one_detector_has_its_seeds_and_videos() -> None:
    spread = np.array([[0.03, -0.01], [0.01, 0.02]])
    first = [Measured(0.8, spread[0]), Measured(0.9, spread[1])]
    still = paired(first, [Measured(0.5, np.zeros(2))], 30)
    moved = paired(first, [Measured(0.5, np.array([-0.05, 0.0]))], 30)
    assert still.difference == moved.difference == pytest.approx(0.35)
    assert still.standard_error is not None and moved.standard_error is not None
    assert moved.standard_error > still.standard_error >= 0.05  # that of the two seeds alone
    assert paired(first[:1], [Measured(0.5, np.zeros(2))], 30).reason.startswith("one seed")
    assert "source groups" in paired(first, first, 5).reason
    assert run_interval(first[0], 30).interval is not None


def test_scores_of_frames_are_averaged_and_order_does_not_count(test: Scores, tmp_path: Path) -> None:
    lines = [f"{frame},{video},{score}" for video in test.video for frame, score in ((0, 0.2), (5, 0.4))]
    matched = match(write(tmp_path / "f.csv", *lines[::-1], head="frame,video,score"), test)
    assert matched.scores.video == test.video and matched.scores.score == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("head", "lines", "said"),
    [
        (
            "video,score",
            ["{0},high"],
            r"line 2: score must be the probability of FAKE, 0 to 1 \(got 'high'\)",
        ),
        ("video,score", ["{0},nan"], "got 'nan'"),
        ("video,score", ["{0},0.1", "{1},7.5"], "line 3: .*got '7.5'.*sigmoid"),
        ("video,score", ["{0},0.1", "{0},0.1"], "line 3: test000000 is listed more than once"),
        ("video,score", ["{0},0.1", "{0}.mp4,0.1"], "test000000 and test000000.mp4, which are one video"),
        ("video,frame,score", ["{0},1,0.1", "{0},1,0.1"], "with frame 1 more than once"),
        ("video,score", ["{0},0.1", "{2},0.1"], "2 of them, all REAL"),
        ("video,score", ["a,0.1", "b,0.1"], "it has none of them"),
        ("video,score", [], "it has none of them"),
        (
            "video,score,label",
            ["{0},0.1,REAL", "{1},0.1,REAL"],
            "calls test000001 REAL, in the study it is FAKE",
        ),
        ("video,score,label", ["{0},0.1,true"], r"label must be REAL or FAKE \(got 'true'\)"),
        ("video,frame,score,label", ["{0},0,0.1,REAL", "{0},1,0.1,FAKE"], "REAL in one line and FAKE in"),
        ("name,probability", ["{0},0.1"], "has the columns name,probability: they must be video and score"),
        ("video,score", ["{0}"], "truncated: line 2"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence_with_its_name(
    head: str, lines: list[str], said: str, test: Scores, tmp_path: Path
) -> None:
    file = write(tmp_path / "theirs.csv", *(line.format(*test.video) for line in lines), head=head)
    with pytest.raises(UserError, match=said) as error:
        match(file, test)
    assert str(error.value).startswith(str(file))


def test_the_report_goes_on_without_a_file_that_cannot_be_used(
    root: Path, test: Scores, tmp_path: Path
) -> None:
    good, absent = theirs(tmp_path / "good.csv", test), tmp_path / "absent.csv"
    evidence, folder = write_report(root, ["toy"], n_resamples=100, scores=[absent, good])
    assert any("absent.csv" in str(note) and "is left out" in str(note) for note in evidence.notes)
    page = (folder / "index.html").read_text()
    assert "Beside other people" in page and "good.csv has scored 80 of 80 test videos" in page
    assert (folder / "tables" / "detector_differences.csv").is_file()


def test_a_report_without_such_files_has_no_such_section(root: Path) -> None:
    assert "detectors" not in [section.anchor for section in contents(read(root))]
