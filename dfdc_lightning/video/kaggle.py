"""DFDC from Kaggle without its 470 GB: first the lists of videos, then only the videos that are chosen.

Kaggle serves DFDC in two ways. The labelled sample (400 videos, 1.7 GB) lies file by file behind the API: a
token is enough. The 50 parts are zip archives of 9 to 12 GB that only a logged-in browser is led to; storage
serves any bytes of them. So a part's directory and metadata.json (under 1 MB) tell its videos, and only the
chosen ones, some 4 MB each, are fetched, each by the worker that needs it: on disk there is never more than
one video per worker.
"""

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from dfdc_lightning import atomic
from dfdc_lightning.errors import writing
from dfdc_lightning.video.addresses import ApiFile, ListedFile, SiteFile
from dfdc_lightning.video.archive import DAMAGE, copy_member, scratch, unwritable, videos_in
from dfdc_lightning.video.frames import FrameError
from dfdc_lightning.video.listing import SourceError, part_numbers, read_metadata
from dfdc_lightning.video.remote import RemoteFile
from dfdc_lightning.video.sources import Stage, Video, compared, unique

_READ_AHEAD = 1 << 20  # bytes that a request brings at least: a part's directory has a fifth of that
_SPARE = 1 << 28  # bytes of disk to leave free for clips
_SAMPLE = "train_sample_videos"
_SAMPLE_VIDEO = 1_740_000_000 // 400  # bytes, on average
_ZIP = b"PK\3\4"


@dataclass(frozen=True)
class KaggleSource:
    """DFDC's sample, or parts of its training set, as Kaggle serves them.

    Args:
        folder: Where the lists of videos are kept, and with `keep_videos` the videos.
        parts: Which parts: "0-49", or "3,7,10-12"; None is the labelled sample.
        cookies: What a browser that is logged in exported (Netscape form), for parts.
        addresses: A text file with signed addresses of parts, one per line, instead of cookies.
        competition: The competition's name in its address.
        number: Its number in its download addresses.
        file: Name of a part's archive; `{part:02d}` is its number.
        keep_videos: Whether fetched videos stay in `folder`; otherwise each is deleted after use.
    """

    folder: str | Path
    parts: str | int | None = None
    cookies: str | Path | None = None
    addresses: str | Path | None = None
    competition: str = "deepfake-detection-challenge"
    number: int = 16880
    file: str = "dfdc_train_part_{part:02d}.zip"
    keep_videos: bool = False

    def stages(self) -> Iterator[Stage]:
        """List the videos of every part; a list that was fetched once is not fetched again."""
        if self.parts is None:
            if self.cookies is not None or self.addresses is not None:
                raise SourceError(
                    "source.cookies and source.addresses are for the parts: say which, as source.parts=0-49"
                )
            videos = self._listed(_SAMPLE, self._sample)
        else:
            files = [self.file.format(part=part) for part in part_numbers(self.parts)]
            self._refuse_no_way()
            videos = [video for file in files for video in self._listed(file, self._part)]
        if self.keep_videos:
            self._announce(videos)
        yield Stage(unique(videos))

    @contextmanager
    def open(self, video: Video) -> Iterator[Path]:
        """Fetch the video and delete it afterwards unless it is to be kept.

        Raises:
            SourceError: When Kaggle cannot be reached or refuses, or the disk has no room.
        """
        archive = PurePosixPath(video.path).parts[0].removesuffix(".zip")
        kept = Path(self.folder) / archive / f"{video.name}.mp4"
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

    def _locator(self, file: str) -> ListedFile | SiteFile:
        if self.addresses is not None:
            return ListedFile(file, Path(self.addresses))
        assert self.cookies is not None
        return SiteFile(self.competition, self.number, file, Path(self.cookies))

    def _refuse_no_way(self) -> None:
        if self.cookies is None and self.addresses is None:
            raise SourceError(
                f"source.parts={self.parts} needs a logged-in browser's cookies, as Kaggle's API does not "
                "serve the parts: export those of kaggle.com and give source.cookies=FILE, give signed "
                "addresses as source.addresses=FILE, or leave source.parts out for the labelled sample"
            )

    def _listed(self, file: str, fetch: Callable[[str], list[Video]]) -> list[Video]:
        known = Path(self.folder) / f"{file}.json"
        if not known.is_file():
            videos = fetch(file)
            with writing("source.folder", self.folder):
                atomic.write_json(known, videos)
        try:
            return [Video(*row) for row in json.loads(known.read_text(encoding="utf-8"))]
        except (ValueError, TypeError) as error:
            raise SourceError(f"{known} is damaged ({error}): delete it") from None

    def _part(self, file: str) -> list[Video]:
        with _opened(self._locator(file)) as archive:
            videos = videos_in(archive, file)
            sizes = {info.filename: info.compress_size for info in zipfile.ZipFile(archive).infolist()}
        return [video._replace(bytes=sizes.get(video.member, 0)) for video in videos]

    def _sample(self, folder: str) -> list[Video]:
        listing = f"{folder}/metadata.json"
        with RemoteFile(ApiFile(self.competition, listing)) as remote:
            data = _unwrapped(remote)
        try:
            entries = read_metadata(data.decode("utf-8"), listing)
        except UnicodeDecodeError as error:
            raise SourceError(f"{listing} is not UTF-8 ({error}): run the same command later") from None
        there = {entry.path: False for entry in entries}
        videos = compared(entries, there, lambda path: (f"{folder}/{path}", ""), listing, "")
        return [video._replace(bytes=_SAMPLE_VIDEO) for video in videos]

    def _announce(self, videos: list[Video]) -> None:
        needed, folder = sum(video.bytes for video in videos), Path(self.folder)
        with writing("source.folder", folder):
            folder.mkdir(parents=True, exist_ok=True)
        print(
            f"keep_videos: all {len(videos)} videos would take {needed / 1e9:.1f} GB of {folder}, which has "
            f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free; chosen ones are kept"
        )

    def _fetch(self, video: Video, target: Path) -> None:
        if video.member:
            self._fetch_member(video, target)
            return
        with RemoteFile(ApiFile(self.competition, video.path)) as remote:
            _refuse_full(target, remote.size)
            try:
                target.write_bytes(_unwrapped(remote))
            except DAMAGE as error:
                raise FrameError("unreadable", f"{video.path} is damaged: {error}") from None
            except OSError as error:
                raise unwritable(str(target.parent), error) from None

    def _fetch_member(self, video: Video, target: Path) -> None:
        members = _remote(os.getpid(), self._locator(video.path))
        try:
            size = members.getinfo(video.member).file_size
        except KeyError:
            raise SourceError(
                f"{video.path} has no {video.member} any more: delete its list in "
                f"source.folder={self.folder} and run the same command again"
            ) from None
        _refuse_full(target, size)
        copy_member(members, video, target)


def _unwrapped(remote: RemoteFile) -> bytes:
    """Take the file out of the zip archive that Kaggle packs some files into."""
    data = remote.read(remote.size)  # in one request; without a size `io` asks for 8 kB at a time
    if not data.startswith(_ZIP):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as members:
        (member,) = members.namelist()[:1] or [""]
        return members.read(member)


def _refuse_full(target: Path, size: int) -> None:
    needed, free = size + _SPARE, shutil.disk_usage(target.parent).free
    if free < needed:
        raise SourceError(
            f"{target.parent} has {free / 1e6:.0f} MB free, but {needed / 1e6:.0f} MB are needed for the "
            "next video: make room or set TMPDIR to a folder on another disk"
        )


@lru_cache(maxsize=64)
def _remote(process: int, part: ListedFile | SiteFile) -> zipfile.ZipFile:
    """Read a part's directory once per process: forked processes must not share a connection."""
    return zipfile.ZipFile(_opened(part))


def _opened(part: ListedFile | SiteFile) -> io.BufferedReader:
    return io.BufferedReader(RemoteFile(part), _READ_AHEAD)
