"""What a sweep costs beyond its training, and whether it comes out right however often it is killed.

    PYTHONPATH=. python benchmarks/sweep.py --kills 10

Prints a table and writes benchmarks/sweep.json: seconds of one run beyond its training epochs (with the real
Xception and W&B offline), seconds to skip 25 finished runs, and the fault test: a sweep of two experiments
and three seeds is killed by SIGKILL again and again; its predictions.csv must equal an undisturbed sweep's.
"""

import argparse
import itertools
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.example_study import write_study
from dfdc_lightning import atomic
from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache, FaceClip, Row
from dfdc_lightning.machine import cores
from dfdc_lightning.results.run_folder import RunFolder
from dfdc_lightning.runs import Run

ROOT = Path(__file__).parents[1]
TRAIN = ROOT / "train.py"
EXPERIMENTS = ("baseline", "jpeg", "focal", "effnet", "lstm")
TOY = ("model.backbone.pretrained=false", "data.batch_size=8", "trainer.accelerator=cpu", "data.workers=0")
TINY = (*TOY, "logger=none", "model.backbone.name=test_resnet", "trainer.max_epochs=3")


def draw(folder: Path, pairs: int, size: int) -> Path:
    """A cache of coloured noise, in which a FAKE lacks some red; half as many pairs for val and test."""
    cache, rows, rng = FaceCache(folder), [], np.random.default_rng(0)
    for split, n in (("train", pairs), ("val", pairs // 2), ("test", pairs // 2)):
        for index, label in itertools.product(range(n), (REAL, FAKE)):
            faces = rng.integers(0, 256, (3, 3, size, size), dtype=np.uint8)
            if label == FAKE:
                faces[:, 0] //= 2
            video, boxes = f"{split}{index}{label}", np.zeros((3, 4), np.float32)
            cache.write_clip(video, FaceClip(faces, boxes, np.arange(3), np.ones(3, bool)))
            rows.append(Row(video, label, group=f"{split}{index}", split=split, n_found=3, profile="noise"))
    cache.write_rows(rows)
    return folder


def start(folder: Path, *arguments: str, said: Path = Path(os.devnull)) -> subprocess.Popen[bytes]:
    """Start train.py in a folder; what it says goes to a file."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
    with said.open("w") as output:
        return subprocess.Popen(
            [sys.executable, str(TRAIN), *arguments],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
        )


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for success."""
    if process.wait() != 0:
        raise SystemExit(f"{process.args} failed with exit code {process.returncode}")


def overhead(folder: Path) -> float:
    """Seconds of one run with the real network beyond what its epochs took."""
    cache = draw(folder / "cache", 8, 64)
    begun = time.perf_counter()
    finish(start(folder, *TOY, "trainer.max_epochs=2", "logger=wandb", f"data.cache={cache}"))
    wall = time.perf_counter() - begun
    return wall - Run(folder / "multirun/dfdc/baseline/0").result.seconds


def skipping(folder: Path) -> float:
    """Seconds in which the study's 25 runs are found to be finished."""
    cache = draw(folder / "cache", 4, 32)
    sweep = (f"experiment={','.join(EXPERIMENTS)}", "seed=0,1,2,3,4", f"data.cache={cache}", *TOY)
    for experiment, seed in itertools.product(EXPERIMENTS, range(5)):
        pretend_finished(
            folder / "multirun/dfdc" / experiment / str(seed),
            (f"experiment={experiment}", f"seed={seed}", *sweep[2:]),
        )
    begun = time.perf_counter()
    finish(start(folder, "-m", *sweep))
    return time.perf_counter() - begun


def pretend_finished(folder: Path, overrides: Sequence[str]) -> None:
    """Leave what a finished run leaves, as far as a sweep looks at it."""
    from hydra import compose, initialize_config_dir
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import open_dict

    from dfdc_lightning.runs import result_settings

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("train", list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        settings = result_settings(config)
    run = RunFolder(folder)
    write_study(folder.parents[1], {run.experiment: 1.7}, [run.seed], videos=8, epochs=1)
    atomic.write_json(run.settings_file, settings)


class Fault(NamedTuple):
    """What the fault test found."""

    kills: int
    files: int
    equal: int


def fault(folder: Path, kills: int, seeds: Sequence[int] = (0, 1, 2), draws: int = 0) -> Fault:
    """Kill a 2×3 sweep at random moments, restart it each time, and compare with an undisturbed one.

    The killed one lets two runs go side by side, the undisturbed one lets them go one after another.

    The moments are a random number of changes in the study's folder after each start, half of them at once,
    which is while something is being written, half of them up to half a second later.

    Args:
        folder: Where to work.
        kills: How often to kill.
        seeds: Of the runs.
        draws: Seed of the moments.
    """
    cache = draw(folder / "cache", 8, 32)
    sweep = ("experiment=baseline,focal", f"seed={','.join(map(str, seeds))}", f"data.cache={cache}", *TINY)
    study = folder / "multirun" / "killed"
    chance, killed = random.Random(draws), 0  # noqa: S311 - moments, no secrets
    while killed < kills:
        process = start(folder, "-m", *sweep, "study=killed", "at_once=2")
        if not survives(process, study, chance.randint(1, 8), chance.choice([0, chance.uniform(0, 0.5)])):
            killed += 1
            continue
        break  # it was faster than all the kills
    finish(start(folder, "-m", *sweep, "study=killed", "at_once=2", said=folder / "killed.txt"))
    finish(start(folder, "-m", *sweep, "study=undisturbed", "at_once=1", said=folder / "undisturbed.txt"))
    expected = sorted((folder / "multirun" / "undisturbed").glob("*/*/predictions.csv"))
    equal = [
        path.read_bytes() == (study / path.parent.parent.name / path.parent.name / path.name).read_bytes()
        for path in expected
    ]
    return Fault(killed, len(expected), sum(equal))


def survives(process: subprocess.Popen[bytes], study: Path, changes: int, delay: float) -> bool:
    """Kill a process so many seconds after so many changes of files below a folder, if it lives that long."""
    seen, before = 0, snapshot(study)
    while process.poll() is None:
        now = snapshot(study)
        seen, before = seen + (now != before), now
        if seen >= changes:
            time.sleep(delay)
            process.kill()
            process.wait()
            return False
        time.sleep(0.002)
    return True


def snapshot(folder: Path) -> dict[str, int]:
    """Every file with the time of its last change."""
    found = {}
    for path in folder.rglob("*"):
        try:
            found[str(path)] = path.stat().st_mtime_ns
        except FileNotFoundError:  # renamed meanwhile
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder, name) for name in ("overhead", "skipping", "fault")]
        for place in places:
            place.mkdir()
        seconds, skipped, found = overhead(places[0]), skipping(places[1]), fault(places[2], options.kills)
    lines = [
        ("one run beyond its training", f"{seconds:.1f} s", "≤ 15 s", seconds <= 15),
        ("skipping 25 finished runs", f"{skipped:.1f} s", "≤ 10 s", skipped <= 10),
        (
            f"predictions.csv equal after {found.kills} kills",
            f"{found.equal} of {found.files}",
            "all",
            found.equal == found.files,
        ),
    ]
    for what, figure, goal, reached in lines:
        print(f"{what:42} {figure:>10}  {goal:8} {'yes' if reached else 'NO'}")
    result = {
        "machine": {"processor": platform.processor() or platform.machine(), "cores": cores()},
        "overhead_seconds": seconds,
        "skip_25_seconds": skipped,
        "fault": found._asdict(),
    }
    (ROOT / "benchmarks" / "sweep.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
