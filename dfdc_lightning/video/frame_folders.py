"""WildDeepfake and DF40, which are published as frames: each video is a folder of images."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from dfdc_lightning.video.layout import Layout, folders_in
from dfdc_lightning.video.listing import SourceError, video_id
from dfdc_lightning.video.sources import Video


@dataclass(frozen=True)
class WildDeepfake(Layout):
    """WildDeepfake: `{real,fake}_{train,test}/N/{real,fake}/VIDEO/*.png`, its archives unpacked in place."""

    title: ClassVar[str] = "WildDeepfake"

    @override
    def videos(self, root: Path) -> list[Video]:
        expected = "fake_train, fake_test, real_train and real_test with N/{real,fake}/VIDEO/*.png"
        videos = []
        for name in ("fake_test", "fake_train", "real_test", "real_train"):
            label, split = name.split("_")
            folders = list(image_folders(root / name))
            if not folders:
                packed = list((root / name).glob("*.tar*")) if (root / name).is_dir() else []
                what = (
                    f"has {len(packed)} archives: unpack them in place" if packed else f"expected {expected}"
                )
                raise SourceError(f"{root / name} has no folder of frames ({what})")
            for folder in folders:
                place = folder.relative_to(root).as_posix()
                videos.append(_video(folder, place, label.upper(), official=split))
        return videos


@dataclass(frozen=True)
class DF40(Layout):
    """DF40 as its authors processed it: `[train|test]/METHOD/[ff|cdf]/…/VIDEO/*.png`, all FAKE.

    Its REAL are frames of FaceForensics++ and Celeb-DF, but for some methods that bring a folder `real`. A
    video 000_003 of `ff` was made from FaceForensics++'s 000 and 003.

    Args:
        path: The folder that holds the methods, or `train` and `test`.
        real: FaceForensics++'s frames, a folder per video; None lists FAKE alone, for labels=any.
        methods: Which of them; None takes all that are there.
    """

    real: str | Path | None = None
    methods: Sequence[str] | None = None
    title: ClassVar[str] = "DF40"

    @override
    def videos(self, root: Path) -> list[Video]:
        videos: list[Video] = []
        for split, top in (("", root), ("train", root / "train"), ("test", root / "test")):
            for method in folders_in(top):
                if split or method.name not in ("train", "test"):
                    videos += self._of_method(method, root, split)
        if not videos:
            raise SourceError(f"{root} has no folder of frames: expected METHOD/ff/frames/VIDEO/*.png")
        for folder in image_folders(Path(self.real)) if self.real is not None else ():
            videos.append(_video(folder, f"ff/{folder.name}", "REAL"))
        return videos

    def _of_method(self, method: Path, root: Path, split: str) -> Iterator[Video]:
        if self.methods is not None and method.name not in self.methods:
            return
        for folder in image_folders(method):
            parts = folder.relative_to(method).parts
            place = folder.relative_to(root).as_posix()
            if "real" in parts:
                yield _video(folder, place, "REAL", official=split)
                continue
            domain = next((part for part in parts if part in ("ff", "cdf")), "")
            pieces = folder.name.split("_") if domain == "ff" else [folder.name] * bool(domain)
            original = "/".join(video_id(f"{domain}/{piece}") for piece in pieces)
            yield _video(folder, place, "FAKE", original, method.name, split)


def image_folders(root: Path) -> Iterator[Path]:
    """Find every folder below `root` that holds images, in order."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        if any(name.lower().endswith((".png", ".jpg", ".jpeg")) for name in files):
            yield Path(folder)


def _video(
    folder: Path, place: str, label: str, original: str = "", method: str = "", official: str = ""
) -> Video:
    name = "__".join(place.split("/"))
    return Video(name, label, original, "", str(folder), method=method, official=official)
