"""The face cache on disk: sole owner of the clip file's layout and of manifest.csv."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError

REAL, FAKE = "REAL", "FAKE"


class Row(NamedTuple):
    """One video ever looked at, good or bad: a row of manifest.csv. Empty strings mean unknown."""

    video: str
    label: str
    original: str = ""
    group: str = ""
    split: str = ""
    status: str = "ok"
    detail: str = ""
    n_found: int = 0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    n_frames: int = 0
    seconds: float = 0.0
    detector: str = ""
    profile: str = ""


class FaceClip(NamedTuple):
    """The faces of one person in one video, in time order."""

    faces: UInt8[np.ndarray, "t 3 h w"]
    boxes: Float32[np.ndarray, "t 4"]
    frames: Int64[np.ndarray, " t"]
    found: Bool[np.ndarray, " t"]


class CacheError(UserError):
    """A cache that cannot be used, in one sentence with the file, the value and the remedy."""


class FaceCache:
    """A folder with manifest.csv and clips/<video>.npz.

    Args:
        root: The folder. It need not exist for writing.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    @property
    def manifest(self) -> Path:
        """Path of manifest.csv."""
        return self.root / "manifest.csv"

    def clip_path(self, video: str) -> Path:
        """Path of one video's clip file."""
        return self.root / "clips" / f"{video}.npz"

    def rows(self) -> list[Row]:
        """Every row of the manifest, sorted by video.

        Raises:
            CacheError: When there is no manifest or it is not one.
        """
        if not self.manifest.is_file():
            raise CacheError(f"{self.manifest} does not exist: make the cache first (python prepare_faces.py out={self.root})")
        with self.manifest.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != Row._fields:
                raise CacheError(f"{self.manifest} has the columns {reader.fieldnames}, expected {list(Row._fields)}: make it again")
            kinds = [type(default) for default in Row("", "")]
            return [Row(*(kind(line[name]) for kind, name in zip(kinds, Row._fields, strict=True))) for line in reader]

    def good(self, split: str) -> list[Row]:
        """The usable rows of one split ("train", "val" or "test"), sorted by video."""
        return [row for row in self.rows() if row.status == "ok" and row.split == split]

    def write_rows(self, rows: Iterable[Row]) -> None:
        """Replace manifest.csv, whole or not at all."""
        atomic.write_csv(self.manifest, Row._fields, sorted(rows))

    def write_clip(self, video: str, clip: FaceClip) -> None:
        """Write one clip file, whole or not at all."""
        with atomic.replacing(self.clip_path(video)) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **clip._asdict())

    def read_clip(self, video: str) -> FaceClip:
        """Read one clip file; a flipped bit raises zipfile.BadZipFile."""
        with np.load(self.clip_path(video), allow_pickle=False) as arrays:
            return FaceClip(*(arrays[name] for name in FaceClip._fields))


def counts(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Usable clips by split and label."""
    table = {split: {REAL: 0, FAKE: 0} for split in ("train", "val", "test")}
    for row in rows:
        if row.status == "ok" and row.split in table:
            table[row.split][row.label] += 1
    return table
