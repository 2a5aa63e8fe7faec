"""What became of each video, noted the moment it is known: a killed run loses nothing; one process writes."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import CacheError, Row


class Shard(NamedTuple):
    """One of `n` machines that share a cache's work, counted from 0."""

    number: int = 0
    n: int = 1

    @classmethod
    def parse(cls, shard: str | int | None, n: int | None = None) -> "Shard":
        """Read "i/n", or "i" where n is given beside it; None is the whole.

        Raises:
            UserError: When it is neither.
        """
        if shard is None:
            return cls()
        number, _, total = str(shard).partition("/")
        total = total or str(n or "")
        if not (number.isdigit() and total.isdigit() and int(number) < int(total)):
            raise UserError(
                f"shard={shard} is not a shard: write shard=i/n with i from 0 to n-1, or shard=i shards=n"
            )
        return cls(int(number), int(total))


class Journal:
    """The rows found since the manifest was last written: `CACHE/journal/<shard>.jsonl`, one row a line.

    Args:
        root: The cache's folder.
        shard: Whose lines to add.
    """

    def __init__(self, root: Path, shard: Shard) -> None:
        self.folder = root / "journal"
        self.path = self.folder / f"{shard.number}-of-{shard.n}.jsonl"

    def rows(self) -> list[Row]:
        """The rows of all shards. A line cut off by a kill or a full disk counts as never begun."""
        rows = []
        for path in sorted(self.folder.glob("*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    rows.append(Row(*json.loads(line)))
                except (ValueError, TypeError):
                    continue
        return rows

    @contextmanager
    def adding(self) -> Iterator["Journal"]:
        """Open for `add`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as self._file:
            if self._file.tell():
                self._file.write(b"\n")  # ends a line that was cut off
            yield self

    def add(self, row: Row) -> None:
        """Note one row; it survives a kill from here on."""
        self._file.write(json.dumps(row).encode() + b"\n")
        self._file.flush()

    def fold(self) -> None:
        """Remove all journals: their rows are in the manifest now."""
        for path in self.folder.glob("*.jsonl"):
            path.unlink()
        if self.folder.is_dir():
            self.folder.rmdir()


@contextmanager
def locked(root: Path, shard: Shard) -> Iterator[None]:
    """Keep other processes off the cache: all of them, or for a shard of many the same shard and whole runs.

    The kernel frees the locks when the process ends, however it ends.

    Raises:
        CacheError: When another process works on it.
        OSError: When the folder cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        _lock(held, root / ".lock", fcntl.LOCK_SH if shard.n > 1 else fcntl.LOCK_EX)
        if shard.n > 1:
            _lock(held, root / f".lock-{shard.number}-of-{shard.n}", fcntl.LOCK_EX)
        yield


def _lock(held: ExitStack, path: Path, kind: int) -> None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    held.callback(os.close, handle)
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CacheError(
            f"another process works on {path.parent}: wait for it to end, or use another out=FOLDER"
        ) from None
