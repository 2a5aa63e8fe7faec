"""How often verdicts are wrong and how often a scan finds a swap: simulated scores and rendered videos.

    PYTHONPATH=. python benchmarks/verdicts.py                                # the simulated tables
    PYTHONPATH=. python benchmarks/verdicts.py --run RUN --model YUNET.onnx   # and a scan of rendered videos

Prints tables and writes benchmarks/verdicts.json. A wrong answer is a REAL video called FAKE, or the other
way round; of a scan, a part of a REAL video that stands out is one false window.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dfdc_lightning.demo.spliced import render_spliced
from dfdc_lightning.predict.conformal import Conformal
from dfdc_lightning.predict.predictors import open_predictor
from dfdc_lightning.predict.scan import SECONDS, Scan
from dfdc_lightning.predict.timeline import Found, Scored, Timeline

ROOT = Path(__file__).parents[1]
SWAPPED = 5.0  # seconds
LENGTH = 60.0


def coverage(draws: int = 1000) -> list[tuple[str, ...]]:
    """Share of wrong answers over draws of validation videos, 50 new videos of each label for each draw."""
    rows = []
    for groups, error in ((19, 0.05), (40, 0.05), (157, 0.05), (157, 0.01), (60, 0.1)):
        for gap in (1.0, 2.0, 4.0):
            rng, wrong, told = np.random.default_rng(0), [], []
            for _ in range(draws):
                drawn = (rng.normal(0, 1, groups), rng.normal(gap, 1, groups))
                conformal = Conformal(*(np.sort(scores) for scores in drawn), error)
                real, fake = (conformal.sides(rng.normal(mean, 1, 50)) for mean in (0, gap))
                wrong.append([(real > 0).mean(), (fake < 0).mean()])
                told.append(np.mean([real != 0, fake != 0]))
            shares = [f"{100 * share:.1f} %" for share in (*np.mean(wrong, axis=0), np.mean(told))]
            rows.append((str(groups), f"{error:g}", f"{gap:g}", *shares))
    return rows


def false_windows(videos: int = 400) -> list[tuple[str, ...]]:
    """Parts of simulated REAL videos that stand out, per ten minutes, by how windows depend on each other."""
    rows = []
    for minutes in (1, 3, 10):
        for dependence in (0.0, 0.4):
            for prior in (0.3, None):
                rng, found = np.random.default_rng(0), 0
                n = int(minutes * 60 / (SECONDS / 2)) - 1
                for _ in range(videos):
                    halves = _series(rng, n + 1, dependence) * 0.3 * np.sqrt(2)
                    logits = rng.normal(-1, 2) + (halves[1:] + halves[:-1]) / 2
                    scores = 1 / (1 + np.exp(-logits))
                    windows = [
                        Scored(1, k * SECONDS / 2, (k + 2) * SECONDS / 2, float(score), 8)
                        for k, score in enumerate(scores)
                    ]
                    found += len(Timeline.of(windows, SECONDS, prior).found)
                known = "yes" if prior else "no"
                rows.append((str(minutes), f"{dependence:g}", known, f"{10 * found / videos / minutes:.2f}"))
    return rows


def _series(rng: np.random.Generator, n: int, dependence: float) -> np.ndarray:
    """Draw standard normal numbers, each correlated with the one before."""
    noise = rng.normal(size=n)
    for k in range(1, n):
        noise[k] = dependence * noise[k - 1] + np.sqrt(1 - dependence**2) * noise[k]
    return noise


def scanned(run: Path, model: str | None, videos: int, folder: Path) -> dict[str, float]:
    """Scan rendered videos of a minute: as many REAL ones as ones of which five seconds are swapped."""
    predictor = open_predictor(run)
    scan = Scan(predictor.card.make_preparation(model), predictor)
    hit = false = 0
    for seed in range(videos):
        start = float(np.random.default_rng(seed).uniform(0, LENGTH - SWAPPED))
        for swapped in ((start, start + SWAPPED), None):
            path = folder / "video.mp4"
            render_spliced(path, 2 * seed + (swapped is None), swapped, seconds=LENGTH)
            seen = scan(path)
            found = Timeline.of(seen.windows, seen.window, predictor.card.spread).found
            inside = [] if swapped is None else [each for each in found if _meets(each, swapped)]
            hit += bool(inside)
            false += len(found) - len(inside)
    minutes = videos * (2 * LENGTH - SWAPPED) / 60
    return {"videos": videos, "found": hit / videos, "false windows per 10 minutes": 10 * false / minutes}


def _meets(found: Found, swapped: tuple[float, float]) -> bool:
    return found.start < swapped[1] and found.end > swapped[0]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", type=Path, help="a run or an export, trained on rendered videos")
    parser.add_argument("--model", help="YuNet's file, where the run's faces were found by it")
    parser.add_argument("--videos", type=int, default=30)
    options = parser.parse_args()
    tables = {
        ("groups", "error", "gap", "REAL called FAKE", "FAKE called REAL", "answered"): coverage(),
        ("minutes", "dependence", "spread known", "false windows per 10 minutes"): false_windows(),
    }
    for head, rows in tables.items():
        print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
        print("".join("| " + " | ".join(row) + " |\n" for row in rows))
    result: dict[str, object] = {", ".join(head): rows for head, rows in tables.items()}
    if options.run is not None:
        with TemporaryDirectory() as folder:
            result["scan"] = scanned(options.run, options.model, options.videos, Path(folder))
        print(result["scan"])
    (ROOT / "benchmarks" / "verdicts.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
