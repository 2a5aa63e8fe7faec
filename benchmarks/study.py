"""The whole study's cost on this machine, from one seed of its five experiments.

    PYTHONPATH=. python benchmarks/study.py                                    # 2,508/314/314 clips at 224 px
    PYTHONPATH=. python benchmarks/study.py --per-label 20 --size 64 --epochs 2 --cache toy data.batch_size=8

Renders demo videos, prepares their faces (both are skipped where --cache exists), trains each experiment
with one seed by train.py, prints seconds per epoch, frames per second, peak memory, AUROC of each and what
25 runs would take one after the other. Writes benchmarks/study.json. More arguments go to train.py as they
are. Weights start at random, because pretrained ones change no time; --pretrained takes them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from dfdc_lightning.results.run_folder import RunFolder

ROOT = Path(__file__).parents[1]
EXPERIMENTS = ("baseline", "jpeg", "focal", "effnet", "lstm")
SEEDS = 5
FRAMES = 10


def call(*command: str) -> tuple[float, int]:
    """Run a command from the repository; seconds it took and the most memory it had, in bytes."""
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}")
    return time.perf_counter() - begun, usage.ru_maxrss * 1024


def make_cache(cache: Path, per_label: int, size: int, more: list[str]) -> dict[str, float]:
    """Render and prepare; seconds of both."""
    if (cache / "manifest.csv").is_file():
        return {}
    with tempfile.TemporaryDirectory() as folder:
        # A tenth more than needed: groups may not fit the splits' sizes exactly.
        videos = str(round(2 * per_label * 1.1) + 8)
        rendering, _ = call(
            "-m", "dfdc_lightning.demo", "--out", folder, "--videos", videos, "--seconds", "1"
        )
        faces = (
            "source=folder",
            f"source.path={folder}",
            f"out={cache}",
            f"per_label={per_label}",
            f"size={size}",
        )
        preparing, _ = call("prepare_faces.py", *faces, *more)
    return {"rendering": rendering, "preparing": preparing}


def train(experiment: str, cache: Path, folder: Path, *overrides: str) -> dict[str, Any]:
    """One run and its figures."""
    place = (f"data.cache={cache.resolve()}", f"hydra.run.dir={folder}", "study=benchmark")
    seconds, memory = call("train.py", f"experiment={experiment}", *place, *overrides)
    run = RunFolder(folder)
    result, epochs = run.result, run.epochs()
    steady = epochs[1:] or epochs  # the first epoch looks for fast kernels and fills the file cache
    return {
        "seconds": seconds,
        "seconds_an_epoch": median(row["seconds"] for row in steady),
        "clips_a_second": median(row["clips_per_second"] for row in steady),
        "peak_bytes": result.hardware.get("peak_gpu_memory_bytes") or memory,
        "val_auroc": result.val["auroc"],
        "test_auroc": result.test["auroc"],
        "hardware": result.hardware,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, help="face cache to make, or to use where it exists")
    parser.add_argument(
        "--per-label", type=int, default=1568, help="clips of each label; 1568 gives 2,508/314/314"
    )
    parser.add_argument(
        "--faces", action="append", default=[], help="override for prepare_faces.py, repeatable"
    )
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--pretrained", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options, overrides = parser.parse_known_args()
    overrides += [f"trainer.max_epochs={options.epochs}", f"model.backbone.pretrained={options.pretrained}"]
    runs: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        cache = options.cache or Path(folder, "cache")
        made = make_cache(cache, options.per_label, options.size, options.faces)
        for name in EXPERIMENTS:
            runs[name] = train(name, cache, Path(folder, name), *overrides)
    print(
        f"\n{'experiment':12} {'s/epoch':>9} {'frames/s':>9} {'peak GiB':>9} {'run s':>8} {'test AUROC':>11}"
    )
    for name, run in runs.items():
        frames, peak = FRAMES * run["clips_a_second"], run["peak_bytes"] / 2**30
        figures = f"{run['seconds_an_epoch']:9.1f} {frames:9.0f} {peak:9.1f}"
        print(f"{name:12} {figures} {run['seconds']:8.0f} {run['test_auroc']:11.3f}")
    whole = SEEDS * sum(run["seconds"] for run in runs.values())
    print(f"{SEEDS * len(runs)} runs one after the other: {whole / 60:.1f} minutes")
    report = {
        "made_seconds": made,
        "options": vars(options) | {"overrides": overrides},
        "runs": runs,
        "study_seconds": whole,
    }
    options.out.write_text(json.dumps(report, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
