"""One video → the clips of its persons; every setting that changes their pixels lives here."""

from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from dfdc_lightning import checks
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FaceClip
from dfdc_lightning.faces.crop import crop_boxes, crops, in_crops
from dfdc_lightning.faces.face_detector import FaceDetector, Haar, LandmarkDetector
from dfdc_lightning.faces.profile import profile_of
from dfdc_lightning.faces.tracks import Track, follow
from dfdc_lightning.faces.yunet import YuNet
from dfdc_lightning.video.frames import FrameError, Frames, read_frames, read_sound_frames

REVISION = 1  # raised whenever the code gives other pixels for the same settings

# What profile.json calls our face detectors, in whichever module they are: caches of all versions agree.
_RECORDED = {"dfdc_lightning.faces.finder.YuNet": YuNet, "dfdc_lightning.faces.finder.Haar": Haar}


class FacePreparation:
    """Turns a video into the clips of its persons, in the same way for a cache and for a single verdict.

    Args:
        face_detector: Finds the faces in one image.
        frames: How many evenly spaced frames are used.
        size: Side of the crops in pixels.
        margin: Share of the face's box added on each side.
        smoothing: How widely the crop is averaged over time, in frames; 0 follows every box.
    """

    def __init__(
        self,
        face_detector: FaceDetector,
        frames: int = 10,
        size: int = 224,
        margin: float = 1 / 3,
        smoothing: float = 0.7,
    ) -> None:
        self.face_detector = face_detector
        self.frames, self.size = checks.whole("frames", frames, 1), checks.whole("size", size, 16)
        self.margin = round(checks.number("margin", margin, 0), 6)
        self.smoothing = checks.number("smoothing", smoothing, 0)

    @property
    def settings(self) -> dict[str, Any]:
        """All that changes pixels, as JSON values; `from_settings` builds the same again."""
        return {
            "revision": REVISION,
            "frames": self.frames,
            "size": self.size,
            "margin": self.margin,
            "smoothing": self.smoothing,
            "detector": {"class": _recorded(type(self.face_detector)), **self.face_detector.settings},
        }

    @property
    def profile(self) -> str:
        """Short hash that changes whenever one of the `settings` does."""
        return profile_of(self.settings)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], **elsewhere: Any) -> "FacePreparation":
        """Build the preparation that has these settings.

        Args:
            settings: What `settings` gave, for instance from `read_profile`.
            elsewhere: What of the face detector changes no pixels: where its model lies (`model=PATH`).

        Raises:
            UserError: When this version of the code cannot give the same pixels.
        """
        try:
            detector = dict(settings["detector"])
            kind = _class_of(detector.pop("class"))
            if unknown := elsewhere.keys() - signature(kind).parameters.keys():
                raise UserError(
                    f"face_detector.{min(unknown)}= means nothing to {kind.__name__}: leave it out"
                )
            face_detector = kind(**detector, **elsewhere)
            built = cls(
                face_detector, **{key: settings[key] for key in ("frames", "size", "margin", "smoothing")}
            )
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

    def ready(self) -> None:
        """Find out that the face detector works before many workers use it.

        Raises:
            UserError: When its model is missing.
        """
        self.face_detector.find(np.zeros((64, 64, 3), np.uint8))

    def read(self, path: Path, damaged: bool = False) -> Frames:
        """Read the frames of a video; of a damaged one, where it is allowed, what is sound.

        Raises:
            FrameError: When the video gives none ("unreadable") or too few ("too_short").
        """
        return read_sound_frames(path, self.frames) if damaged else read_frames(path, self.frames)

    def persons(self, frames: Frames, path: Path) -> list[Track]:
        """Follow every person through the frames of the video at `path`; the one found longest comes first.

        Raises:
            FrameError: "no_face" when none is found.
        """
        landmarks = None
        if isinstance(self.face_detector, LandmarkDetector):
            both = [self.face_detector.find_with_landmarks(image) for image in frames.images]
            faces, landmarks = [boxes for boxes, _ in both], [points for _, points in both]
        else:
            faces = [self.face_detector.find(image) for image in frames.images]
        found = follow(frames.images, faces, landmarks)
        if not found:
            raise FrameError("no_face", f"{path} shows no face in any of {len(frames.images)} frames")
        return found

    def clip(self, frames: Frames, person: Track) -> FaceClip:
        """Cut one person out of the frames."""
        boxes = crop_boxes(person.boxes, self.margin, self.smoothing)
        faces = crops(frames.images, boxes, self.size)
        indices, landmarks = np.asarray(frames.indices, np.int64), None
        if person.landmarks is not None:
            landmarks = in_crops(person.landmarks, boxes, self.size)
        return FaceClip(faces, boxes.astype(np.float32), indices, person.found, landmarks)


def _recorded(kind: type[Any]) -> str:
    """Choose the name by which `_class_of` finds the class again."""
    path = f"{kind.__module__}.{kind.__qualname__}"
    return next((name for name, ours in _RECORDED.items() if ours is kind), path)


def _class_of(path: str) -> type[Any]:
    """Find the face detector of that name; a record from somebody else must not start anything else."""
    if ours := _RECORDED.get(path):
        return ours
    module, _, name = path.rpartition(".")
    kind = getattr(import_module(module), name)
    if not (isinstance(kind, type) and all(hasattr(kind, each) for each in ("settings", "find"))):
        raise TypeError(f"{path} is not a face detector")
    return kind
