"""Several processes fill one cache: each has its shard and its journal of rows, and locks keep them apart."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import CacheError, Row
from dfdc_lightning.journal import Journal


class Shard(NamedTuple):
    """One of `n` machines that share a cache's work, counted from 0."""

    number: int = 0
    n: int = 1

    @classmethod
    def parse(cls, shard: str | int | None, n: int | None = None) -> "Shard":
        """Read "i/n", or "i" where n is given beside it; None is the whole.

        Raises:
            UserError: When `shard` has another form.
        """
        if shard is None:
            return cls()
        number, _, total = str(shard).partition("/")
        total = total or str(n or "")
        if not (number.isdigit() and total.isdigit() and int(number) < int(total)):
            raise UserError(
                f"shard must be i/n with i from 0 to n-1, or i with shards=n beside it (got {shard})"
            )
        return cls(int(number), int(total))


def journals(root: Path) -> list[Path]:
    """List the journals of all shards: the rows found since the cache's manifest was last written."""
    return sorted((root / "journal").glob("*.jsonl"))


def journal_of(root: Path, shard: Shard) -> Journal:
    """Open the journal that one shard of a cache writes, one row per line."""
    return Journal(root / "journal" / f"{shard.number}-of-{shard.n}.jsonl")


def noted_rows(root: Path) -> list[Row]:
    """Read the rows in the journals of all shards."""
    return [
        Row(*values)
        for path in journals(root)
        for values in Journal(path).read()
        if isinstance(values, list) and 2 <= len(values) <= len(Row._fields)
    ]


def remove_journals(root: Path) -> None:
    """Remove the journals of all shards once their rows are in the manifest."""
    for path in journals(root):
        path.unlink()
    if (root / "journal").is_dir():
        (root / "journal").rmdir()


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
