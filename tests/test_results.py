"""A run folder's files come back as they were written, and what is damaged is refused in a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from documented import names_of
from made_up import made_up

from dfdc_lightning.errors import UserError
from dfdc_lightning.results.epochs import read_epochs, write_epochs
from dfdc_lightning.results.predictions import ScoredVideo, read_predictions, write_predictions
from dfdc_lightning.results.result import Level, Result, read_result, write_result
from dfdc_lightning.results.run_folder import RunFolder, find_runs

if TYPE_CHECKING:
    from forgeries import Trained

EPOCHS: list[dict[str, float]] = [
    {"epoch": 0, "train/loss": 0.69, "val/auroc": 0.51, "trainable_parameters": 90, "seconds": 12.34},
    {"epoch": 1, "train/loss": 0.61, "val/auroc": 0.753, "trainable_parameters": 90, "seconds": 11.02},
]


def videos(frames: int) -> list[ScoredVideo]:
    scores = np.random.default_rng(0).random((4, 1 + frames)).round(6).tolist()
    return [
        ScoredVideo(split, f"{split}{fake:d}", "g", fake, score, of_frames)
        for split, fake, (score, *of_frames) in zip(
            ("val", "val", "test", "test"), (False, True, False, True), scores, strict=True
        )
    ]


def test_a_result_comes_back_as_it_was_written(tmp_path: Path) -> None:
    for each in (made_up(), made_up(weights={"source": "file"}, level="frame")):
        write_result(tmp_path / "result.json", each)
        assert read_result(tmp_path / "result.json") == each


def test_the_document_names_what_a_trained_run_says_of_itself(trained: "Trained") -> None:
    """docs/architecture.md lists every name of result.json and metrics.csv, in their order."""
    run = RunFolder(trained.run)
    documented = names_of("result.json")
    assert list(documented) == [*Result._fields]
    for name, inside in documented.items():
        if inside:
            assert inside == [*getattr(run.result, name)], name
    header = run.metrics_file.read_text().splitlines()[0]
    assert list(names_of("metrics.csv")) == header.split(",")


def test_a_result_of_a_later_version_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(made_up()._asdict() | {"carbon": 3}))
    assert read_result(tmp_path / "result.json") == made_up()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seconds": None}, r"seconds must be a number from 0 to \d+ \(got null\)"),
        ({"seconds": "fast"}, r"seconds must be .* \(got fast\)"),
        ({"seconds": float("nan")}, r"seconds must be .* \(got nan\)"),
        ({"parameters": 10**4000}, r"parameters must be .* \(got 10000.*…\)"),
        ({"seconds": 10**4000}, r"seconds must be .* \(got 10000.*…\)"),
        ({"epochs": "two"}, r"epochs must be a whole number"),
        ({"threshold": float("nan")}, r"threshold must be a number from 0 to 1 \(got nan\)"),
        ({"threshold": True}, r"threshold must be .*\(got True\)"),
        ({"level": "video"}, r"level must be one of frame, clip \(got video\)"),
        ({"level": ["frame"]}, r"level must be one of frame, clip"),
        ({"test": {"auroc": 1.2}}, r"test.auroc must be a number from 0 to 1 \(got 1.2\)"),
        ({"val": {}}, r"val.auroc must be .*\(got null\)"),
        ({"test": [0.9]}, r"test must be keys with values"),
        ({"data": {}}, r"data.counts must be keys with values \(got null\)"),
        ({"data": {"counts": {"test": {"REAL": "7"}}}}, r"data.counts.test.REAL must be a whole number"),
        ({"data": {"counts": {"test": 7}}}, r"data.counts.test must be keys with values"),
        ({"hardware": {"peak_gpu_memory_bytes": "much"}}, r"hardware.peak_gpu_memory_bytes must be"),
        ({"study": None}, r"study must be a text"),
        ({"config": None}, r"config must be keys with values"),
    ],
)
def test_a_result_of_the_wrong_kind_is_neither_read_nor_written(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(made_up()._asdict() | change))
    with pytest.raises(UserError, match=rf"result\.json is damaged .*{sentence}.*delete it"):
        read_result(path)
    path.unlink()
    with pytest.raises(UserError, match=sentence):
        write_result(path, made_up(**change))
    assert not path.exists()


@pytest.mark.parametrize("name", ["level", "test", "seconds", "data"])
def test_a_result_that_lacks_a_fact_is_refused(tmp_path: Path, name: str) -> None:
    content = made_up()._asdict()
    del content[name]
    (tmp_path / "result.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"does not state {name}"):
        read_result(tmp_path / "result.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", "[" * 100_000, '{"seed": 1' + "0" * 5000 + "}"])
def test_a_result_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(UserError, match=r"result\.json is damaged"):
        read_result(tmp_path / "result.json")


def test_a_result_of_other_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match=r"result\.json is damaged"):
        read_result(tmp_path / "result.json")


def test_epochs_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    write_epochs(path, EPOCHS)
    assert read_epochs(path) == EPOCHS
    before = path.read_bytes()
    write_epochs(path, read_epochs(path))
    assert path.read_bytes() == before, "a resumed run keeps the rows before it"
    assert read_epochs(tmp_path / "absent.csv") == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("val/auroc,seconds\n0.5,2\n", "it has no column epoch"),
        ("epoch,val/auroc,seconds\n0,high,2\n", r"val/auroc must be a number \(got high\)"),
        ("epoch,val/auroc,seconds\n0,1.2,2\n", r"val/auroc must be from 0 to 1 \(got 1.2\)"),
        ("epoch,val/auroc,seconds\n0,nan,2\n", r"val/auroc must be from 0 to 1 \(got nan\)"),
        ("epoch,val/auroc,seconds\n0,0.5,-2\n", r"seconds must be a number of at least 0 \(got -2\)"),
        ("epoch,val/auroc,seconds\n0,0.5,2\n1,0.83,4", "its last line has no end"),
        ("epoch,val/auroc,seconds\n0,0.5,2\n1,0.83\n", "line 3 has 2 of 3 fields"),
        ("epoch,val/auroc,seconds\n0,0.5,\n", "line 2 is not the row of epoch 0"),
        ("epoch,val/auroc,seconds\n1,0.5,2\n", "line 2 is not the row of epoch 0"),
        ("", "it is empty"),
    ],
)
def test_damaged_epochs_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(UserError, match=rf"metrics\.csv is damaged \(.*{sentence}.*overwrite=true"):
        read_epochs(tmp_path / "metrics.csv")


@pytest.mark.parametrize(("frames", "level"), [(0, "clip"), (1, "frame"), (3, "frame")])
def test_predictions_come_back_as_they_were_written(tmp_path: Path, frames: int, level: Level) -> None:
    written = videos(frames)
    write_predictions(tmp_path / "predictions.csv", written)
    splits, faults = read_predictions(tmp_path / "predictions.csv", level)
    assert not faults
    assert splits["val"].score.tolist() == [each.score for each in written[:2]]
    assert splits["test"].label.tolist() == [False, True]
    if level == "clip":
        assert splits["test"].frames is None
    else:
        assert splits["test"].frames is not None
        assert splits["test"].frames.tolist() == [each.frames for each in written[2:]]


@pytest.mark.parametrize(("frames", "level"), [(0, "frame"), (1, "clip")])
def test_the_level_that_is_stated_decides_what_is_read(tmp_path: Path, frames: int, level: Level) -> None:
    write_predictions(tmp_path / "predictions.csv", videos(frames))
    _, faults = read_predictions(tmp_path / "predictions.csv", level)
    assert f"not those of a {level} detector" in faults["test"]


def cut(text: str) -> str:
    return text[:-3]


def without_last_field(text: str) -> str:
    return text.rpartition(",")[0] + "\n"


@pytest.mark.parametrize(
    ("change", "sentence"), [(cut, "its last line has no end"), (without_last_field, "has 5 of 6 fields")]
)
def test_predictions_that_were_cut_are_refused(
    tmp_path: Path, change: Callable[[str], str], sentence: str
) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, videos(1))
    path.write_text(change(path.read_text()))
    splits, faults = read_predictions(path, "frame")
    assert not splits and sentence in faults["val"]


def test_a_run_says_how_far_it_has_come(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "toy" / "lstm" / "3")
    assert run.status.state == "missing" and run.name == "toy/lstm/3"
    write_epochs(run.metrics_file, EPOCHS)
    assert run.status == ("unfinished", "2 epochs so far")
    run.error_file.write_text("Traceback …\n  File …\nRuntimeError: out of memory\n")
    assert run.status == ("failed", "RuntimeError: out of memory")
    write_result(run.result_file, made_up())
    assert run.status.state == "finished"
    run = RunFolder(run.folder)
    run.result_file.write_text("{")
    state, detail = run.status
    assert state == "failed" and detail.startswith("result.json is damaged")


def test_a_seed_has_one_folder(tmp_path: Path) -> None:
    for name in (
        "toy/lstm/1",
        "toy/lstm/01",
        "toy/lstm/٣",
        "toy/lstm/-1",
        "toy/report/tables",
        "toy/lstm/10",
    ):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "toy" / "lstm" / "2").touch()
    assert [run.name for run in find_runs(tmp_path / "toy")] == ["toy/lstm/1", "toy/lstm/10"]
