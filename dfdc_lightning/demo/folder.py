"""A rendered data set on disk: its settings, DFDC's parts with metadata.json, and swaps.json beside them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfdc_lightning import atomic, checks
from dfdc_lightning.demo.cues import CUES, PLACEBO, Ellipse, check_cues
from dfdc_lightning.demo.encode import ENCODERS, encoding
from dfdc_lightning.demo.recording import Fixed, Recording
from dfdc_lightning.demo.scene import Scene
from dfdc_lightning.errors import UserError
from dfdc_lightning.machine import cores
from dfdc_lightning.progress import tally

_SCENE, _CUE, _RECORDING, _CODEC = range(4)  # what a random generator is for
_PICTURES = 3  # raise it when the same settings begin to give other pixels
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_SMALLEST = 96  # pixels; below that no face detector sees a face
STRENGTHS: Mapping[str, float] = {"seam": 0.5, "texture": 0.5, "temporal": 1.0}


class DemoError(UserError):
    """Settings or a folder that cannot be used, in one sentence."""


class DemoPlan(NamedTuple):
    """Everything that decides which files are rendered and every pixel in them; see `folder.render`."""

    videos: int = 240
    fixed: Fixed = Fixed()
    fakes_per_real: int = 1
    parts: int = 1
    seed: int = 0
    cues: Mapping[str, float] = STRENGTHS
    placebo_parts: int | None = None

    def check(self) -> None:
        """Refuse what cannot be rendered.

        Raises:
            UserError: Naming the setting, its value and what is possible.
        """
        checks.whole("videos", self.videos, 2)
        for name in ("fakes_per_real", "parts"):
            checks.whole(name, getattr(self, name), 1)
        checks.whole("seed", self.seed)
        if self.placebo_parts is not None:
            checks.whole("placebo_parts", self.placebo_parts, 1, self.parts)
        check_cues(self.cues)
        self._check_fixed()

    def _check_fixed(self) -> None:
        fixed = self.fixed
        if fixed.size is not None:
            width, height = fixed.size
            if width % 2 or height % 2 or min(fixed.size) < _SMALLEST:
                raise DemoError(
                    f"size must be even numbers of at least {_SMALLEST}, as 320x240 (got {width}x{height})"
                )
        if fixed.seconds is not None:
            checks.number("seconds", fixed.seconds, above=0)
        if fixed.fps is not None:
            checks.number("fps", fixed.fps, 1, 240)
        if fixed.gop is not None:
            checks.whole("gop", fixed.gop, 1)
        if fixed.qp is not None:
            checks.whole("qp", fixed.qp, 0, 51)
        if fixed.codec is not None:
            checks.one_of("codec", fixed.codec, ENCODERS)
        checks.one_of("preset", fixed.preset, _PRESETS)
        if fixed.fewest_frames < 1:
            raise DemoError(f"seconds must be at least one frame at fps={fixed.fps} (got {fixed.seconds})")
        if "temporal" in self.cues and fixed.gop is not None and fixed.fewest_frames <= fixed.gop:
            raise DemoError(
                f"gop must be below the {fixed.fewest_frames} frames of a video where cues has temporal, "
                f"which shows from keyframe to keyframe (got {fixed.gop})"
            )

    def cue(self, group: int, member: int) -> str:
        """Choose the cue of a group's FAKE: all that its part has take turns."""
        part, turn = group % self.parts, group // self.parts
        placebo = self.parts - (self.parts if self.placebo_parts is None else self.placebo_parts) <= part
        names = [name for name in CUES if name in self.cues and (placebo or name != PLACEBO)]
        return names[(part + turn + member - 1) % len(names)] if names else PLACEBO

    def groups(self) -> list[list[str]]:
        """Name the videos of every group: the REAL one, then its FAKEs.

        A REAL comes with `fakes_per_real` FAKEs; the last group has fewer where `videos` ends before.
        """
        each = 1 + self.fakes_per_real
        return [
            [self._name(group, member) for member in range(min(each, self.videos - group * each))]
            for group in range(-(-self.videos // each))
        ]

    def _name(self, group: int, member: int) -> str:
        """Make ten letters like DFDC's, which tell nothing about the label."""
        digest = hashlib.sha256(f"{self.seed}/{group}/{member}".encode()).digest()
        return "".join(_LETTERS[byte % 26] for byte in digest[:10])


def render(
    out: Path,
    videos: int = 240,
    size: tuple[int, int] | None = None,
    seconds: float | int | None = None,
    fps: float | int | None = None,
    gop: int | None = None,
    qp: int | None = None,
    preset: str = "ultrafast",
    codec: str | None = None,
    fakes_per_real: int = 1,
    parts: int = 1,
    seed: int = 0,
    cues: Mapping[str, float] = STRENGTHS,
    placebo_parts: int | None = None,
    workers: int | None = None,
) -> Path:
    """Render talking heads and forgeries: `out/dfdc_train_part_N/*.mp4` with metadata.json, and swaps.json.

    What is None varies from video to video, with one distribution for both labels. Pixels follow from `seed`,
    `cues` and the video's number alone, neither from `videos` nor from `workers`. A folder that holds exactly
    this data set already is left as it is.

    Args:
        out: Folder of the parts.
        videos: How many videos, REAL and FAKE together.
        size: Width and height in pixels, both even.
        seconds: Length of each video.
        fps: Frames per second.
        gop: Distance of keyframes in frames.
        qp: Quantizer, 0 lossless to 51 worst.
        preset: x264's speed, "ultrafast" to "veryslow".
        codec: FFmpeg's name of the encoder, one of `encode.ENCODERS`.
        fakes_per_real: FAKEs made from each REAL; 1 gives half and half.
        parts: Number of part folders; a REAL and its FAKEs share one.
        seed: Another seed, other people.
        cues: Strength of each cue, above 0 to 1; `none` has no strength. Each FAKE shows one of them.
        placebo_parts: How many of the last parts have the cue `none`, so that a split by part keeps it out of
            training; None allows it in all of them, where it is label noise.
        workers: Threads; None takes every core this process may use.

    Returns:
        `out`.

    Raises:
        UserError: When a setting is impossible, or `out` holds other videos or a damaged swaps.json.
        OSError: When `out` cannot be written.
    """
    out = Path(out)
    fixed = Fixed(size, seconds, fps, gop, qp, codec, preset)
    plan = DemoPlan(videos, fixed, fakes_per_real, parts, seed, dict(cues), placebo_parts)
    plan.check()
    if workers is not None:
        checks.whole("workers", workers, 1)
    settings = json.loads(json.dumps({**plan._asdict(), "fixed": fixed._asdict(), "pictures": _PICTURES}))
    if (out / "swaps.json").is_file() and _read(out)["settings"] == settings:
        return out
    groups = plan.groups()
    _refuse_strangers(out, {name for group in groups for name in group})
    (out / "swaps.json").unlink(missing_ok=True)  # it says that everything is there
    swaps: dict[str, list[Ellipse]] = {}
    with tally("demo videos", videos, "videos") as done, ThreadPoolExecutor(workers or cores()) as pool:
        for group, regions in zip(
            groups,
            pool.map(lambda number: _render_group(out, plan, number, groups[number]), range(len(groups))),
            strict=True,
        ):
            swaps |= regions
            done.advance(len(group))
    for part in range(min(parts, len(groups))):
        atomic.write_json(_part(out, part) / "metadata.json", _metadata(plan, groups, part))
    atomic.write_json(out / "swaps.json", {"settings": settings, "swaps": swaps})
    return out


def read_swaps(out: Path) -> dict[str, list[Ellipse]]:
    """Read the forged region in every frame of every FAKE with a cue, by video id (no .mp4).

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


def _render_group(out: Path, plan: DemoPlan, number: int, names: Sequence[str]) -> dict[str, list[Ellipse]]:
    """Render one REAL video and its FAKEs side by side; returns the forged regions of each FAKE.

    All of them share the scene and the recording; each is encoded in its own way.
    """

    def rng(purpose: int, *more: int) -> np.random.Generator:
        return np.random.default_rng([plan.seed, number, purpose, *more])

    recording = Recording.draw(rng(_RECORDING), plan.fixed)
    scene = Scene(rng(_SCENE), recording.size)
    real = scene.view(scene.person)
    codecs = [recording.codec(rng(_CODEC, member), plan.fixed) for member in range(len(names))]
    kinds = [plan.cue(number, member) if member else PLACEBO for member in range(len(names))]
    cues = [
        CUES[kind](rng(_CUE, member), scene, real, plan.cues.get(kind, 1.0), codec.gop)
        for member, (kind, codec) in enumerate(zip(kinds, codecs, strict=True))
    ]
    regions: dict[str, list[Ellipse]] = {
        name: [] for name, cue in zip(names, cues, strict=True) if cue.region is not None
    }
    with ExitStack() as files:
        folder = _part(out, number % plan.parts)
        videos = [
            files.enter_context(encoding(folder / f"{name}.mp4", recording.size, codec))
            for name, codec in zip(names, codecs, strict=True)
        ]
        for index, pose in enumerate(scene.poses(recording.frames, recording.fps)):
            for name, cue, video in zip(names, cues, videos, strict=True):
                video.write(scene.frame(index, pose, cue.view(index), cue.patch(pose)))
                region = cue.ellipse(pose)
                if region is not None:
                    regions[name].append(region)
    return regions


def _metadata(plan: DemoPlan, groups: Sequence[Sequence[str]], part: int) -> dict[str, dict[str, str]]:
    entries: dict[str, dict[str, str]] = {}
    for number in range(part, len(groups), plan.parts):
        real, *fakes = groups[number]
        entries[f"{real}.mp4"] = {"label": "REAL", "split": "train"}
        for member, fake in enumerate(fakes, start=1):
            entries[f"{fake}.mp4"] = {
                "label": "FAKE",
                "split": "train",
                "original": f"{real}.mp4",
                "method": plan.cue(number, member),
            }
    return dict(sorted(entries.items()))


def _refuse_strangers(out: Path, names: set[str]) -> None:
    """Refuse a folder with other videos: together they would be a data set nobody asked for."""
    for path in sorted(out.glob("*/*.mp4")):
        if path.stem not in names:
            raise DemoError(
                f"{path} is not part of the data set to render: empty {out} or choose another folder"
            )
