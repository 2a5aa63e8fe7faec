"""A folder of real people's videos without any list: all of them count as REAL."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from dfdc_lightning.video.layout import Layout
from dfdc_lightning.video.listing import SourceError
from dfdc_lightning.video.sources import Video

_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")


@dataclass(frozen=True)
class RealVideos(Layout):
    """Videos in a folder or in folders below it, whose names name persons: one person is in one split."""

    title: ClassVar[str] = "real videos"

    @override
    def videos(self, root: Path) -> list[Video]:
        files = sorted(path for path in root.rglob("*") if path.suffix.lower() in _SUFFIXES)
        if not files:
            raise SourceError(f"source.path={root} must hold videos ({', '.join(_SUFFIXES)}), and holds none")
        return [self._video(root, path) for path in files]

    @staticmethod
    def _video(root: Path, path: Path) -> Video:
        inside = path.relative_to(root)
        person = inside.parts[0] if len(inside.parts) > 1 else ""
        name = "_".join(inside.with_suffix("").parts)
        return Video(name, "REAL", "", "", str(path), person=person)
