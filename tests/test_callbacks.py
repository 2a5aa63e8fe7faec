"""What a run leaves behind, and that an interrupted run leaves the same."""

import copy
import csv
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from dfdc_lightning.augment import Augment, ColourJitter, HorizontalFlip
from dfdc_lightning.callbacks.checkpoints import BestAndLast, CarefulIO, load_weights, newest_readable
from dfdc_lightning.callbacks.epoch_lines import EpochLines
from dfdc_lightning.callbacks.epoch_seed import EpochSeed
from dfdc_lightning.callbacks.gradual_unfreeze import GradualUnfreeze
from dfdc_lightning.callbacks.history import History
from dfdc_lightning.callbacks.memory import MemoryAdvice
from dfdc_lightning.callbacks.prediction_writer import PredictionWriter
from dfdc_lightning.clips import FaceDataModule
from dfdc_lightning.errors import UserError
from dfdc_lightning.losses import SmoothedBCE
from dfdc_lightning.models.backbone import timm_backbone
from dfdc_lightning.models.frame import FrameDetector
from dfdc_lightning.results.epochs import COLUMNS, write_epochs
from dfdc_lightning.results.run_folder import RunFolder

EPOCHS = 4
STAGES = [0, 1, 2]  # 3, 6 and 9 layers


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small only wait for each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class StopAt(L.Callback):
    """Break off in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if (trainer.current_epoch, index) == (self.epoch, 1):
            raise RuntimeError("broken off")


def detector(trainable_layers: int | None = 9, compile: bool = False) -> FrameDetector:  # noqa: A002
    torch.manual_seed(1)
    return FrameDetector(
        timm_backbone("test_efficientnet", pretrained=False),
        loss=SmoothedBCE(0.005),
        optimizer=partial(torch.optim.AdamW, lr=3e-3),
        scheduler=partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=EPOCHS),
        trainable_layers=trainable_layers,
        threshold=0.6,
        mean=[0.485, 0.456, 0.406],
        std=[0.229, 0.224, 0.225],
        compile=compile,
    )


def trainer(folder: Path, *more: L.Callback) -> L.Trainer:
    return L.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        callbacks=[
            EpochSeed(3),
            GradualUnfreeze(STAGES),
            History(),
            PredictionWriter(),
            BestAndLast("val/auroc"),
            EpochLines(),
            MemoryAdvice(),
            *more,
        ],
        plugins=[CarefulIO()],
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def run(folder: Path, cache: Path, *more: L.Callback, seed: int = 0) -> dict[str, float]:
    """Fit (going on from what lies in the folder), validate and test, as train.py does."""
    recipe = Augment(flip=HorizontalFlip(0.5), colour=ColourJitter(0.1, 0.1, 0.1))
    data = FaceDataModule(cache, recipe, 4, 0, seed)
    model, loop = detector(), trainer(folder, *more)
    loop.fit(model, datamodule=data, ckpt_path=newest_readable(RunFolder(folder)))
    best = RunFolder(folder).best
    (val,) = loop.validate(model, datamodule=data, ckpt_path=best, verbose=False)
    (test,) = loop.test(model, datamodule=data, ckpt_path=best, verbose=False)
    return {**val, **test}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_cache: Path) -> tuple[Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp("finished")
    return folder, run(folder, tiny_cache)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_metrics_csv_has_one_row_per_epoch_with_its_learning_rate(finished: tuple[Path, dict]) -> None:
    history = rows(finished[0] / "metrics.csv")
    assert tuple(history[0]) == COLUMNS
    assert [row["epoch"] for row in history] == ["0", "1", "2", "3"]
    cosine = [0.003 * (1 + math.cos(math.pi * epoch / EPOCHS)) / 2 for epoch in range(EPOCHS)]
    assert [float(row["lr"]) for row in history] == pytest.approx(cosine)
    assert all(math.isfinite(float(row[name])) for row in history for name in COLUMNS)


def test_logged_metrics_are_scikit_learns_on_the_stored_predictions(finished: tuple[Path, dict]) -> None:
    folder, logged = finished
    predictions = rows(folder / "predictions.csv")
    for split in ("val", "test"):
        mine = [row for row in predictions if row["split"] == split]
        label = np.array([row["label"] == "FAKE" for row in mine])
        score = np.array([float(row["score"]) for row in mine])
        frames = np.array([[float(row[f"score_frame_{k}"]) for k in range(4)] for row in mine])
        assert len(mine) == 8
        assert logged[f"{split}/auroc"] == pytest.approx(roc_auc_score(label, score), abs=1e-6)
        assert logged[f"{split}/accuracy"] == pytest.approx(accuracy_score(label, score > 0.6), abs=1e-6)
        assert logged[f"{split}/f1"] == pytest.approx(f1_score(label, score > 0.6, zero_division=0), abs=1e-6)
        frame_auroc = roc_auc_score(label.repeat(4), frames.flatten())
        assert logged[f"{split}/frame_auroc"] == pytest.approx(frame_auroc, abs=1e-6)
        assert score == pytest.approx(frames.mean(1), abs=1e-6)
        assert all(row["group"] == row["video"].removesuffix("_fake") for row in mine)


def test_the_best_epoch_has_the_highest_validation_auroc_and_of_equals_the_lowest_loss(
    finished: tuple[Path, dict],
) -> None:
    folder, logged = finished
    epochs = rows(folder / "metrics.csv")
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    judged = [(-float(row["val/auroc"]), float(row["val/loss"])) for row in epochs]
    assert best["epoch"] == judged.index(min(judged))
    assert logged["val/auroc"] == pytest.approx(-min(judged)[0], abs=1e-6)


class Epochs(L.Trainer):
    """Ends one epoch after the other with given measures; its checkpoint is the epoch's number."""

    current_epoch = 0

    def __init__(self, folder: Path) -> None:
        super().__init__(default_root_dir=folder, logger=False, accelerator="cpu", enable_progress_bar=False)
        self.rows: list[dict[str, float]] = []

    def end(self, callback: L.Callback, **measures: float) -> None:
        self.current_epoch = len(self.rows)
        row = {f"val/{name}": value for name, value in measures.items()}
        self.rows.append({"epoch": self.current_epoch, "seconds": 1.0} | row)
        write_epochs(RunFolder(Path(self.default_root_dir)).metrics_file, self.rows)
        callback.on_train_epoch_end(self, L.LightningModule())

    def save_checkpoint(self, path: Any, *_: Any) -> None:
        Path(path).write_text(str(self.current_epoch))


def test_the_row_of_an_epoch_that_is_repeated_goes(tmp_path: Path) -> None:
    trainer = L.Trainer(default_root_dir=tmp_path, logger=False, barebones=True)
    trainer.fit_loop.epoch_progress.current.completed = 1
    rows: list[dict[str, float]] = [
        {"epoch": 0, "val/auroc": 0.6, "seconds": 9},
        {"epoch": 1, "val/auroc": 0.7, "seconds": 9},
    ]
    write_epochs(RunFolder(tmp_path).metrics_file, rows)
    history = History()
    history.on_train_start(trainer, L.LightningModule())
    assert [row["epoch"] for row in history.epochs] == [0]


def test_of_equal_epochs_the_first_is_kept(tmp_path: Path) -> None:
    loop, callback = Epochs(tmp_path), BestAndLast("val/auroc")
    for _ in range(3):
        loop.end(callback, auroc=0.75, loss=0.5)
    names = ("best.ckpt", "previous.ckpt", "last.ckpt")
    assert [(tmp_path / "checkpoints" / name).read_text() for name in names] == ["0", "1", "2"]


@pytest.mark.parametrize("links", [True, False])
def test_the_best_epoch_is_kept_without_being_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def no_links(*_: Any) -> None:
        raise OSError("Operation not permitted")

    if not links:  # as on some network disks
        monkeypatch.setattr(Path, "hardlink_to", no_links)
    loop, callback, folder = Epochs(tmp_path), BestAndLast("val/auroc"), tmp_path / "checkpoints"
    for epoch, best in enumerate("011"):
        loop.end(callback, auroc=0.5 + 0.1 * min(epoch, 1))
        assert (folder / "best.ckpt").read_text() == best
        assert (folder / "last.ckpt").read_text() == str(epoch)
        if epoch == int(best):
            assert (folder / "best.ckpt").samefile(folder / "last.ckpt") == links
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "last.ckpt", "previous.ckpt"}


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt", "previous.ckpt"])
def test_every_checkpoint_opens_with_weights_only(finished: tuple[Path, dict], name: str) -> None:
    checkpoint = torch.load(finished[0] / "checkpoints" / name, weights_only=True)
    fresh = detector()
    fresh.load_state_dict(checkpoint["state_dict"])
    load_weights(fresh, finished[0] / "checkpoints" / name)


@pytest.mark.parametrize("epoch", [0, 2, 3])
def test_a_run_broken_off_in_any_epoch_ends_as_one_that_was_not(
    tmp_path: Path, tiny_cache: Path, finished: tuple[Path, dict], epoch: int
) -> None:
    with pytest.raises(RuntimeError, match="broken off"):
        run(tmp_path, tiny_cache, StopAt(epoch))
    torch.manual_seed(99)  # whatever went on in between
    run(tmp_path, tiny_cache)
    timed = ("clips_per_second", "seconds")
    for ours, theirs in zip(rows(tmp_path / "metrics.csv"), rows(finished[0] / "metrics.csv"), strict=True):
        assert {k: v for k, v in ours.items() if k not in timed} == {
            k: v for k, v in theirs.items() if k not in timed
        }
    assert (tmp_path / "predictions.csv").read_bytes() == (finished[0] / "predictions.csv").read_bytes()


def test_a_trained_run_that_was_not_tested_is_only_tested(
    tmp_path: Path, tiny_cache: Path, finished: tuple[Path, dict]
) -> None:
    (tmp_path / "checkpoints").mkdir()
    for path in (*(finished[0] / "checkpoints").iterdir(), finished[0] / "metrics.csv"):
        (tmp_path / path.relative_to(finished[0])).write_bytes(path.read_bytes())
    run(tmp_path, tiny_cache)
    for name in ("metrics.csv", "predictions.csv"):
        assert (tmp_path / name).read_bytes() == (finished[0] / name).read_bytes()


def test_layers_open_as_scheduled_and_closed_ones_do_not_move(tmp_path: Path, tiny_cache: Path) -> None:
    class Watch(L.Callback):
        def __init__(self) -> None:
            self.moved: list[set[str]] = []

        def on_train_epoch_start(self, trainer: L.Trainer, module: Any) -> None:
            self.before = copy.deepcopy(module.backbone.state_dict())

        def on_train_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
            now = module.backbone.state_dict()  # with the running statistics of BatchNorm
            moved = {key for key in now if not torch.equal(now[key], self.before[key])}
            self.moved.append({key.rpartition(".")[0] for key in moved})

    watch = Watch()
    run(tmp_path, tiny_cache, watch)
    fresh = detector()
    assert watch.moved == [{layer.name for layer in fresh.layers[-n:]} for n in (3, 6, 9, 9)]
    counts = [int(row["trainable_parameters"]) for row in rows(tmp_path / "metrics.csv")]
    head = sum(p.numel() for p in fresh.head.parameters())
    by_hand = [
        head + sum(p.numel() for layer in fresh.layers[-n:] for p in layer.module.parameters(recurse=False))
        for n in (3, 6, 9, 9)
    ]
    assert counts == by_hand


@pytest.mark.parametrize("epochs", [[], [1, 2], [0, 0], [0, 2, 1]])
def test_a_schedule_that_makes_no_sense_is_refused(epochs: list[int]) -> None:
    with pytest.raises(UserError, match=r"gradual_unfreeze\.epochs"):
        GradualUnfreeze(epochs)


def test_18_layers_open_by_thirds() -> None:
    assert [GradualUnfreeze([0, 1, 2]).open_at(epoch, 18) for epoch in range(5)] == [6, 12, 18, 18, 18]


def test_gradual_unfreezing_refuses_several_devices() -> None:
    two = L.Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_checkpointing=False)
    with pytest.raises(UserError, match=r"one device, not 2: set trainer\.devices=1"):
        GradualUnfreeze(STAGES).on_fit_start(two, detector())


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[: len(data) // 2]
    elif how == "empty":
        data = bytearray()
    elif how == "flipped":
        data[len(data) // 2] ^= 1
    elif how == "noise":
        data = bytearray(np.random.default_rng(0).bytes(4000))
    path.write_bytes(data)


class Evil:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("evil_was_here"),))


@pytest.mark.parametrize("how", ["truncated", "empty", "flipped", "noise"])
def test_an_unreadable_last_checkpoint_falls_back_to_the_previous(
    tmp_path: Path, finished: tuple[Path, dict], how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir()
    for path in (run.last, run.previous):
        path.write_bytes((finished[0] / "checkpoints" / path.name).read_bytes())
    assert newest_readable(run) == run.last
    damage(run.last, how)
    assert newest_readable(run) == run.previous
    assert "last.ckpt is" in capsys.readouterr().err
    damage(run.previous, how)
    with pytest.raises(UserError, match=r"previous\.ckpt is .*delete it"):
        newest_readable(run)


def test_a_checkpoint_that_would_run_code_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Evil()}, tmp_path / "best.ckpt")
    with pytest.raises(UserError, match=r"best\.ckpt .*: train the run again with overwrite=true"):
        load_weights(detector(), tmp_path / "best.ckpt")
    assert not (tmp_path / "evil_was_here").exists()


def test_foreign_checkpoints_get_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(UserError, match=r"best\.ckpt must be a checkpoint of this project"):
        load_weights(detector(), path)
    torch.save({"state_dict": {"head.weight": torch.zeros(1, 3)}}, path)
    with pytest.raises(UserError, match="another network"):
        load_weights(detector(), path)
    state = detector().state_dict()
    torch.save({"state_dict": {**state, "head.weight": torch.zeros(1, 3)}}, path)
    with pytest.raises(UserError, match=r"1 entries differ, head\.weight first"):
        load_weights(detector(), path)
    with pytest.raises(UserError, match=r"nowhere\.ckpt does not exist"):
        load_weights(detector(), tmp_path / "nowhere.ckpt")


def test_too_little_memory_names_the_two_keys(tmp_path: Path, tiny_cache: Path) -> None:
    class Full(L.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UserError, match=r"data.batch_size=2 and trainer.accumulate_grad_batches=2,"):
        run(tmp_path, tiny_cache, Full())


@pytest.mark.parametrize(("size", "smaller", "times"), [(32, 16, 2), (9, 3, 3), (7, 1, 7)])
def test_the_advised_batches_make_up_the_large_one(size: int, smaller: int, times: int) -> None:
    loop = trainer(Path())
    loop.datamodule = FaceDataModule("nowhere", batch_size=size)  # type: ignore[attr-defined]
    loop.accumulate_grad_batches = 2
    advice = f"data.batch_size={smaller} and trainer.accumulate_grad_batches={2 * times},"
    with pytest.raises(UserError, match=advice):
        MemoryAdvice().on_exception(loop, detector(), torch.OutOfMemoryError())
    loop.datamodule = FaceDataModule("nowhere", batch_size=1)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"of 1 clips: prepare smaller faces \(size=\), or open fewer layers"):
        MemoryAdvice().on_exception(loop, detector(), torch.OutOfMemoryError())


def test_a_processor_without_memory_gets_the_advice_and_other_errors_go_on(tiny_cache: Path) -> None:
    loop = trainer(Path())
    loop.datamodule = FaceDataModule(tiny_cache, batch_size=4)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"cpu has too little memory for batches of 4 clips"):
        MemoryAdvice().on_exception(
            loop, detector(), RuntimeError("DefaultCPUAllocator: can't allocate memory")
        )
    MemoryAdvice().on_exception(loop, detector(), RuntimeError("something else"))


class Gradients(L.Callback):
    """Keep the gradients of each step."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def on_before_optimizer_step(
        self, trainer: L.Trainer, module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        gradients = [each.grad.flatten() for each in module.parameters() if each.grad is not None]
        self.steps.append(torch.cat(gradients))


def gradients(
    network: str, layers: int | None, cache: Path, batch: int, accumulated: int
) -> list[torch.Tensor]:
    """Gradients of an epoch of 16 clips in which no weight moves, with the losses weighed by Lightning."""
    torch.manual_seed(1)
    options = {"img_size": 64} if network == "test_vit" else {}
    model = FrameDetector(
        timm_backbone(network, pretrained=False, **options),
        loss=SmoothedBCE(0.005),
        optimizer=partial(torch.optim.AdamW, lr=0.0),
        scheduler=partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=1),
        trainable_layers=layers,
        threshold=0.6,
        mean=None,
        std=None,
    )
    kept = Gradients()
    loop = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        accumulate_grad_batches=accumulated,
        logger=False,
        callbacks=[kept],
        enable_checkpointing=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loop.fit(model, datamodule=FaceDataModule(cache, None, batch, 0, 0))
    return kept.steps


# Of 16 clips, 6 at a time leave 4; 3 at a time leave 1, which joins the batch before; 12 at a time leave 4.
@pytest.mark.parametrize(("large", "small"), [(6, 2), (6, 3), (12, 4), (16, 5)])
@pytest.mark.parametrize(("network", "layers"), [("test_vit", None), ("test_resnet", 0)])
def test_accumulated_batches_have_the_gradient_of_the_large_one(
    network: str, layers: int | None, large: int, small: int, tiny_cache: Path
) -> None:
    whole = gradients(network, layers, tiny_cache, large, 1)
    summed = gradients(network, layers, tiny_cache, small, -(-large // small))
    assert len(whole) == len(summed) == -(-16 // large)
    for one, other in zip(whole, summed, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-5 * one.abs().max())


def test_the_start_says_how_many_parameters_train_and_each_epoch_gets_a_line(
    tmp_path: Path, tiny_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, tiny_cache)
    out = capsys.readouterr().out
    total = sum(p.numel() for p in detector().parameters())
    assert f"of {total:,} parameters train" in out
    assert len([line for line in out.splitlines() if "val/auroc" in line]) == EPOCHS


def test_an_unknown_monitor_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"monitor must be one of val/auroc, .*val/loss \(got val/acu\)"):
        BestAndLast("val/acu")
