"""The same command ends with the same predictions, byte for byte, whatever kills it and however many load."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def start(cache: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "train.py", "experiment=effnet", "model.backbone.name=test_efficientnet"),
        *("model.backbone.pretrained=false", "model.trainable_layers=9", "trainer.max_epochs=4"),
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
    assert not (tmp_path / "killed" / "result.json").exists(), "the run was faster than the signal"
    again = start(tiny_cache, tmp_path / "killed", workers=1)
    assert undisturbed.wait() == again.wait() == 0
    assert (tmp_path / "killed" / "result.json").is_file()
    first, second = ((tmp_path / name / "predictions.csv").read_bytes() for name in ("undisturbed", "killed"))
    assert first == second
    assert len(first.splitlines()) == 17
