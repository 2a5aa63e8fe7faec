"""Where videos come from: what a source is, and the folder source.

A source lists its videos and opens one at a time. One process lists them, worker processes open them (a
source is a small object that pickles):

    for stage in source.stages():
        chosen = [video for video in stage.videos if video.status == "ok" and ...]
        with stage.held:  # while held, the stage's files are on this disk
            with source.open(chosen[0]) as path:  # in any process: a local file, perhaps gone after the block
                read_frames(path)

A problem of a single video is not an error but a video whose `status` is not "ok", so that none is left out
in silence. Today's sources have one stage each; a source that must bring videos here in bulk, from tapes say,
has one per load, and may delete it when `held` is left without an error.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from dfdc_lightning.video.listing import (
    Entry,
    SourceError,
    part_number,
    read_labels,
    read_metadata,
    readable,
    video_id,
)

_LONGEST_ID = 251  # bytes; with .npz behind it a file's name has the 255 that file systems allow


class Video(NamedTuple):
    """One video of a source, good or bad.

    `name` is its id: unique in the source, without suffix, usable as a file name. `label` is "REAL", "FAKE",
    or "" where it is not known. `original` is the id of the video it was made from, which need not be in the
    source, two of them with "/" between, or "". `part` is the number of the DFDC part as a string, or "".
    `path` is the video file, or the archive whose `member` it is. `status` is "ok", "missing" (listed, but
    not there), "unlisted" (there, but without a label) or "unreadable", with a sentence in `detail`. `method`
    says how a FAKE was made, `person` who is seen (as `original`, two with "/" between), `official` in which
    split the data set itself has it ("train", "val", "test"); each is "" where that is not known. `bytes` is
    how much opening it brings over the network, 0 where it is on this machine.
    """

    name: str
    label: str
    original: str
    part: str
    path: str
    member: str = ""
    status: str = "ok"
    detail: str = ""
    method: str = ""
    person: str = ""
    official: str = ""
    bytes: int = 0


class Stage(NamedTuple):
    """Videos that can be on this disk together; while `held` is entered they can be opened."""

    videos: list[Video]
    held: AbstractContextManager[None] = nullcontext()


@runtime_checkable
class Source(Protocol):
    """Videos with labels, wherever they are. The top of this file shows how it is used."""

    def stages(self) -> Iterator[Stage]:
        """Yield every video of the source, in stages whose order never changes.

        Raises:
            SourceError: When the source as a whole cannot be used.
        """

    def open(self, video: Video) -> AbstractContextManager[Path]:
        """Give a local file with the video for as long as the context lasts, in any process.

        Raises:
            FrameError: When this one video cannot be opened; the others may be good.
            SourceError: When no further video can be opened for now (network, quota, full disk).
        """


@dataclass(frozen=True)
class FolderSource:
    """DFDC parts in a folder, or a folder of videos with one labels.csv.

    Args:
        path: A DFDC part (a folder with metadata.json), a folder with such parts in it at any depth, or a
            folder with a labels.csv whose `video` column holds paths relative to it.
    """

    path: str | Path

    def stages(self) -> Iterator[Stage]:
        """List the videos of the folder, compared with its listings."""
        root = Path(self.path)
        with readable(root):
            found = _found(root)
        yield Stage(unique(found))

    @contextmanager
    def open(self, video: Video) -> Iterator[Path]:
        """Give the file itself; nothing is copied or deleted."""
        yield Path(video.path)


def unique(videos: Sequence[Video]) -> list[Video]:
    """Sort the videos by name.

    Raises:
        SourceError: When two of them have the same name, or the source has none.
    """
    seen: dict[str, Video] = {}
    for video in videos:
        other = seen.setdefault(video.name, video)
        if other is not video:
            places = " and ".join(f"{v.path}{':' if v.member else ''}{v.member}" for v in (other, video))
            raise SourceError(
                f"two videos are called {video.name!r} ({places}): every id must be unique, so rename one"
            )
    if not seen:
        raise SourceError("the source lists no videos: check its metadata.json or labels.csv")
    return [seen[name] for name in sorted(seen)]


def _found(root: Path) -> list[Video]:
    if not root.is_dir():
        raise SourceError(f"source.path={root} is not a folder: give the folder that holds the videos")
    listing = root / "labels.csv"
    if listing.is_file():
        return compared(read_labels(listing), _files(root), _inside(root), str(listing), "")
    return [video for part in _parts(root) for video in _part(part)]


def _parts(root: Path) -> list[Path]:
    found = []
    for folder, folders, files in _walk(root):
        if "metadata.json" in files:
            found.append(folder)
            folders.clear()  # a part holds no parts
    if not found:
        what = "is empty" if not any(root.iterdir()) else "holds neither metadata.json nor labels.csv"
        raise SourceError(
            f"{root} {what}: give a DFDC part, a folder of parts, or videos with a labels.csv (video,label)"
        )
    return found


def _part(folder: Path) -> list[Video]:
    listing = folder / "metadata.json"
    try:
        text = listing.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(f"{listing} is not UTF-8 ({error}): fetch or unpack that part again") from None
    entries = read_metadata(text, str(listing))
    return compared(entries, _files(folder), _inside(folder), str(listing), part_number(folder.name))


def _inside(folder: Path) -> Callable[[str], tuple[str, str]]:
    return lambda path: (str(folder / path), "")


def compared(
    entries: Iterable[Entry],
    there: Mapping[str, bool],
    locate: Callable[[str], tuple[str, str]],
    where: str,
    part: str,
) -> list[Video]:
    """Compare a listing with the files: a video for each entry, and for each mp4 file without an entry.

    Args:
        entries: The listing.
        there: Everything beside the listing: relative path → whether it is a folder.
        locate: Relative path → `path` and `member` of the video.
        where: The listing's name, for messages.
        part: Number of the DFDC part.
    """
    videos = []
    for entry in entries:
        status, detail = "ok", ""
        if entry.path not in there:
            status, detail = "missing", f"{where} names {entry.path}, which is not on the disk"
        elif there[entry.path]:
            status, detail = "unreadable", f"{entry.path} beside {where} is a folder, not a video"
        name, original = video_id(entry.path), "/".join(map(video_id, entry.originals))
        if status == "ok" and len(os.fsencode(name)) > _LONGEST_ID:
            detail = f"the id of {entry.path} is longer than {_LONGEST_ID} bytes, so no clip can be called so"
            status, detail = "unreadable", f"{detail}: rename it"
        known = (entry.method, entry.person, entry.split)
        videos.append(Video(name, entry.label, original, part, *locate(entry.path), status, detail, *known))
    for path in sorted(set(there) - {entry.path for entry in entries}):
        if path.lower().endswith(".mp4"):
            shown = os.fsencode(path).decode("utf-8", "backslashreplace")  # not every name on a disk is UTF-8
            detail = f"{shown} is there, but {where} does not name it: add it with its label"
            videos.append(Video(video_id(shown), "", "", part, *locate(path), "unlisted", detail))
    return videos


def _walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Walk through links too, as parts often lie on several disks; say which folders cannot be read."""

    def refused(error: OSError) -> None:
        if Path(error.filename) == root:
            raise error
        said = f"warning: {error.filename} cannot be read ({error.strerror}), so its videos are not listed"
        print(said, file=sys.stderr)

    for folder, folders, files in os.walk(root, onerror=refused, followlinks=True):
        here = Path(folder).resolve()
        folders[:] = sorted(name for name in folders if not here.is_relative_to((here / name).resolve()))
        yield Path(folder), folders, files


def _files(root: Path) -> dict[str, bool]:
    """List everything below a folder: relative path (with /) → whether it is a folder."""
    found: dict[str, bool] = {}
    for folder, folders, files in _walk(root):
        base = folder.relative_to(root)
        found.update({(base / name).as_posix(): True for name in folders})
        found.update({(base / name).as_posix(): False for name in files})
    return found
