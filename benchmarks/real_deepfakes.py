"""Do blends of real videos teach what real deepfakes have? sbi against a control of copies.

    PYTHONPATH=. python benchmarks/real_deepfakes.py --real VIDEOS --on faceforensics:DIR/c40 folder:DIR
    PYTHONPATH=. python benchmarks/real_deepfakes.py --shared ../shared/data             # the samples there

Prepares the real videos and each test set alike, trains `own_detector` and the same with copies instead of
blends (`data.blend.strength=[0.0]`) with five seeds, evaluates all runs on the test sets and prints the
report, whose table has the differences with joint intervals; `prepare_faces.py check=` gives the shortcut
baseline of each test set. The same command goes on where it was stopped; files stay in --work.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def call(*command: str, may_fail: bool = False) -> None:
    """Run a command from the repository, or end as it ended."""
    status = subprocess.run([sys.executable, *command], cwd=ROOT, check=False).returncode
    if status and not may_fail:
        raise SystemExit(status)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, help="folder of real_talking, ffpp_c40_sample and dfdc_sample")
    parser.add_argument("--real", type=Path, help="folder of real videos")
    parser.add_argument("--on", nargs="*", default=[], metavar="SOURCE:DIR", help="data sets to test on")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--work", type=Path, default=Path("data/real_deepfakes"))
    parser.add_argument("--study", default="real_deepfakes")
    parser.add_argument("more", nargs="*", help="words for train.py, as trainer.max_epochs=2")
    options = parser.parse_args()
    real, on = options.real, list(options.on)
    if options.shared is not None:
        real = options.shared / "real_talking"
        on = [
            f"faceforensics:{options.shared / 'ffpp_c40_sample'}",
            f"folder:{options.shared / 'dfdc_sample'}",
        ]
    if real is None or not on:
        parser.error("give --shared, or --real and --on")
    alike = (f"size={options.size}", f"frames={options.frames}", "per_label=null", "labels=any")
    faces = options.work / "real"
    call(
        *("prepare_faces.py", "source=real_videos", f"source.path={real}", f"out={faces}", *alike),
        *("split.fractions.train=0.8", "split.fractions.val=0.1", "split.fractions.test=0.1"),
    )
    caches = []
    for number, each in enumerate(on):
        source, _, path = each.partition(":")
        caches.append(options.work / f"test{number}_{source}")
        call("prepare_faces.py", f"source={source}", f"source.path={path}", f"out={caches[-1]}", *alike)
        call("prepare_faces.py", f"check={caches[-1]}", may_fail=True)  # few videos may leave a split empty
    seeds = ",".join(map(str, range(options.seeds)))
    for name, strength in (("baseline", "[0.0]"), ("sbi", "[0.25,0.5,0.75,1.0,1.0,1.0]")):  # copies, blends
        call(
            *("train.py", "-m", "experiment=own_detector", f"name={name}", f"seed={seeds}", "logger=none"),
            *(f"study={options.study}", f"data.cache={faces}", "data.evaluate_blends=true"),
            *(f"data.blend.strength={strength}", *options.more),
        )
    call("evaluate.py", f"study={options.study}", f"on=[{','.join(map(str, caches))}]")
    call("report.py", f"study={options.study}")


if __name__ == "__main__":
    main()
