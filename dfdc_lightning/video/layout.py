"""Data sets as they are downloaded: what all their layouts have in common.

A layout is a source that knows one data set's folders, names and lists. What it cannot find is one sentence
with what was found and what was expected; a video that a list names and that is not there is "missing".
"""

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dfdc_lightning.video.listing import Entry, SourceError, checked, readable
from dfdc_lightning.video.sources import Stage, Video, compared, unique

# By which names in its folder a data set is known; another one's beside them means that two were mixed.
_KNOWN_BY = {
    "FaceForensics++ or DFD": ("original_sequences", "manipulated_sequences"),
    "Celeb-DF": ("Celeb-real", "Celeb-synthesis", "YouTube-real"),
    "DeeperForensics": ("manipulated_videos", "source_videos"),
    "the DFDC preview": ("dataset.json", "original_videos"),
    "FakeAVCeleb": ("meta_data.csv", "RealVideo-RealAudio"),
    "WildDeepfake": ("fake_train", "fake_test", "real_train", "real_test"),
    "DeepSpeak": ("annotations-fake.csv", "annotations-real.csv"),
}


@dataclass(frozen=True)
class Layout:
    """A data set in a folder of its own, exactly as it was downloaded.

    Args:
        path: The folder.
    """

    path: str | Path
    title: ClassVar[str] = ""

    def stages(self) -> Iterator[Stage]:
        """List the data set in one stage, since all its videos are on the disk."""
        root = Path(self.path)
        with readable(root):
            if not root.is_dir():
                raise SourceError(f"source.path={root} is not a folder: give the folder of {self.title}")
            self._refuse_mixed(root)
            yield Stage(unique(self.videos(root)))

    @contextmanager
    def open(self, video: Video) -> Iterator[Path]:
        """Give the file itself, or its folder of images."""
        yield Path(video.path)

    def videos(self, root: Path) -> list[Video]:
        """List the data set."""
        raise NotImplementedError

    def _refuse_mixed(self, root: Path) -> None:
        there = {path.name for path in root.iterdir()}
        for title, names in _KNOWN_BY.items():
            if title not in self.title and self.title not in title and (foreign := there & set(names)):
                ours = [name for own, names in _KNOWN_BY.items() if self.title in own for name in names]
                also = "" if not there & set(ours) else " too"
                raise SourceError(
                    f"{root} holds {', '.join(sorted(foreign))} of {title}{also}: give a folder with "
                    f"{self.title} alone"
                )


def files_in(folder: Path, expected: str, suffix: str = ".mp4") -> list[Path]:
    """List a folder's videos.

    Raises:
        SourceError: When the folder does not exist or holds no video; says what it holds instead.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is not there ({_found(folder.parent)}): expected {expected}")
    videos = sorted(path for path in folder.iterdir() if path.suffix.lower() == suffix)
    if not videos:
        raise SourceError(f"{folder} has no {suffix} file ({_found(folder)}): expected {expected}")
    return videos


def folders_in(folder: Path) -> list[Path]:
    """List a folder's folders; none where it is not there."""
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def unnamed(path: Path, expected: str) -> SourceError:
    """Make the error for a file whose name does not say what it is."""
    return SourceError(f"{path} has another name than this data set's files: expected {expected}")


def listed(entries: Sequence[Entry], root: Path, where: str) -> list[Video]:
    """Make videos of entries whose paths are relative to `root`; those that are not there are "missing"."""
    for entry in entries:
        checked(entry, where)
    there = {entry.path: False for entry in entries if (root / entry.path).exists()}
    return compared(entries, there, lambda path: (str(root / path), ""), where, "")


def table(path: Path, columns: Iterable[str], expected: str) -> list[dict[str, str]]:
    """Read a CSV file of a data set.

    Raises:
        SourceError: When it is not there, is not one in UTF-8 or lacks a column.
    """
    if not path.is_file():
        raise SourceError(f"{path} is not there ({_found(path.parent)}): expected {expected}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            there = reader.fieldnames or []
            rows = [
                {key: (value or "").strip() for key, value in row.items() if key is not None}
                for row in reader
            ]
    except (UnicodeDecodeError, csv.Error, AttributeError) as error:
        raise SourceError(f"{path} is not a CSV file in UTF-8 ({error}): fetch it again") from None
    if lacking := [column for column in columns if column not in there]:
        raise SourceError(f"{path} lacks the column {lacking[0]} (it has {', '.join(there)}): fetch it again")
    return rows


def warn_absent(where: Path, names: Iterable[str], there: Mapping[str, object]) -> None:
    """Say in one line which videos an official list names that are not there."""
    if absent := sorted(set(names) - set(there)):
        examples = ", ".join(absent[:3]) + " …" * (len(absent) > 3)
        print(f"warning: {where} names {len(absent)} videos that are not there ({examples})", file=sys.stderr)


def _found(folder: Path) -> str:
    if not folder.is_dir():
        return f"nor is {folder}"
    names = sorted(path.name for path in folder.iterdir())
    return f"found {', '.join(names[:4])}{' …' * (len(names) > 4)}" if names else "the folder is empty"
