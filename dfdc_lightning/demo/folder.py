"""A rendered data set on disk: its settings, DFDC's parts with metadata.json, and swaps.json beside them."""

import hashlib
import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfdc_lightning import atomic, checks
from dfdc_lightning.demo.encode import Codec, encoding
from dfdc_lightning.demo.scene import Scene
from dfdc_lightning.demo.swap import Ellipse, Swap
from dfdc_lightning.errors import UserError
from dfdc_lightning.machine import cores
from dfdc_lightning.progress import tally

_SCENE, _SWAP = 0, 1  # what a random generator is for
_PICTURES = 2  # raise it when the same settings begin to give other pixels
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_SMALLEST = 96  # pixels; below that no detector sees a face


class DemoError(UserError):
    """Settings or a folder that cannot be used, in one sentence."""


class Plan(NamedTuple):
    """Everything that decides which files are rendered and every pixel in them; see `folder.render`."""

    videos: int = 240
    size: tuple[int, int] = (320, 240)
    seconds: float | int = 2.0
    fps: float | int = 15.0
    gop: int = 250
    crf: int = 23
    preset: str = "veryfast"
    fakes_per_real: int = 1
    parts: int = 1
    seed: int = 0

    @property
    def frames(self) -> int:
        """Frames of each video."""
        return round(self.seconds * self.fps)

    def check(self) -> None:
        """Refuse what cannot be rendered.

        Raises:
            DemoError: Naming the setting, its value and what is possible.
        """
        width, height = self.size
        if width % 2 or height % 2 or min(self.size) < _SMALLEST:
            raise DemoError(
                f"size={width}x{height}: give even numbers from {_SMALLEST} on, 320x240 for example"
            )
        for name, least in {
            "videos": 2,
            "gop": 1,
            "fakes_per_real": 1,
            "parts": 1,
            "crf": 0,
            "seed": 0,
        }.items():
            checks.whole(name, getattr(self, name), least, 51 if name == "crf" else math.inf)
        checks.one_of("preset", self.preset, _PRESETS)
        checks.number("fps", self.fps, 1, 240)
        if not math.isfinite(self.seconds) or self.frames < 1:
            raise DemoError(
                f"seconds={self.seconds:g} at fps={self.fps:g} is not one frame: give more seconds"
            )

    def groups(self) -> list[list[str]]:
        """Names of the videos of every group: the REAL one, then its FAKEs.

        A REAL comes with `fakes_per_real` FAKEs; the last group has fewer where `videos` ends before.
        """
        each = 1 + self.fakes_per_real
        return [
            [self._name(group, member) for member in range(min(each, self.videos - group * each))]
            for group in range(-(-self.videos // each))
        ]

    def _name(self, group: int, member: int) -> str:
        """Ten letters like DFDC's, which tell nothing about the label."""
        digest = hashlib.sha256(f"{self.seed}/{group}/{member}".encode()).digest()
        return "".join(_LETTERS[byte % 26] for byte in digest[:10])


def render(
    out: Path,
    videos: int = 240,
    size: tuple[int, int] = (320, 240),
    seconds: float | int = 2.0,
    fps: float | int = 15.0,
    gop: int = 250,
    crf: int = 23,
    preset: str = "veryfast",
    fakes_per_real: int = 1,
    parts: int = 1,
    seed: int = 0,
    workers: int | None = None,
) -> Path:
    """Render talking heads and their swaps: `out/dfdc_train_part_N/*.mp4` with metadata.json, and swaps.json.

    Pixels follow from `seed` and the video's number alone, neither from `videos` nor from `workers`. A folder
    that holds exactly this data set already is left as it is.

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
        DemoError: When a setting is impossible, or `out` holds other videos or a damaged swaps.json.
        OSError: When `out` cannot be written.
    """
    out = Path(out)
    plan = Plan(videos, size, seconds, fps, gop, crf, preset, fakes_per_real, parts, seed)
    plan.check()
    if workers is not None:
        checks.whole("workers", workers, 1)
    settings = {**plan._asdict(), "size": list(size), "pictures": _PICTURES}
    if (out / "swaps.json").is_file() and _read(out)["settings"] == settings:
        return out
    groups = plan.groups()
    _refuse_strangers(out, {name for group in groups for name in group})
    (out / "swaps.json").unlink(missing_ok=True)  # it says that everything is there
    swaps: dict[str, list[Ellipse]] = {}
    with tally("demo videos", videos, "videos") as done, ThreadPoolExecutor(workers or cores()) as pool:
        for regions in pool.map(
            lambda number: _render_group(out, plan, number, groups[number]), range(len(groups))
        ):
            swaps |= regions
            done.advance(1 + len(regions))
    for part in range(min(parts, len(groups))):
        atomic.write_json(_part(out, part) / "metadata.json", _metadata(groups[part::parts]))
    atomic.write_json(out / "swaps.json", {"settings": settings, "swaps": swaps})
    return out


def read_swaps(out: Path) -> dict[str, list[Ellipse]]:
    """The swapped region in every frame of every FAKE of a rendered data set, by video id (no .mp4).

    Raises:
        DemoError: When `out` holds no swaps.json, or a damaged one.
    """
    if not (Path(out) / "swaps.json").is_file():
        raise DemoError(
            f"{out} holds no swaps.json: render it first (python -m dfdc_lightning.demo --out {out})"
        )
    return {video: [Ellipse(*region) for region in regions] for video, regions in _read(out)["swaps"].items()}


def _read(out: Path) -> Any:
    path = Path(out) / "swaps.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DemoError(f"{path} is damaged ({error}): delete it and render again") from None


def _part(out: Path, number: int) -> Path:
    return out / f"dfdc_train_part_{number}"


def _render_group(out: Path, plan: Plan, number: int, names: Sequence[str]) -> dict[str, list[Ellipse]]:
    """Render one REAL video and its FAKEs side by side; returns the swapped regions of each FAKE."""
    scene = Scene(np.random.default_rng([plan.seed, number, _SCENE]), plan.size)
    swaps = {
        name: Swap(np.random.default_rng([plan.seed, number, _SWAP, member]), scene)
        for member, name in enumerate(names[1:], start=1)
    }
    codec = Codec(Fraction(plan.fps).limit_denominator(1001), plan.gop, plan.crf, plan.preset)
    regions: dict[str, list[Ellipse]] = {name: [] for name in swaps}
    with ExitStack() as files:
        folder = _part(out, number % plan.parts)
        videos = {
            name: files.enter_context(encoding(folder / f"{name}.mp4", plan.size, codec)) for name in names
        }
        for pose, frame in scene.frames(plan.frames, plan.fps):
            videos[names[0]].write(frame)
            for name, swap in swaps.items():
                forged, region = swap.apply(frame, pose)
                videos[name].write(forged)
                regions[name].append(region)
    return regions


def _metadata(groups: Sequence[Sequence[str]]) -> dict[str, dict[str, str]]:
    entries: dict[str, dict[str, str]] = {}
    for real, *fakes in groups:
        entries[f"{real}.mp4"] = {"label": "REAL", "split": "train"}
        for fake in fakes:
            entries[f"{fake}.mp4"] = {"label": "FAKE", "split": "train", "original": f"{real}.mp4"}
    return dict(sorted(entries.items()))


def _refuse_strangers(out: Path, names: set[str]) -> None:
    """A folder with other videos would become a data set nobody asked for."""
    for path in sorted(out.glob("*/*.mp4")):
        if path.stem not in names:
            raise DemoError(
                f"{path} is not part of the data set to render: empty {out} or choose another folder"
            )
