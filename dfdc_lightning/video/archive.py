"""DFDC's part archives, read member by member: videos are unpacked one at a time, an archive never."""

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePosixPath

from dfdc_lightning.video.frames import FrameError
from dfdc_lightning.video.listing import SourceError, is_safe, part_number, read_metadata, readable
from dfdc_lightning.video.sources import Stage, Video, compared, unique

# What zipfile raises at a damaged archive.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError)
_ENCRYPTED = 1  # general purpose bit 0, APPNOTE.TXT 4.4.4


@dataclass(frozen=True)
class ZipSource:
    """DFDC part archives (`dfdc_train_part_*.zip`).

    Args:
        path: One archive, or a folder with archives in it.
    """

    path: str | Path

    def stages(self) -> Iterator[Stage]:
        """List the members of every archive; nothing is unpacked for it."""
        root = Path(self.path)
        with readable(root):
            archives = sorted(root.glob("*.zip")) if root.is_dir() else [root]
        if not archives:
            raise SourceError(
                f"{root} holds no .zip file: give an archive or a folder of dfdc_train_part_*.zip"
            )
        yield Stage(unique([video for archive in archives for video in videos_in(archive, str(archive))]))

    @contextmanager
    def open(self, video: Video) -> Iterator[Path]:
        """Unpack the video into the temporary folder ($TMPDIR) and delete it afterwards."""
        with scratch() as copy:
            try:
                with zipfile.ZipFile(video.path) as members:
                    copy_member(members, video, copy)
            except zipfile.BadZipFile as error:
                raise FrameError("unreadable", f"{video.path} is damaged: {error}") from None
            except OSError as error:
                sentence = f"{video.path} cannot be opened ({error.strerror}): check source.path"
                raise SourceError(sentence) from None
            yield copy


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a place for one video: a file in the temporary folder ($TMPDIR), deleted afterwards.

    Raises:
        SourceError: When the folder does not exist or cannot be written.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="dfdc-")
    except OSError as error:
        raise unwritable("the temporary folder", error) from None
    with folder as name:
        yield Path(name) / "video.mp4"


def videos_in(archive: Path | BufferedReader, name: str) -> list[Video]:
    """List the videos of one archive, which holds metadata.json beside them, in a folder or not.

    Args:
        archive: The archive, on disk or opened.
        name: Its name for the videos' `path` and for messages.

    Raises:
        SourceError: When it is not an archive, holds no metadata.json, or holds what no DFDC archive does:
            a member with an unsafe name, a link, or something encrypted.
    """
    try:
        with zipfile.ZipFile(archive) as members:
            _check(name, members)
            there = {info.filename.rstrip("/"): info.is_dir() for info in members.infolist()}
            listings = [path for path in sorted(there) if PurePosixPath(path).name == "metadata.json"]
            if not listings:
                raise SourceError(f"{name} holds no metadata.json: give the archives of DFDC's training set")
            texts = [(path, members.read(path).decode("utf-8")) for path in listings]
    except (*DAMAGE, UnicodeDecodeError) as error:
        raise SourceError(f"{name} is not a whole zip file ({error}): fetch it again") from None
    except OSError as error:
        raise SourceError(f"{name} cannot be opened ({error.strerror}): check source.path") from None
    return [video for path, text in texts for video in _listed(name, path, text, there)]


def copy_member(members: zipfile.ZipFile, video: Video, target: Path) -> None:
    """Unpack one video to `target`, whatever its name in the archive is.

    Raises:
        FrameError: "unreadable" when the member is damaged.
        SourceError: When the copy cannot be written.
    """
    try:
        with members.open(video.member) as member, target.open("wb") as file:
            shutil.copyfileobj(member, file, 1 << 20)
    except DAMAGE as error:
        raise FrameError("unreadable", f"{video.member} in {video.path} is damaged: {error}") from None
    except OSError as error:
        raise unwritable(str(target.parent), error) from None


def unwritable(folder: str, error: OSError) -> SourceError:
    """Say of a copy that cannot be written why, and what to do."""
    remedy = "make room, or set TMPDIR to a folder on another disk"
    return SourceError(f"{folder} cannot be written ({error.strerror}): {remedy}")


def _check(archive: str, members: zipfile.ZipFile) -> None:
    for info in members.infolist():
        name = info.orig_filename.removesuffix("/")
        if not is_safe(name):
            raise SourceError(
                f"{archive} holds a member with the unsafe name {name!r}: do not use this archive"
            )
        if stat.S_ISLNK(info.external_attr >> 16):
            raise SourceError(f"{archive} holds the symbolic link {name!r}: do not use this archive")
        if info.flag_bits & _ENCRYPTED:
            raise SourceError(f"{archive} is encrypted ({name!r}): unpack it yourself and use source=folder")


def _listed(archive: str, listing: str, text: str, there: dict[str, bool]) -> list[Video]:
    prefix = listing.removesuffix("metadata.json")
    near = {name.removeprefix(prefix): folder for name, folder in there.items() if name.startswith(prefix)}
    where = f"{archive}:{listing}"
    part = part_number(prefix.rstrip("/")) or part_number(PurePosixPath(archive).stem)
    return compared(read_metadata(text, where), near, _inside(archive, prefix), where, part)


def _inside(archive: str, prefix: str) -> Callable[[str], tuple[str, str]]:
    return lambda path: (archive, prefix + path)
