"""Does a GPU's fast arithmetic cost AUROC? The same runs in single precision and in mixed precision.

    PYTHONPATH=. python benchmarks/precision.py
    PYTHONPATH=. python benchmarks/precision.py --cache data/demo/faces --experiment lstm --seeds 5

Renders and prepares small demo clips unless --cache has some. Runs are train.py's at the demo's scale, seed
by seed. Prints validation and test AUROC of each, the mean difference between the precisions beside the
spread between seeds, and how much faster mixed precision trains. (On a processor mixed precision may be slow;
it rounds alike.) Writes benchmarks/precision.json. More arguments go to train.py as they are.
"""

import argparse
import json
import tempfile
from itertools import product
from pathlib import Path
from statistics import mean, stdev

import torch

from benchmarks.study import make_cache, train
from dfdc_lightning import hardware

CLIPS, SIZE = 120, 64  # of each label; side of a face in pixels
FACES = [
    "face_detector=haar",
    "+face_detector.long_side=320",
    "split.fractions={train: 0.67, val: 0.165, test: 0.165}",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, help="face cache to make, or to use where it exists")
    parser.add_argument("--experiment", default="baseline")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options, overrides = parser.parse_known_args()
    mixed = hardware.precision() if torch.cuda.is_available() else "bf16-mixed"
    found: dict[str, list[dict[str, float]]] = {"32-true": [], mixed: []}
    with tempfile.TemporaryDirectory() as folder:
        cache = options.cache or Path(folder, "cache")
        make_cache(cache, CLIPS, SIZE, FACES)
        print(f"{'precision':12} {'seed':>4} {'val AUROC':>10} {'test AUROC':>11} {'clips/s':>8}")
        for seed, (precision, runs) in product(range(options.seeds), found.items()):
            more = (f"seed={seed}", f"trainer.precision={precision}", "scale=scratch", *overrides)
            run = train(options.experiment, cache, Path(folder, f"{precision}-{seed}"), *more)
            runs.append({key: run[key] for key in ("val_auroc", "test_auroc", "clips_a_second")})
            figures = f"{run['val_auroc']:10.3f} {run['test_auroc']:11.3f} {run['clips_a_second']:8.1f}"
            print(f"{precision:12} {seed:4} {figures}", flush=True)
    for split in ("val", "test"):
        plain, fast = ([run[f"{split}_auroc"] for run in runs] for runs in found.values())
        spread = f", spread between seeds {stdev(plain):.3f}" if len(plain) > 1 else ""
        difference = mean(fast) - mean(plain)
        print(f"{split} AUROC: {mixed} {difference:+.3f} on average{spread}")
    plain, fast = (mean(run["clips_a_second"] for run in runs) for runs in found.values())
    print(f"clips/s: {mixed} {fast / plain:.2f} × single precision")
    report = {"experiment": options.experiment, "gpu": torch.cuda.is_available(), "runs": found}
    options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
