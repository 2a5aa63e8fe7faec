"""Frames per second of the loader: the full training recipe, torchvision's v2 instead, and reading alone.

    PYTHONPATH=. python benchmarks/loader.py

Prints a table and writes benchmarks/loader.json. The ways take turns in one process with one thread, so that
ratios hold on a busy machine; figures are frames per second of processor time ("per core"). The last lines go
through a DataLoader with worker processes, per second on the clock.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
import torchvision
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torchvision.transforms import v2

from dfdc_lightning.augment import Augment
from dfdc_lightning.blend import SelfBlend
from dfdc_lightning.clips import FaceClips, FaceDataModule
from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache, FaceClip, Row
from dfdc_lightning.machine import cores
from dfdc_lightning.pairs import with_blends

ROOT = Path(__file__).parents[1]
FRAMES, SIZE = 10, 224


def draw_cache(folder: Path, clips: int, size: int = SIZE) -> FaceCache:
    """Clips with the smoothness and grain of faces."""
    rng, cache, rows = np.random.default_rng(0), FaceCache(folder), []
    for index in range(clips):
        smooth = cv2.resize(
            rng.integers(0, 256, (8, 8, 3), np.uint8), (size, size), interpolation=cv2.INTER_CUBIC
        )
        grain = rng.normal(0, 8, (FRAMES, size, size, 3))
        faces = np.clip(smooth + grain, 0, 255).astype(np.uint8).transpose(0, 3, 1, 2)
        eyes_nose_mouth = np.array([[0.36, 0.4], [0.64, 0.4], [0.5, 0.57], [0.39, 0.7], [0.61, 0.7]])
        landmarks = np.tile((size * eyes_nose_mouth).astype(np.float32), (FRAMES, 1, 1))
        boxes, found = np.zeros((FRAMES, 4), np.float32), np.ones(FRAMES, bool)
        clip = FaceClip(faces, boxes, np.arange(FRAMES), found, landmarks)
        cache.write_clip(f"clip{index}", clip)
        for split in ("train", "val", "test"):
            label = FAKE if index % 2 else REAL
            rows.append(Row(f"clip{index}", label, split=split, n_found=FRAMES, profile="drawn"))
    cache.write_rows(rows)
    return cache


def recipe(name: str) -> Augment:
    """The recipe of conf/augment/NAME.yaml."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        augment: Augment = instantiate(compose("train", [f"augment={name}"]).data.augment)
    return augment


class Torchvision:
    """The same recipe in torchvision v2, which also draws once per clip."""

    def __init__(self, jpeg: bool) -> None:
        steps = [
            v2.RandomHorizontalFlip(0.5),
            v2.GaussianBlur(3, (0.1, 1.5)),
            v2.ColorJitter(0.1, 0.1, 0.1, 0),
            v2.RandomResizedCrop(SIZE, (0.8, 1.0), (0.9, 1.1)),
        ]
        steps += [v2.JPEG((10, 50))] if jpeg else []
        self.steps = v2.Compose([*steps, v2.RandomErasing(0.7, (0.02, 0.1), (0.3, 3.3))])

    def __call__(self, faces: np.ndarray, _: np.random.Generator) -> np.ndarray:
        """Augment one clip."""
        out: np.ndarray = self.steps(torch.from_numpy(faces)).numpy()
        return out


def rates(ways: dict[str, Callable[[], int]], repeats: int) -> dict[str, float]:
    """Median frames per second of processor time of each way, the ways taking turns."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(repeats):
        for name, way in ways.items():
            begun = time.process_time()
            found[name].append(way() / (time.process_time() - begun))
    return {name: median(values) for name, values in found.items()}


def through_workers(cache: FaceCache, workers: int, epochs: int = 3) -> float:
    """Frames a second on the clock that a DataLoader delivers, after an epoch that starts it."""
    loader = FaceDataModule(cache.root, recipe("paper"), 8, workers).train_dataloader()
    list(loader)
    begun, frames = time.perf_counter(), 0
    for epoch in range(1, epochs + 1):
        loader.batch_sampler.sampler.set_epoch(epoch)
        frames += sum(len(batch.video) * FRAMES for batch in loader)
    return frames / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    n_cores = cores()
    with tempfile.TemporaryDirectory() as folder:
        cache = draw_cache(Path(folder), options.clips)
        rows = [row for row in cache.rows() if row.split == "train"]
        batch = [(0, index) for index in range(8)]

        def augmenting(augment: Augment | Torchvision) -> Callable[[], int]:
            clips = FaceClips(cache, rows, augment)  # type: ignore[arg-type]
            return lambda: len(clips.__getitems__(batch).video) * FRAMES

        def blending(augment: Augment | None) -> Callable[[], int]:
            clips = FaceClips(cache, with_blends(rows), augment, blend=SelfBlend(), paired=True)
            return lambda: len(clips.__getitems__(batch).video) * FRAMES

        room = cache.read_faces(rows[0].video)

        def reading() -> int:  # as the loader does: into memory that is there already
            return sum(len(cache.read_faces(row.video, room)) for row in rows[:64])

        ways = {"reading alone": reading}
        for name in ("paper", "jpeg"):
            ways[f"{name}, ours"] = augmenting(recipe(name))
            ways[f"{name}, torchvision v2"] = augmenting(Torchvision(jpeg=name == "jpeg"))
        for name in ("cutout", "compressed"):
            ways[f"{name}, ours"] = augmenting(recipe(name))
        ways["sbi, blends alone"] = blending(None)
        ways["sbi, with compressed"] = blending(recipe("compressed"))
        per_core = rates(ways, options.repeats)
        workers = {str(n): through_workers(cache, n) for n in sorted({0, 1, n_cores})}
    for name, rate in per_core.items():
        print(f"{name:24} {rate:9,.0f} frames/s per core")
    ratios = {
        name: per_core[f"{name}, ours"] / per_core[f"{name}, torchvision v2"] for name in ("paper", "jpeg")
    }
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.1f} × torchvision v2")
    for n, rate in workers.items():
        print(f"{n} workers: {rate:,.0f} frames/s on the clock")
    machine = {"processor": platform.processor() or platform.machine(), "cores": n_cores}
    versions = {"opencv": cv2.__version__, "torch": torch.__version__, "torchvision": torchvision.__version__}
    report = {
        "machine": machine,
        "versions": versions,
        "per_core": per_core,
        "ratios": ratios,
        "workers": workers,
    }
    options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
