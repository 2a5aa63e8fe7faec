"""What it costs to evaluate a study elsewhere: 25 runs on another cache, and every corruption of 40 videos.

    PYTHONPATH=. python benchmarks/evaluate.py [corrupted videos, 40] [runs, 25] [clips, 314]

Renders videos, trains one run of the demo's size for an epoch, and evaluates copies of it as runs of their
own. Prints a table and writes benchmarks/evaluate.json.
"""

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache, FaceClip
from dfdc_lightning.machine import cores

ROOT = Path(__file__).parents[1]
SIZE, FRAMES = 64, 8


def call(*words: str) -> float:
    """Run a command of the project; seconds that it took."""
    start = time.perf_counter()
    environment = os.environ | {"WANDB_MODE": "disabled"}
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start


def study(folder: Path, tested: int, runs: int) -> Path:
    """Make videos, their cache and a study that is tested on `tested` of them; the videos' folder."""
    videos, cache, root = folder / "videos", folder / "own", folder / "multirun"
    call("-m", "dfdc_lightning.demo", "--out", str(videos), "--videos", str(2 * tested))
    call(
        "prepare_faces.py", f"source.path={videos}", f"out={cache}", "face_detector=haar",
        "+face_detector.long_side=320", f"size={SIZE}", f"frames={FRAMES}", "per_label=null",
        "split.fractions={train: 0.25, val: 0.25, test: 0.5}",
    )  # fmt: skip
    call("train.py", "scale=demo", "study=speed", f"data.cache={cache}", "trainer.max_epochs=1",
         f"hydra.run.dir={root}/speed/baseline/0")  # fmt: skip
    for seed in range(1, runs):
        shutil.copytree(root / "speed" / "baseline" / "0", root / "speed" / "baseline" / str(seed))
    return videos


def other_cache(folder: Path, clips: int) -> Path:
    """Clips of noise in the profile of the study's, half of them FAKE."""
    own, other = FaceCache(folder / "own"), FaceCache(folder / "other")
    shutil.copytree(own.root, other.root, ignore=shutil.ignore_patterns("clips", "journal"))
    row, rng = next(row for row in own.rows() if row.status == "ok"), np.random.default_rng(0)
    rows = []
    for number in range(clips):
        faces = rng.integers(0, 256, (FRAMES, 3, SIZE, SIZE), np.uint8)
        boxes, found = np.zeros((FRAMES, 4), np.float32), np.ones(FRAMES, bool)
        name = f"noise{number:04d}"
        other.write_clip(name, FaceClip(faces, boxes, np.arange(FRAMES), found))
        label = FAKE if number % 2 else REAL
        rows.append(row._replace(video=name, label=label, original="", group=name, split="test"))
    other.write_rows(rows)
    return other.root


def main() -> None:
    tested, runs, clips = (*map(int, sys.argv[1:]), *(40, 25, 314)[len(sys.argv) - 1 :])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = study(folder, tested, runs)
        words = ("evaluate.py", f"root={folder}/multirun", "study=speed")
        other = other_cache(folder, clips)
        first = call(*words, f"on={other}")
        skipped = call(*words, f"on={other}")
        one = str(folder / "multirun" / "speed" / "baseline" / "0")
        corrupted = call("evaluate.py", f"run={one}", "corrupt=all", f"source.path={videos}")
        rows = FaceCache(folder / "own").rows()
        n = sum(row.split == "test" and row.status == "ok" for row in rows)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    table = [
        (f"{runs} runs x {clips} clips of another cache", f"{first:.1f} s", ""),
        ("  scores per second, start-up included", f"{runs * clips / first:.0f}", ""),
        ("  the same again, all finished", f"{skipped:.1f} s", ""),
        (f"{n} videos x 7 corruptions x 5 levels", f"{corrupted:.0f} s", "<= 600 s on 2 cores for 40"),
        ("  corrupted videos per second", f"{35 * n / corrupted:.1f}", ""),
        ("largest process", f"{peak:.2f} GB", ""),
    ]
    for what, value, goal in table:
        print(f"{what:<46}{value:<16}{goal}")
    machine = {"cores": cores(), "python": platform.python_version(), "size": SIZE, "frames": FRAMES}
    result = {"runs": runs, "clips": clips, "seconds": first, "again_seconds": skipped}
    result |= {"corrupted_videos": n, "corrupted_seconds": corrupted, "peak_gb": peak, "machine": machine}
    (ROOT / "benchmarks" / "evaluate.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
