"""One run on several devices: together they see what one sees, and the files are those of one."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from drawn import draw_cache

from dfdc_lightning.clips import Batches, EpochOrder, FaceDataModule
from dfdc_lightning.errors import UserError
from dfdc_lightning.results.run_folder import RunFolder

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("n", [16, 17, 19, 33])
@pytest.mark.parametrize("devices", [2, 3])
def test_devices_see_together_each_clip_once(n: int, devices: int) -> None:
    pieces = [list(Batches(EpochOrder(n, seed=1), 8, rank, devices)) for rank in range(devices)]
    alone = list(Batches(EpochOrder(n, seed=1), 8))
    assert len({len(piece) for piece in pieces}) == 1, "each device steps as often as the others"
    joint = [[item for piece in pieces for item in piece[index]] for index in range(len(pieces[0]))]
    assert [item for batch in joint for item in batch] == [item for batch in alone for item in batch]
    assert all(piece for each in pieces for piece in each)


def test_pairs_stay_on_one_device() -> None:
    pairs = [(2 * index, 2 * index + 1) for index in range(7)]
    for rank in range(2):
        for batch in Batches(EpochOrder(7, 0, pairs=pairs), 6, rank, 2):
            indices = [index for _, index in batch]
            assert indices[1::2] == [index + 1 for index in indices[::2]]


@pytest.mark.parametrize("n", [8, 13])
def test_weighted_pieces_of_a_batch_have_the_gradient_of_the_joint_batch(n: int) -> None:
    inputs = torch.randn(n, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.ones(4, dtype=torch.float64, requires_grad=True)
    for index, batch in enumerate(Batches(EpochOrder(n), 5)):
        (joint,) = torch.autograd.grad((inputs[[i for _, i in batch]] @ weight).sigmoid().mean(), weight)
        mean = torch.zeros_like(joint)
        for rank in range(2):
            pieces = Batches(EpochOrder(n), 5, rank, 2)
            piece = [i for _, i in list(pieces)[index]]
            loss = (inputs[piece] @ weight).sigmoid().mean() * pieces.weight(index, 1, len(pieces))
            mean += torch.autograd.grad(loss, weight)[0] / 2  # as DistributedDataParallel averages
        assert torch.allclose(mean, joint, atol=1e-12)


def test_a_batch_smaller_than_the_devices_is_refused() -> None:
    with pytest.raises(UserError, match=r"data.batch_size=2 are too few for trainer.devices=3"):
        Batches(EpochOrder(8), 2, 0, 3)


def command(cache: Path, folder: Path, devices: int) -> list[str]:
    return [
        *(sys.executable, str(ROOT / "train.py"), f"trainer.devices={devices}", f"data.cache={cache}"),
        *(f"hydra.run.dir={folder}", "trainer.accelerator=cpu", "model.backbone.name=test_efficientnet"),
        *("scale=scratch", "model.trainable_layers=0", "trainer.max_epochs=3", "data.batch_size=5"),
        *("logger=none", "data.workers=0"),
    ]


def scores(folder: Path) -> list[tuple[str, str, float]]:
    with RunFolder(folder).predictions_file.open() as file:
        return [(row["split"], row["video"], float(row["score"])) for row in csv.DictReader(file)]


@pytest.mark.timeout(900)
def test_two_processes_are_one_run_and_resume_after_both_are_killed(tmp_path: Path) -> None:
    cache = draw_cache(tmp_path / "cache", {"train": 9, "val": 4, "test": 4}, frames=2, size=32).root
    for devices in (1, 2):
        subprocess.run(command(cache, tmp_path / f"run{devices}", devices), cwd=ROOT, check=True, timeout=600)
    one, two = scores(tmp_path / "run1"), scores(tmp_path / "run2")
    assert [row[:2] for row in one] == [row[:2] for row in two]
    assert len(one) == 16
    assert max(abs(a[2] - b[2]) for a, b in zip(one, two, strict=True)) < 1e-5
    runs = [RunFolder(tmp_path / f"run{devices}") for devices in (1, 2)]
    for ours, theirs in zip(*(run.epochs() for run in runs), strict=True):
        for name in ("train/loss", "val/loss", "train/auroc", "val/auroc"):
            assert ours[name] == pytest.approx(theirs[name], abs=1e-5), name

    killed = tmp_path / "killed"
    process = subprocess.Popen(command(cache, killed, 2), cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 300
    while not RunFolder(killed).last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(command(cache, killed, 2), cwd=ROOT, check=True, timeout=600)
    assert RunFolder(killed).predictions_file.read_bytes() == runs[1].predictions_file.read_bytes()


def test_a_data_module_without_a_trainer_is_one_device(tiny_cache: Path) -> None:
    assert len(next(iter(FaceDataModule(tiny_cache, batch_size=4, workers=0).train_dataloader())).video) == 4
