"""A cache of as many videos as DFDC has: time and memory of listing, shards, merge, second run and check.

    PYTHONPATH=. python benchmarks/growth.py --videos 11900 119000 --out /tmp/growth

The videos are stand-ins that are never decoded (a clip of ten faces of noise of 16 px each), so what is
measured is all but video work. Each step runs in a process of its own; memory is that process's highest, its
workers' aside.
"""

import argparse
import contextlib
import io
import resource
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfdc_lightning.audit.check import check
from dfdc_lightning.audit.check_file import read_check
from dfdc_lightning.faces.build import prepare
from dfdc_lightning.faces.cache import FaceClip
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.face_detector import Haar
from dfdc_lightning.faces.shard import Shard
from dfdc_lightning.faces.split import ByGroup
from dfdc_lightning.faces.tracks import Track
from dfdc_lightning.video.frames import Frames
from dfdc_lightning.video.sources import Stage, Video

PARTS, SIZE, FRAMES, FAKES_PER_REAL = 50, 16, 10, 5


class StandIns(NamedTuple):
    """A source of n videos in DFDC's proportions: 50 parts, five FAKE per REAL."""

    n: int

    def stages(self) -> Iterator[Stage]:
        """Yield the videos of each part."""
        for part in range(PARTS):
            yield Stage([_video(number) for number in range(part, self.n, PARTS)])

    def open(self, video: Video) -> AbstractContextManager[Path]:
        """Give a path that is not read."""
        return nullcontext(Path(video.path))


def _video(number: int) -> Video:
    family, member = divmod(number // PARTS, 1 + FAKES_PER_REAL)
    part = number % PARTS
    original = f"p{part}f{family}m0" if member else ""
    name = f"p{part}f{family}m{member}"
    return Video(name, "FAKE" if member else "REAL", original, str(part), name)


class StandInPreparation(FacePreparation):
    """Gives one grey face per video without opening it."""

    def read(self, path: Path) -> Frames:
        """Give frames of noise that is this video's own."""
        rng = np.random.default_rng(zlib.crc32(path.name.encode()))
        images = [rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)] * FRAMES
        return Frames(images, np.arange(FRAMES), SIZE, SIZE, 30.0, FRAMES, FRAMES / 30)

    def persons(self, frames: Frames, path: Path) -> list[Track]:
        """Give one place, which `clip` does not read."""
        return [Track(np.zeros((FRAMES, 4), np.float32), np.ones(FRAMES, bool))]

    def clip(self, frames: Frames, person: Track) -> FaceClip:
        """Give the whole frames as faces."""
        faces = np.ascontiguousarray(np.stack(frames.images).transpose(0, 3, 1, 2))
        boxes = np.tile(np.array([0, 0, SIZE, SIZE], np.float32), (FRAMES, 1))
        return FaceClip(faces, boxes, frames.indices, np.ones(FRAMES, bool))


def _prepare(n: int, out: Path, shard: Shard, per_label: int | None) -> None:
    faces = StandInPreparation(Haar(), frames=FRAMES, size=SIZE)
    prepare(StandIns(n), faces, ByGroup(), out, per_label=per_label, shard=shard)


def _check(out: Path) -> None:
    assert check(out, out / "no studies") == 0
    found = read_check(out)
    assert found is not None and not found["leaks"]["pairs"] and not found["shortcuts"]["found"]


def _measured(step: Callable[[], None]) -> tuple[float, float]:
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        step()
    return time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print a line per step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, nargs="+", default=[11_900, 119_000])
    parser.add_argument("--out", type=Path, default=Path("/tmp/growth"))
    options = parser.parse_args()
    print("| videos | step | seconds | MiB |\n| --- | --- | --- | --- |")
    for n in options.videos:
        few, out = options.out / f"{n}-few", options.out / str(n)
        steps: dict[str, Callable[[], None]] = {
            "choose 1,568 per label and prepare them": partial(_prepare, n, few, Shard(), 1568),
            "shard 0 of 2": partial(_prepare, n, out, Shard(0, 2), None),
            "shard 1 of 2": partial(_prepare, n, out, Shard(1, 2), None),
            "merge": partial(_prepare, n, out, Shard(), None),
            "the same again": partial(_prepare, n, out, Shard(), None),
            "check": partial(_check, out),
        }
        for name, step in steps.items():
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                seconds, memory = pool.submit(_measured, step).result()
            print(f"| {n:,} | {name} | {seconds:.1f} | {memory:.0f} |", flush=True)
        shutil.rmtree(out)
        shutil.rmtree(few)


if __name__ == "__main__":
    main()
