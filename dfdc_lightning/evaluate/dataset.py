"""A face cache on which models are evaluated, whichever split its clips are in."""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache, Row


class DataSet(NamedTuple):
    """The usable clips of a cache: those with faces and a label, sorted by video.

    `name` is that of the cache's folder, and `content` a fingerprint of its clips.
    """

    name: str
    cache: FaceCache
    rows: list[Row]
    profile: str
    content: str

    @classmethod
    def open(cls, folder: Path) -> "DataSet":
        """Read a cache's manifest.

        Raises:
            UserError: When the cache is absent, holds no usable clip, or its clips have several profiles.
        """
        cache = FaceCache(folder)
        rows = [row for row in cache.rows() if row.status == "ok"]
        if strange := [row for row in rows if row.label not in (REAL, FAKE)]:
            raise UserError(
                f"{cache.manifest} gives {strange[0].video} the label {strange[0].label!r}, it must be "
                f"{REAL} or {FAKE}: delete it and make the cache again"
            )
        for label in (REAL, FAKE):
            if not any(row.label == label for row in rows):
                raise UserError(
                    f"{cache.manifest} has no usable {label} clip: AUROC needs both labels, so prepare more "
                    "videos"
                )
        profiles = sorted({row.profile for row in rows})
        if len(profiles) > 1:
            raise UserError(
                f"{cache.manifest} mixes clips of the profiles {', '.join(profiles)}: make the cache again "
                "with one"
            )
        return cls(folder.resolve().name, cache, rows, profiles[0], fingerprint(rows))


def fingerprint(rows: list[Row]) -> str:
    """Hash all that decides what is scored on these clips."""
    lines = [f"{row.video},{row.label},{row.group},{row.split},{row.profile}" for row in rows]
    return sha256("\n".join(lines).encode()).hexdigest()[:12]
