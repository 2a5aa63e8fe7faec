"""The face cache on disk: sole owner of the clip file's layout and of manifest.csv."""

import csv
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from isal import isal_zlib
from jaxtyping import Bool, Float32, Int64, UInt8

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError

REAL, FAKE = "REAL", "FAKE"
SPLITS = ("train", "val", "test")

# A zip member's local header: signature, …, CRC, sizes, lengths of name and extra field (APPNOTE.TXT 4.3.7).
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_DAMAGE = (OSError, ValueError, KeyError, EOFError, SyntaxError, zipfile.BadZipFile, zlib.error)
_HEAD_BYTES = 512  # hold the member's header and the array's


# Manifests of earlier versions have one column under another name, and the last ones not at all.
_FORMER_COLUMNS = {"detector": "face_detector"}
_FIRST_LATER_COLUMN = "method"


class Row(NamedTuple):
    """One video that was ever tried, good or bad: a row of manifest.csv. What is not known is empty.

    `original` names the video that a FAKE was made from, two of them with "/" between. `split` is empty for a
    video that is not used: because it failed, or because no other label balances it. `method` says how a FAKE
    was made, `person` who is seen, two of them with "/" between, `part` is the number of DFDC's part. `bytes`
    are those of the video stream.
    """

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
    face_detector: str = ""
    profile: str = ""
    method: str = ""
    person: str = ""
    part: str = ""
    codec: str = ""
    bytes: int = 0
    keyframes: int = 0


class FaceClip(NamedTuple):
    """The faces of one person in one video, in time order.

    `landmarks` are x, y of the eyes, the nose and the corners of the mouth, left before right as the image
    shows them, in pixels of the crops; None where the face detector finds none, or the cache is an old one.
    """

    faces: UInt8[np.ndarray, "t 3 h w"]
    boxes: Float32[np.ndarray, "t 4"]
    frames: Int64[np.ndarray, " t"]
    found: Bool[np.ndarray, " t"]
    landmarks: Float32[np.ndarray, "t 5 2"] | None = None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that there are, by their names in the clip file."""
        return {name: array for name, array in self._asdict().items() if array is not None}


class CacheError(UserError):
    """A cache cannot be used; the sentence names the file, the value and the remedy."""


class FaceCache:
    """A folder with manifest.csv and clips/<video>.npz.

    Args:
        root: The folder. It need not exist for writing.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    @property
    def manifest(self) -> Path:
        """Where manifest.csv lies."""
        return self.root / "manifest.csv"

    def clip_path(self, video: str) -> Path:
        """Say where one video's clip file lies."""
        return self.root / "clips" / f"{video}.npz"

    def rows(self) -> list[Row]:
        """Read every row of the manifest; they are sorted by video.

        Raises:
            CacheError: When the manifest is absent, has other columns or is damaged.
        """
        if not self.manifest.is_file():
            raise CacheError(
                f"{self.manifest} does not exist: make the cache first "
                f"(python prepare_faces.py out={self.root})"
            )
        try:
            with self.manifest.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                columns = [_FORMER_COLUMNS.get(name, name) for name in reader.fieldnames or ()]
                needed = Row._fields.index(_FIRST_LATER_COLUMN)
                if len(columns) < needed or tuple(columns) != Row._fields[: len(columns)]:
                    raise CacheError(
                        f"{self.manifest} has the columns {columns}, expected {list(Row._fields)}: "
                        "make the cache again"
                    )
                reader.fieldnames = columns
                return [_row(line) for line in reader]
        except (UnicodeDecodeError, csv.Error, TypeError, ValueError) as error:
            if isinstance(error, CacheError):
                raise
            raise CacheError(
                f"{self.manifest} is damaged ({error}): delete it and make the cache again"
            ) from None

    def write_rows(self, rows: Iterable[Row]) -> None:
        """Replace manifest.csv; a kill leaves the old one or the new one."""
        atomic.write_csv(self.manifest, Row._fields, sorted(rows))

    def write_clip(self, video: str, clip: FaceClip) -> None:
        """Write one clip file, whole or not at all; the same clip gives the same bytes every time."""
        with (
            atomic.replacing(self.clip_path(video)) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as members,
        ):
            for name, array in clip.arrays.items():
                data = io.BytesIO()
                np.lib.format.write_array(data, np.ascontiguousarray(array), allow_pickle=False)
                members.writestr(zipfile.ZipInfo(f"{name}.npy"), data.getbuffer())

    def read_clip(self, video: str) -> FaceClip:
        """Read one clip file whole.

        Raises:
            CacheError: When the file is absent or damaged, by a single flipped bit even.
        """
        path = self.clip_path(video)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                names = FaceClip._fields if "landmarks" in arrays else FaceClip._fields[:-1]
                return FaceClip(**{name: arrays[name] for name in names})
        except _DAMAGE as error:
            raise _damaged(path, error) from None

    def read_faces(
        self, video: str, room: UInt8[np.ndarray, "t2 3 h2 w2"] | None = None
    ) -> UInt8[np.ndarray, "t 3 h w"]:
        """Read only the faces of one clip, much faster than `read_clip` does; their checksum is compared.

        Args:
            video: Name of the video.
            room: Memory to read into if its shape fits; new memory costs as much as reading does.

        Raises:
            CacheError: As `read_clip`.
        """
        path = self.clip_path(video)
        try:
            return _first_member(path, b"faces.npy", room)
        except (OSError, ValueError, struct.error) as error:
            raise _damaged(path, error) from None

    def read_landmarks(self, video: str) -> Float32[np.ndarray, "t 5 2"]:
        """Read only the landmarks of one clip.

        Raises:
            CacheError: When the clip has none, or as `read_clip`.
        """
        path = self.clip_path(video)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                landmarks = arrays.get("landmarks")
        except _DAMAGE as error:
            raise _damaged(path, error) from None
        if landmarks is None:
            raise CacheError(
                f"{path} holds no landmarks, by which a recipe finds the face's parts: prepare the videos "
                "again into another folder with face_detector=yunet"
            )
        return np.asarray(landmarks)


def counts(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Count the usable clips by split and label."""
    table = {split: {REAL: 0, FAKE: 0} for split in SPLITS}
    for row in rows:
        if row.status == "ok" and row.label in table.get(row.split, ()):
            table[row.split][row.label] += 1
    return table


def split_hash(rows: Sequence[Row]) -> str:
    """Hash which usable video with which label lies in which split."""
    lines = [
        f"{row.split},{row.video},{row.label}" for row in rows if row.status == "ok" and row.split in SPLITS
    ]
    return sha256("\n".join(sorted(lines)).encode()).hexdigest()[:12]


def _row(line: dict[str, str]) -> Row:
    if None in line.values():
        raise ValueError(f"the row of {line['video']} is cut off")
    defaults = Row("", "")._asdict()
    return Row(**{name: type(defaults[name])(text) for name, text in line.items()})


def _first_member(
    path: Path, name: bytes, room: UInt8[np.ndarray, "t2 3 h2 w2"] | None
) -> UInt8[np.ndarray, "t 3 h w"]:
    """Read the first member of an uncompressed zip straight into an array and compare its CRC."""
    handle = os.open(path, os.O_RDONLY)
    try:
        head = os.pread(handle, _HEAD_BYTES, 0)
        signature, _, flags, method, _, _, crc, _, _, n_name, n_extra = _LOCAL_HEADER.unpack_from(head)
        start = _LOCAL_HEADER.size + n_name + n_extra
        if signature != b"PK\3\4" or flags & 8 or method or head[30 : 30 + n_name] != name:
            raise ValueError("it does not begin with uncompressed faces")
        header = io.BytesIO(head[start:])
        if np.lib.format.read_magic(header) != (1, 0):
            raise ValueError("its array header has an unknown version")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(header)
        if fortran_order or dtype != np.uint8 or len(shape) != 4:
            raise ValueError(f"its faces are {dtype} {shape}, expected uint8 (T, 3, S, S)")
        array = room if room is not None and room.shape == shape else np.empty(shape, np.uint8)
        before = header.tell()
        n_read = os.preadv(handle, [array.data], start + before) if array.size else 0
        if n_read != array.nbytes:
            raise ValueError("it ends too early")
        if isal_zlib.crc32(array.data, isal_zlib.crc32(head[start : start + before])) != crc:
            raise ValueError("bad CRC-32 of its faces")
        return array
    finally:
        os.close(handle)


def _damaged(path: Path, error: Exception) -> CacheError:
    if isinstance(error, FileNotFoundError):
        return CacheError(f"{path} does not exist: run prepare_faces.py again with the same settings")
    return CacheError(f"{path} is damaged ({error}): delete it and run prepare_faces.py again")
