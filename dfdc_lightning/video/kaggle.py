"""DFDC from Kaggle without its 470 GB: the lists of all parts first, then only the videos that are chosen.

A part is a zip archive in the competition's data, and Kaggle's storage serves any bytes of it. So a part's
directory and metadata.json (under 1 MB) tell its videos, and of its 10 GB only chosen videos, some 4 MB
each, are fetched, each by the worker that needs it: on disk there is never more than one video a worker.
"""

import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dfdc_lightning import atomic
from dfdc_lightning.errors import writing
from dfdc_lightning.video.archive import copy_member, scratch, videos_in
from dfdc_lightning.video.listing import SourceError
from dfdc_lightning.video.remote import RemoteFile
from dfdc_lightning.video.sources import Stage, Video, unique

_READ_AHEAD = 1 << 20  # bytes a request brings at least: a part's directory has a fifth of that
_SPARE = 1 << 28  # bytes of disk to leave free for clips


@dataclass(frozen=True)
class KaggleSource:
    """The parts of DFDC's training set as the competition serves them.

    Args:
        folder: Where the lists of videos are kept, and with `keep_videos` the videos.
        parts: Which parts: "0-49", or "3,7,10-12".
        competition: The competition's name in its address.
        file: Name of a part's archive in the competition's data; `{part:02d}` is its number.
        keep_videos: Whether fetched videos stay in `folder`; otherwise each is deleted after use.
    """

    folder: str | Path
    parts: str | int = "0-49"
    competition: str = "deepfake-detection-challenge"
    file: str = "dfdc_train_part_{part:02d}.zip"
    keep_videos: bool = False

    def stages(self) -> Iterator[Stage]:
        """All videos at once; see `Source.stages`. A list that was fetched once is not fetched again."""
        files = [self.file.format(part=part) for part in part_numbers(self.parts)]
        yield Stage(unique([video for file in files for video in self._list(file)]))

    @contextmanager
    def open(self, video: Video) -> Iterator[Path]:
        """The video, fetched for this and deleted afterwards unless it is to be kept; see `Source.open`.

        Raises:
            SourceError: When Kaggle cannot be reached or refuses, or the disk has no room.
        """
        kept = Path(self.folder) / Path(video.path).stem / f"{video.name}.mp4"
        if kept.is_file():
            yield kept
        elif self.keep_videos:
            with writing("source.folder", self.folder), atomic.replacing(kept) as path:
                self._fetch(video, path)
            yield kept
        else:
            with scratch() as path:
                self._fetch(video, path)
                yield path

    def _list(self, file: str) -> list[Video]:
        known = Path(self.folder) / f"{file}.json"
        if not known.is_file():
            with _open(self.competition, file) as archive, writing("source.folder", self.folder):
                atomic.write_json(known, videos_in(archive, file))
        try:
            return [Video(*row) for row in json.loads(known.read_text(encoding="utf-8"))]
        except (ValueError, TypeError) as error:
            raise SourceError(f"{known} is damaged ({error}): delete it") from None

    def _fetch(self, video: Video, target: Path) -> None:
        members = _remote(os.getpid(), self.competition, video.path)
        needed, free = members.getinfo(video.member).file_size + _SPARE, shutil.disk_usage(target.parent).free
        if free < needed:
            raise SourceError(
                f"{target.parent} has {free / 1e6:.0f} MB free, but {needed / 1e6:.0f} MB are needed for the "
                "next video: make room or set TMPDIR to a folder on another disk"
            )
        copy_member(members, video, target)


def part_numbers(parts: str | int) -> list[int]:
    """The numbers in "0-3,7" → [0, 1, 2, 3, 7].

    Raises:
        SourceError: When it has another form.
    """
    numbers: list[int] = []
    for piece in str(parts).split(","):
        ends = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", piece)
        if not ends or int(ends[2] or ends[1]) < int(ends[1]):
            raise SourceError(
                f"source.parts={parts} is not a list of part numbers: write it as 0-49 or 3,7,10-12"
            )
        numbers += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    return sorted(set(numbers))


def _open(competition: str, file: str) -> io.BufferedReader:
    return io.BufferedReader(RemoteFile(competition, file), _READ_AHEAD)


@lru_cache(maxsize=64)
def _remote(process: int, competition: str, file: str) -> zipfile.ZipFile:
    """A part's directory, fetched once a process: forked processes must not share a connection."""
    return zipfile.ZipFile(_open(competition, file))
