"""A rendered data set on disk: DFDC's parts with metadata.json, and swaps.json beside them."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.progress import tally
from dfdc_lightning.video.demo.encode import Codec, encoding
from dfdc_lightning.video.demo.scene import Scene
from dfdc_lightning.video.demo.swap import Swap

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_PICTURES = 1  # raise it when the same settings begin to give other pixels
_SCENE, _SWAP = 0, 1  # what a random generator is for


class DemoError(UserError):
    """Settings or a folder that cannot be used, in one sentence."""


class Ellipse(NamedTuple):
    """The swapped region in one frame: centre and radii in pixels, rotation in degrees (clockwise on screen)."""

    x: float
    y: float
    radius_x: float
    radius_y: float
    degrees: float


class Plan(NamedTuple):
    """Everything that decides which files are rendered and every pixel in them."""

    videos: int = 240
    size: tuple[int, int] = (320, 240)
    seconds: float = 2.0
    fps: float = 15.0
    gop: int = 250
    crf: int = 23
    preset: str = "veryfast"
    fakes_per_real: int = 1
    parts: int = 1
    seed: int = 0

    def check(self) -> None:
        """Refuse what cannot be rendered.

        Raises:
            DemoError: Naming the setting, its value and what is possible.
        """
        width, height = self.size
        if width % 2 or height % 2 or min(self.size) < 96:
            raise DemoError(
                f"size={width}x{height}: H.264 needs even numbers, a visible face at least 96; try 320x240"
            )
        lowest = {"videos": 2, "gop": 1, "fakes_per_real": 1, "parts": 1, "crf": 0, "seed": 0}
        for name, least in lowest.items():
            if getattr(self, name) < least:
                raise DemoError(f"{name}={getattr(self, name)}: give {least} or more")
        if self.crf > 51:
            raise DemoError(f"crf={self.crf}: x264 knows 0 (lossless) to 51 (worst)")
        if not (0 < self.fps <= 240 and round(self.seconds * self.fps) >= 1):
            raise DemoError(
                f"seconds={self.seconds} at fps={self.fps} is no frame at all or too fast: try 2 and 15"
            )

    def groups(self) -> list[list[str]]:
        """Names of the videos of every group: first the REAL one, then its FAKEs.

        Groups are as many as `videos` needs; the last one may have fewer FAKEs than the others.
        """
        each = 1 + self.fakes_per_real
        full = [
            [self._name(group, member) for member in range(each)] for group in range(-(-self.videos // each))
        ]
        full[-1] = full[-1][: (self.videos - 1) % each + 1]
        return full

    def _name(self, group: int, member: int) -> str:
        digest = hashlib.sha256(f"{self.seed}/{group}/{member}".encode()).digest()
        return "".join(_LETTERS[byte % 26] for byte in digest[:10])


def render(
    out: Path,
    videos: int = 240,
    size: tuple[int, int] = (320, 240),
    seconds: float = 2.0,
    fps: float = 15.0,
    gop: int = 250,
    crf: int = 23,
    preset: str = "veryfast",
    fakes_per_real: int = 1,
    parts: int = 1,
    seed: int = 0,
    workers: int | None = None,
) -> Path:
    """Render talking heads and their face swaps as `out/dfdc_train_part_N/*.mp4` with metadata.json, and swaps.json.

    Pixels follow from `seed` and the video's number alone: neither from `videos` nor from `workers`. A folder that
    holds exactly this data set already is left as it is.

    Args:
        out: Folder of the parts.
        videos: How many videos, REAL and FAKE together.
        size: Width and height in pixels, both even.
        seconds: Length of each video.
        fps: Frames a second.
        gop: Distance of keyframes in frames.
        crf: x264's quality, 0 lossless to 51 worst.
        preset: x264's speed, "ultrafast" to "veryslow".
        fakes_per_real: FAKEs made from each REAL; 1 gives half and half.
        parts: Number of part folders; a REAL and its FAKEs share one.
        seed: Another seed, other people.
        workers: Threads; None takes every core this process may use.

    Returns:
        `out`.

    Raises:
        DemoError: When a setting is impossible or `out` holds other videos.
    """
    plan = Plan(videos, size, seconds, fps, gop, crf, preset, fakes_per_real, parts, seed)
    plan.check()
    groups = plan.groups()
    if _finished(out, plan):
        return out
    _refuse_strangers(out, {name for group in groups for name in group})
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jobs = range(len(groups))
    swaps: dict[str, list[list[float]]] = {}
    with tally("demo videos", videos, "videos") as done, ThreadPoolExecutor(workers or cores) as pool:
        for number, regions in zip(
            jobs, pool.map(lambda job: _render_group(out, plan, job, groups[job]), jobs), strict=True
        ):
            swaps.update(regions)
            done.advance(len(groups[number]))
    _write_metadata(out, plan, groups)
    atomic.write_json(out / "swaps.json", {"settings": _settings(plan), "swaps": swaps})
    return out


def read_swaps(out: Path) -> dict[str, list[Ellipse]]:
    """The swapped region in every frame of every FAKE of a rendered data set, by video id (the name without .mp4).

    Raises:
        DemoError: When `out` holds no swaps.json.
    """
    path = out / "swaps.json"
    if not path.is_file():
        raise DemoError(
            f"{path} does not exist: render first (python -m dfdc_lightning.video.demo --out {out})"
        )
    swaps = json.loads(path.read_text(encoding="utf-8"))["swaps"]
    return {video: [Ellipse(*ellipse) for ellipse in ellipses] for video, ellipses in swaps.items()}


def _render_group(out: Path, plan: Plan, number: int, names: list[str]) -> dict[str, list[list[float]]]:
    scene = Scene(np.random.default_rng([plan.seed, number, _SCENE]), plan.size)
    swaps = [
        Swap(np.random.default_rng([plan.seed, number, _SWAP, member]), scene)
        for member in range(1, len(names))
    ]
    codec = Codec(Fraction(plan.fps).limit_denominator(1001), plan.gop, plan.crf, plan.preset)
    regions: dict[str, list[list[float]]] = {name: [] for name in names[1:]}
    folder = out / f"dfdc_train_part_{number % plan.parts}"
    with ExitStack() as open_files:
        real, *fakes = [
            open_files.enter_context(encoding(folder / f"{name}.mp4", plan.size, codec)) for name in names
        ]
        for pose, frame in scene.frames(round(plan.seconds * plan.fps), plan.fps):
            real.write(frame)
            for name, swap, fake in zip(names[1:], swaps, fakes, strict=True):
                forged, region = swap.apply(frame, pose)
                fake.write(forged)
                regions[name].append(region)
    return regions


def _write_metadata(out: Path, plan: Plan, groups: list[list[str]]) -> None:
    for part in range(min(plan.parts, len(groups))):
        entries: dict[str, dict[str, str]] = {}
        for real, *fakes in groups[part :: plan.parts]:
            entries[f"{real}.mp4"] = {"label": "REAL", "split": "train"}
            entries |= {
                f"{name}.mp4": {"label": "FAKE", "split": "train", "original": f"{real}.mp4"}
                for name in fakes
            }
        atomic.write_json(out / f"dfdc_train_part_{part}" / "metadata.json", dict(sorted(entries.items())))


def _settings(plan: Plan) -> dict[str, Any]:
    return {**plan._asdict(), "size": list(plan.size), "pictures": _PICTURES, "opencv": cv2.__version__}


def _finished(out: Path, plan: Plan) -> bool:
    path = out / "swaps.json"
    return path.is_file() and json.loads(path.read_text(encoding="utf-8"))["settings"] == _settings(plan)


def _refuse_strangers(out: Path, names: set[str]) -> None:
    """A folder with other videos would become a data set nobody asked for."""
    for path in sorted(out.glob("*/*.mp4")):
        if path.stem not in names:
            raise DemoError(
                f"{path} is not part of the data set to render: choose another folder or empty {out}"
            )
