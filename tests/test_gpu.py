"""What only a GPU shows: whole runs in mixed precision, scores as on the processor, a card that is full."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dfdc_lightning.clips import FaceDataModule
from dfdc_lightning.models.detector import scores
from dfdc_lightning.runs import Run

ROOT = Path(__file__).parents[1]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def train(cache: Path, run: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "train.py",
        f"data.cache={cache}",
        f"hydra.run.dir={run}",
        "scale=scratch",
        *overrides,
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@needs_gpu
@pytest.mark.parametrize("experiment", ["baseline", "focal", "effnet", "lstm"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_run_on_the_gpu_scores_as_its_checkpoint_does_on_the_processor(
    tmp_path: Path, tiny_cache: Path, experiment: str, compiled: bool
) -> None:
    more = (f"experiment={experiment}", f"model.compile={compiled}", "trainer.max_epochs=2", "data.workers=2")
    said = train(tiny_cache, tmp_path / "run", *more)
    assert said.returncode == 0, said.stderr
    assert "-mixed on cuda" in said.stdout
    run = Run(tmp_path / "run")
    assert run.result.hardware["device"] == torch.cuda.get_device_name()
    assert run.result.hardware["peak_gpu_memory_bytes"] > 0
    with run.predictions_file.open(newline="") as file:
        stored = {row["video"]: float(row["score"]) for row in csv.DictReader(file) if row["split"] == "test"}
    detector = run.load_detector()
    for clips in FaceDataModule(tiny_cache, workers=0).test_dataloader():
        with torch.inference_mode():
            here = scores(detector(clips.faces))
        assert [stored[video] for video in clips.video] == pytest.approx(here.tolist(), abs=0.02)


@needs_gpu
def test_a_full_card_names_the_two_keys(tmp_path: Path, tiny_cache: Path) -> None:
    room = torch.empty(torch.cuda.mem_get_info()[0] - 2**29, dtype=torch.uint8, device="cuda")
    said = train(tiny_cache, tmp_path / "run", "data.batch_size=16")
    del room
    assert said.returncode == 2 and "data.batch_size=8 and trainer.accumulate_grad_batches=2" in said.stderr
    assert not (tmp_path / "run" / "result.json").exists()
