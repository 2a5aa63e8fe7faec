"""What each recipe is worth against the baseline, on rendered worlds whose cues are known.

    PYTHONPATH=. python benchmarks/recipes.py                    # 90 minutes on 2 cores at most
    PYTHONPATH=. python benchmarks/recipes.py --videos 120 --seeds 1 --recipes pairs,ema

Renders forgeries with every cue and with none (the placebo), prepares faces with YuNet, whose landmarks the
recipes need, sweeps all recipes with `train.py -m scale=demo` and prints the report's table of differences
with joint intervals. The same command goes on where it was stopped. Writes benchmarks/recipes.json: the
seconds of each recipe.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from dfdc_lightning.results.run_folder import RunFolder

ROOT = Path(__file__).parents[1]
RECIPES = (
    "pairs",
    "mixup",
    "cutout",
    "ema",
    "warmup",
    "sbi",
    "statpool",
    "temporal_transformer",
    "neighbours",
)
SIZE, FRAMES = 64, 8


def call(*command: str) -> None:
    """Run a command from the repository, or end as it ended."""
    status = subprocess.run([sys.executable, *command], cwd=ROOT, check=False).returncode
    if status:
        raise SystemExit(status)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--work", type=Path, default=Path("data/recipes"))
    parser.add_argument("--study", default="recipes")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("more", nargs="*", help="words for train.py, as trainer.max_epochs=2")
    options = parser.parse_args()
    begun, videos, faces = time.perf_counter(), options.work / "videos", options.work / "faces"
    call(
        *("-m", "dfdc_lightning.demo", "--out", str(videos), "--videos", str(options.videos)),
        *("--cues", "seam=1,texture=1,temporal=1,none", "--parts", "15", "--placebo-parts", "5"),
    )
    call(
        *("prepare_faces.py", f"source.path={videos}", f"out={faces}", f"size={SIZE}", f"frames={FRAMES}"),
        *("per_label=null", "split=by_part", "split.train=0-7", "split.val=8-9", "split.test=10-14"),
    )
    experiments = f"baseline,{options.recipes}"
    seeds = ",".join(map(str, range(options.seeds)))
    call(
        *("train.py", "-m", f"experiment={experiments}", f"seed={seeds}", "scale=demo", "logger=none"),
        *(f"study={options.study}", f"data.cache={faces}", *options.more),
    )
    call("report.py", f"study={options.study}")
    folder = ROOT / "multirun" / options.study
    seconds = {
        name: sum(RunFolder(folder / name / str(seed)).result.seconds for seed in range(options.seeds))
        for name in experiments.split(",")
    }
    for name, taken in seconds.items():
        print(f"{name:22} {taken:8.0f} s for {options.seeds} seeds")
    report = {"videos": options.videos, "seeds": options.seeds, "seconds": seconds}
    report["on_the_clock"] = time.perf_counter() - begun
    options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
