"""One video → face clips: every setting that changes pixels lives here; the profile is their fingerprint."""

import hashlib
import json
import math
from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import CacheError, FaceClip
from dfdc_lightning.faces.crop import crop_boxes, crops
from dfdc_lightning.faces.finder import FaceFinder
from dfdc_lightning.faces.tracks import Track, follow
from dfdc_lightning.video.frames import FrameError, Frames, read_frames

REVISION = 1  # raised whenever the code gives other pixels for the same settings


class FacePreparation:
    """Turns a video into the faces of its persons, the same way for a cache and for a single verdict.

    Args:
        finder: Finds the faces in one image.
        frames: How many evenly spaced frames are used.
        size: Side of the crops in pixels.
        margin: Share of the face's box added on each side.
        smoothing: How widely the crop is averaged over time, in frames; 0 follows every box.
    """

    def __init__(
        self,
        finder: FaceFinder,
        frames: int = 10,
        size: int = 224,
        margin: float = 1 / 3,
        smoothing: float = 0.7,
    ) -> None:
        for name, count, least in (("frames", frames, 1), ("size", size, 16)):
            if type(count) is not int or count < least:
                raise UserError(f"{name}={count} is impossible: give a whole number, {least} or more")
        for name, value in (("margin", margin), ("smoothing", smoothing)):
            if type(value) not in (int, float) or not 0 <= value < math.inf:
                raise UserError(f"{name}={value} is impossible: give a number, 0 or more")
        self.finder, self.frames, self.size = finder, frames, size
        self.margin, self.smoothing = round(margin, 6), smoothing

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that changes pixels, as JSON values; `from_settings` builds the same again."""
        kind = type(self.finder)
        return {
            "revision": REVISION,
            "frames": self.frames,
            "size": self.size,
            "margin": self.margin,
            "smoothing": self.smoothing,
            "detector": {"class": f"{kind.__module__}.{kind.__qualname__}", **self.finder.settings},
        }

    @property
    def profile(self) -> str:
        """Short fingerprint of `settings`."""
        return profile_of(self.settings)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], **finder_arguments: Any) -> "FacePreparation":
        """Build the preparation that has these settings.

        Args:
            settings: What `settings` gave, for instance from `read_profile`.
            finder_arguments: What of the finder changes no pixels: where its model lies (`model=PATH`).

        Raises:
            UserError: When this version of the code cannot give the same pixels.
        """
        try:
            detector = dict(settings["detector"])
            kind = _finder_class(detector.pop("class"))
            if unknown := finder_arguments.keys() - signature(kind).parameters.keys():
                raise UserError(f"detector.{min(unknown)}= means nothing to {kind.__name__}: leave it out")
            finder = kind(**detector, **finder_arguments)
            built = cls(finder, **{key: settings[key] for key in ("frames", "size", "margin", "smoothing")})
        except (KeyError, TypeError, AttributeError, ImportError) as error:
            raise UserError(
                f"the face preparation recorded there is not one of this version ({error!r}): prepare the "
                "cache again with this version"
            ) from None
        if built.settings != settings:
            changed = [key for key in settings if built.settings.get(key) != settings[key]]
            raise UserError(
                f"the face preparation recorded there differs from this one in {', '.join(changed)} "
                f"({[settings[key] for key in changed]} there): prepare the cache again with this version"
            )
        return built

    def __call__(self, path: Path) -> FaceClip:
        """The clip of the person found longest.

        Args:
            path: A video file.

        Raises:
            FrameError: When the video gives no frames ("unreadable", "too_short") or no face ("no_face").
        """
        frames = self.read(path)
        return self.clip(frames, self.persons(frames, path)[0])

    def ready(self) -> None:
        """Make sure that the finder works, before there are many of it.

        Raises:
            UserError: When its model is missing.
        """
        self.finder.find(np.zeros((64, 64, 3), np.uint8))

    def read(self, path: Path) -> Frames:
        """The frames of a video. Raises as calling does."""
        return read_frames(path, self.frames)

    def persons(self, frames: Frames, path: Path) -> list[Track]:
        """Every person in these frames of the video at `path`, the one found longest first.

        Raises:
            FrameError: "no_face" when there is none.
        """
        found = follow(frames.images, [self.finder.find(image) for image in frames.images])
        if not found:
            raise FrameError("no_face", f"{path} shows no face in any of {len(frames.images)} frames")
        return found

    def clip(self, frames: Frames, person: Track) -> FaceClip:
        """Cut one person out of the frames."""
        boxes = crop_boxes(person.boxes, self.margin, self.smoothing)
        faces = crops(frames.images, boxes, self.size)
        return FaceClip(faces, boxes.astype(np.float32), np.asarray(frames.indices, np.int64), person.found)


def _finder_class(path: str) -> type[Any]:
    """The face finder of that name; a record that somebody sent must not be able to start anything else."""
    module, _, name = path.rpartition(".")
    kind = getattr(import_module(module), name)
    if not (isinstance(kind, type) and all(hasattr(kind, each) for each in ("settings", "find"))):
        raise TypeError(f"{path} is no face finder")
    return kind


def profile_of(settings: Mapping[str, Any]) -> str:
    """The fingerprint of some settings."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def read_profile(root: Path) -> dict[str, Any]:
    """The settings that a cache's clips were made with.

    Args:
        root: The cache's folder.

    Raises:
        CacheError: When there is no profile.json or it is damaged.
    """
    path = Path(root) / "profile.json"
    if not path.is_file():
        raise CacheError(
            f"{path} does not exist: {root} is no face cache, or was not made by prepare_faces.py"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return dict(content["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise CacheError(f"{path} is damaged ({error!r}): make the cache again") from None


def claim_profile(root: Path, preparation: FacePreparation) -> None:
    """Record in a cache without clips how they are going to be made, or make sure that it is the same way.

    Raises:
        CacheError: When the cache was made with other settings.
    """
    settings = preparation.settings
    path = Path(root) / "profile.json"
    if not path.exists() or not (Path(root) / "clips").exists():
        atomic.write_json(path, {"profile": preparation.profile, "settings": settings})
    there = read_profile(root)
    if there != settings:
        both = sorted(there.keys() | settings.keys())
        differences = "; ".join(
            f"{key}: {there.get(key)} there, {settings.get(key)} here"
            for key in both
            if there.get(key) != settings.get(key)
        )
        raise CacheError(
            f"{root} holds clips of another profile ({differences}): "
            "use the same settings, or another out=FOLDER"
        )
