"""The same command ends with the same predictions, byte for byte, whatever kills it and however many load.

The predictions are those of the best epoch, and a run that was killed goes on where it was.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dfdc_lightning.clips import FaceDataModule
from dfdc_lightning.models.detector import scores
from dfdc_lightning.runs import Run

ROOT = Path(__file__).parents[1]


def start(cache: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "train.py", "experiment=effnet", "model.backbone.name=test_efficientnet"),
        *("model.backbone.pretrained=false", "model.trainable_layers=9", "trainer.max_epochs=4"),
        "monitor=val/loss",  # which only rises here: the first epoch is the best, not the last
        *("trainer.accelerator=cpu", f"data.cache={cache}", "data.batch_size=2", f"data.workers={workers}"),
        f"hydra.run.dir={out}",
    ]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL
    )


def test_a_killed_run_started_again_with_other_workers_predicts_the_same_bytes(
    tiny_cache: Path, tmp_path: Path
) -> None:
    undisturbed = start(tiny_cache, tmp_path / "undisturbed", workers=0)
    killed = start(tiny_cache, tmp_path / "killed", workers=3)
    history = tmp_path / "killed" / "metrics.csv"
    while killed.poll() is None and not (history.is_file() and len(history.read_text().splitlines()) > 2):
        time.sleep(0.02)
    time.sleep(0.2)  # into the third epoch
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    first_epoch = history.read_text().splitlines()[1]  # with the seconds it took
    assert not (tmp_path / "killed" / "result.json").exists(), "the run was faster than the signal"
    again = start(tiny_cache, tmp_path / "killed", workers=1)
    assert undisturbed.wait() == again.wait() == 0
    assert (tmp_path / "killed" / "result.json").is_file()
    first, second = ((tmp_path / name / "predictions.csv").read_bytes() for name in ("undisturbed", "killed"))
    assert first == second
    assert len(first.splitlines()) == 17
    assert history.read_text().splitlines()[1] == first_epoch, "the killed run began anew"
    assert_the_best_epoch_predicts(Run(tmp_path / "undisturbed"), tiny_cache)


def assert_the_best_epoch_predicts(run: Run, cache: Path) -> None:
    assert run.result.best_epoch < 3, "the last epoch is the best: there is nothing to tell apart"
    data, detector = FaceDataModule(cache, batch_size=2, workers=0), run.load_detector()
    splits, _ = run.predictions
    for split, loader in {"val": data.val_dataloader(), "test": data.test_dataloader()}.items():
        with torch.inference_mode():
            found = {
                video: score
                for batch in loader
                for video, score in zip(batch.video, scores(detector(batch.faces)).tolist(), strict=True)
            }
        written = dict(zip(splits[split].video, splits[split].score, strict=True))
        assert written == pytest.approx(found, abs=1e-6)
