"""What the report says of each method of forgery, against what the scores were made to hold."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.example_study import write_study
from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache, Row
from dfdc_lightning.report import methods
from dfdc_lightning.report.evidence import Evidence, gather
from dfdc_lightning.report.study import read_study


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Two experiments; every second FAKE is of the method "easy", the others of "hard"; one is "rare"."""
    root = tmp_path_factory.mktemp("methods")
    write_study(root / "toy", {"baseline": 1.5, "lstm": 2.4}, seeds=(0, 1, 2), videos=80)
    test = gather([read_study(root, "toy", ["baseline"])], n_resamples=50).experiments[0].runs[0].test
    fakes = [video for video, fake in zip(test.video, test.label, strict=True) if fake]
    of = {video: ("easy", "hard")[place % 2] for place, video in enumerate(fakes)} | {fakes[0]: "rare"}
    FaceCache(root / "cache").write_rows(
        [
            Row(video, FAKE if fake else REAL, split="test", profile="p", method=of.get(video, ""))
            for video, fake in zip(test.video, test.label, strict=True)
        ]
    )
    for path in root.glob("toy/*/*/result.json"):
        result = json.loads(path.read_text())
        result["data"]["cache"] = str(root / "cache")
        path.write_text(json.dumps(result))
    return gather([read_study(root, "toy", ["baseline"])], n_resamples=50)


def test_a_method_is_measured_against_all_real_videos(evidence: Evidence) -> None:
    table = methods.table(evidence)
    assert table.columns == ["experiment", "easy", "hard"], "one video is too few for a method"
    run = evidence.experiments[0].runs[0]
    fakes = np.flatnonzero(run.test.label)
    easy = np.r_[np.flatnonzero(~run.test.label), fakes[2::2]]
    expected = roc_auc_score(run.test.label[easy], run.test.score[easy])
    measured = methods.of_methods(evidence.experiments[0])["easy"].runs
    assert measured[0].value == pytest.approx(expected)
    assert table.rows[0][1].startswith(f"{np.mean([one.value for one in measured]):.3f} (")


def test_the_drawing_has_a_line_for_each_experiment_and_method(evidence: Evidence) -> None:
    (picture,) = methods.figure(evidence)
    (axes,) = picture.figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["easy", "hard"]
    assert len(axes.lines) == 2 * 2 * 2 + 1  # an interval and a mean of each, and the line at 0.5


def test_without_the_face_cache_nothing_is_said(tmp_path: Path) -> None:
    write_study(tmp_path / "toy", {"baseline": 1.5}, seeds=(0, 1), videos=40)
    found = gather([read_study(tmp_path, "toy", ["baseline"])], n_resamples=50)
    assert methods.table(found).rows == []
    assert methods.figure(found) == []
