"""A rendered data set on disk: DFDC's parts with metadata.json, and swaps.json beside them."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from dfdc_lightning import atomic
from dfdc_lightning.progress import tally
from dfdc_lightning.video.demo.encode import Codec, encoding
from dfdc_lightning.video.demo.plan import DemoError, Plan
from dfdc_lightning.video.demo.scene import Scene
from dfdc_lightning.video.demo.swap import Ellipse, Swap

_SCENE, _SWAP = 0, 1  # what a random generator is for
_PICTURES = 2  # raise it when the same settings begin to give other pixels


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
    if workers is not None and workers < 1:
        raise DemoError(f"workers={workers}: give 1 or more, or leave it out")
    settings = {**plan._asdict(), "size": list(size), "pictures": _PICTURES}
    if (out / "swaps.json").is_file() and _read(out)["settings"] == settings:
        return out
    groups = plan.groups()
    _refuse_strangers(out, {name for group in groups for name in group})
    (out / "swaps.json").unlink(missing_ok=True)  # it says that everything is there
    swaps: dict[str, list[Ellipse]] = {}
    with tally("demo videos", videos, "videos") as done, ThreadPoolExecutor(workers or _cores()) as pool:
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
            f"{out} holds no swaps.json: render it first (python -m dfdc_lightning.video.demo --out {out})"
        )
    return {video: [Ellipse(*region) for region in regions] for video, regions in _read(out)["swaps"].items()}


def _read(out: Path) -> Any:
    path = Path(out) / "swaps.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DemoError(f"{path} is damaged ({error}): delete it and render again") from None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
