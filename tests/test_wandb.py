"""W&B shows what the run folder says (offline runs are read back) and is never a reason for a run to fail."""

import csv
import os
import signal
import socket
from pathlib import Path
from typing import Any

import cv2
import lightning as L
import numpy as np
import pytest
import wandb
from hydra.utils import instantiate
from sklearn.metrics import roc_auc_score
from sweeping import toy
from test_callbacks import EPOCHS, StopAt
from test_callbacks import run as train
from test_runs import composed
from wandb_file import OfflineRun

from dfdc_lightning.loggers.login import NOT_SHOWN, wandb_mode
from dfdc_lightning.loggers.tensorboard import TensorBoardMirror
from dfdc_lightning.loggers.wandb import WandbMirror
from dfdc_lightning.results import measures
from dfdc_lightning.runs.settings import say_how_to_watch

CURVES = (
    *("train/loss", "train/auroc", "val/loss", "val/auroc", "val/f1", "val/accuracy", "val/eer"),
    *("lr", "trainable_parameters", "clips_per_second"),
)


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no settings of the machine's owner, and no W&B to reach."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))  # the mirror sets its own; this undoes it afterwards


def mirror() -> WandbMirror:
    return WandbMirror(
        "dfdc-lightning", group="study", name="jpeg-s3", tags=["jpeg"], worst_videos=3, patience=3.0
    )


def folder_of_a_run(root: Path) -> Path:
    """What a claimed run folder holds."""
    (root / ".hydra").mkdir(parents=True)
    (root / ".hydra" / "config.yaml").write_text("name: jpeg\nseed: 3\nmodel: {optimizer: {lr: 0.003}}\n")
    return root


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def shown(
    tmp_path_factory: pytest.TempPathFactory, tiny_cache: Path
) -> tuple[Path, OfflineRun, dict[str, float]]:
    """A run broken off in its third epoch and finished by a second start; the second part as W&B holds it."""
    folder = folder_of_a_run(tmp_path_factory.mktemp("shown"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_DATA_DIR", str(folder))
        with pytest.raises(RuntimeError, match="broken off"):
            train(folder, tiny_cache, mirror(), StopAt(2))
        scores = train(folder, tiny_cache, mirror(), TensorBoardMirror(worst_videos=2))
    return folder, OfflineRun(folder, 1), scores


def test_a_run_has_its_group_name_tags_and_configuration(shown: tuple[Path, OfflineRun, Any]) -> None:
    folder, second, _ = shown
    first = OfflineRun(folder, 0)
    assert (first.run.run_group, first.run.display_name, list(first.run.tags)) == (
        "study",
        "jpeg-s3",
        ["jpeg"],
    )
    assert first.config["name"] == "jpeg" and first.config["seed"] == 3
    assert first.config["model"] == {"optimizer": {"lr": 0.003}}
    assert first.exit_code == 1, "a run that failed must not look finished"
    assert second.exit_code == 0


def test_a_resumed_offline_run_says_that_it_is_the_second_part_and_holds_it_all(
    shown: tuple[Path, OfflineRun, Any],
) -> None:
    folder, second, _ = shown
    assert second.run.display_name == "jpeg-s3 part 2" and second.config["part"] == 2
    assert second.run.run_id != OfflineRun(folder, 0).run.run_id
    assert [epoch for epoch, _ in OfflineRun(folder, 0).curve("val/auroc")] == [1, 2]
    assert [epoch for epoch, _ in second.curve("val/auroc")] == list(range(1, EPOCHS + 1))


def test_every_learning_curve_is_that_of_metrics_csv_with_epochs_from_1(
    shown: tuple[Path, OfflineRun, Any],
) -> None:
    folder, run, _ = shown
    history = rows(folder / "metrics.csv")
    assert len(history) == EPOCHS
    for name in CURVES:
        assert run.curve(name) == [(int(row["epoch"]) + 1, float(row[name])) for row in history], name


def test_the_summary_holds_the_test_metrics(shown: tuple[Path, OfflineRun, dict[str, float]]) -> None:
    _, run, scores = shown
    for name in ("test/auroc", "test/accuracy", "test/f1", "test/eer", "test/loss"):
        assert run.summary[name] == pytest.approx(scores[name]), name


def test_confusion_matrix_and_roc_follow_from_predictions_csv(shown: tuple[Path, OfflineRun, Any]) -> None:
    folder, run, _ = shown
    test = [row for row in rows(folder / "predictions.csv") if row["split"] == "test"]
    counts = {
        (row["Actual"], row["Predicted"]): row["nPredictions"]
        for row in run.table("test/confusion_matrix_table")
    }
    called = [(row["label"], "FAKE" if float(row["score"]) > 0.6 else "REAL") for row in test]
    assert counts == {key: called.count(key) for key in counts} and sum(counts.values()) == len(test)
    curve = run.table("test/roc_table")
    area = np.trapezoid([row["tpr"] for row in curve], [row["fpr"] for row in curve])
    truth = roc_auc_score([row["label"] == "FAKE" for row in test], [float(row["score"]) for row in test])
    assert area == pytest.approx(truth)


def test_the_worst_videos_come_first_with_their_faces(shown: tuple[Path, OfflineRun, Any]) -> None:
    folder, run, _ = shown
    test = [row for row in rows(folder / "predictions.csv") if row["split"] == "test"]
    errors = {row["video"]: abs(float(row["score"]) - (row["label"] == "FAKE")) for row in test}
    table = run.table("test/worst_videos")
    assert [row["error"] for row in table] == pytest.approx(sorted(errors.values(), reverse=True)[:3])
    assert [errors[row["video"]] for row in table] == pytest.approx([row["error"] for row in table])
    assert len(run.images) == 3
    strip = cv2.imread(str(run.images[0]))
    assert strip is not None and strip.shape == (96, 4 * 96, 3), "four faces side by side"
    assert all(path.is_relative_to(folder) for path in run.images), "a sync needs more than the run folder"


def test_tensorboard_has_the_same_curves(shown: tuple[Path, OfflineRun, dict[str, float]]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, _, scores = shown
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    history = rows(folder / "metrics.csv")
    for name in CURVES:
        seen = [(event.step, event.value) for event in events.Scalars(name)]
        assert [step for step, _ in seen] == list(range(1, EPOCHS + 1))
        assert [value for _, value in seen] == pytest.approx([float(row[name]) for row in history], rel=1e-6)
    assert events.Scalars("test/auroc")[0].value == pytest.approx(scores["test/auroc"])
    assert len(events.Tags()["images"]) == 2


class KillService(L.Callback):
    """Kill W&B's own process after the first epoch."""

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                ours = (process / "stat").read_text().rpartition(")")[2].split()[1] == str(os.getpid())
                if ours and "wandb-core" in (process / "cmdline").read_text():
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:
                continue


def test_a_run_goes_on_when_wandb_breaks_half_way(
    tmp_path: Path, tiny_cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wandb.teardown()  # so that this run starts a service of its own, which then dies
    folder = folder_of_a_run(tmp_path / "run")
    scores = train(folder, tiny_cache, mirror(), KillService())
    assert "test/auroc" in scores and len(rows(folder / "metrics.csv")) == EPOCHS
    said = capfd.readouterr().out
    assert said.count("W&B no longer follows this run") == 1
    wandb.teardown()


def test_a_key_without_a_network_means_offline_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    following = mirror()
    following.open(folder_of_a_run(tmp_path / "run"))
    following.close(failed=False)
    said = capsys.readouterr().out
    assert "W&B does not answer" in said
    assert f"wandb sync {tmp_path}/run/wandb/offline-run-" in said


def test_a_malformed_key_means_offline_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    following = mirror()
    following.open(folder_of_a_run(tmp_path / "run"))
    following.close(failed=False)
    assert "wandb sync" in capsys.readouterr().out
    assert OfflineRun(tmp_path / "run").run.display_name == "jpeg-s3"


def test_an_offline_run_is_whole_as_soon_as_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B's finish() alone came back before its service had written a record, in one of ten runs."""
    torn_down: list[int] = []
    monkeypatch.setattr(wandb, "teardown", lambda exit_code: torn_down.append(exit_code))
    following = mirror()
    following._run = type("Run", (), {"finish": lambda self, exit_code: torn_down.append(-1)})()
    following.close(failed=True)
    assert torn_down == [-1, 1], "the service must end after the run, so that its file is written"


def test_a_run_is_shown_where_a_key_is_and_one_line_says_how_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with composed() as config:
        settings = config.logger.wandb

        def follower() -> L.Callback:
            return instantiate(settings)

        def said() -> str:
            monkeypatch.setenv("DFDC_WANDB_SAID", "")
            say_how_to_watch(config)
            return capsys.readouterr().out

        assert type(follower()) is L.Callback and said() == f"{NOT_SHOWN}\n"
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login user password {'0' * 40}\n")
        followed = follower()
        assert isinstance(followed, WandbMirror) and wandb_mode() == "online" and not said()
        assert (followed.group, followed.name, followed.patience) == ("dfdc", "baseline-s0", 10)
        monkeypatch.setenv("WANDB_MODE", "disabled")
        assert type(follower()) is L.Callback and not said()
        monkeypatch.setenv("WANDB_MODE", "offline")
        assert isinstance(follower(), WandbMirror) and not said()
        monkeypatch.delenv("WANDB_MODE")
        (tmp_path / "netrc").unlink()
        config.logger = {}  # as logger=none has it
        assert not said()


def test_a_sweep_says_once_how_its_runs_could_be_watched(tmp_path: Path) -> None:
    auto = "+logger.wandb._target_=dfdc_lightning.loggers.auto.wandb_where_a_key_is"
    assert toy(tmp_path, "-m", "seed=0,1", auto, DFDC_WANDB_SAID="").out.count(NOT_SHOWN) == 1


def test_wandb_that_says_nothing_is_given_up_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its client would ask again for as long as `patience`, which is never used up here."""
    tried: list[str] = []
    monkeypatch.setattr(WandbMirror, "_start", lambda self, folder, mode: tried.append(mode))
    monkeypatch.setattr("dfdc_lightning.loggers.wandb._ANSWER", 0.2)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{mute.getsockname()[1]}")
        WandbMirror("dfdc-lightning", "study", "jpeg-s3", patience=60).open(tmp_path)
    said = capsys.readouterr().out
    assert tried == ["offline"] and said.startswith("W&B does not answer (") and said.count("\n") == 1


@pytest.mark.parametrize(("monitor", "best"), [("val/auroc", "max"), ("val/eer", "min"), ("val/loss", "min")])
def test_the_summary_of_the_monitored_measure_is_its_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, monitor: str, best: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = folder_of_a_run(tmp_path / "run")
    with (folder / ".hydra" / "config.yaml").open("a") as file:
        file.write(f"monitor: {monitor}\n")
    following = mirror()
    following.open(folder)
    for epoch, value in enumerate((0.4, 0.2, 0.6)):
        following.show_epoch({"epoch": epoch, monitor: value})
    following.close(failed=False)
    assert OfflineRun(folder).best == {monitor: best}


def test_an_unwritable_folder_does_not_stop_a_run(
    tmp_path: Path, tiny_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of_a_run(tmp_path / "run")
    (folder / ".hydra" / "wandb.json").write_text("{")  # half-written by hand
    following = mirror()
    following.setup(
        L.Trainer(default_root_dir=folder, logger=False, barebones=True), L.LightningModule(), "fit"
    )
    assert "W&B no longer follows this run" in capsys.readouterr().out


def test_ties_move_together_on_the_roc_curve() -> None:
    curve = measures.roc(np.array([0.5, 0.5, 0.9]), np.array([True, False, True]))
    assert list(zip(curve.fpr, curve.tpr, strict=True)) == [(0, 0), (0, 0.5), (1, 1)]
