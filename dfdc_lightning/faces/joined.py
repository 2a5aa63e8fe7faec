"""joined.csv of a face cache: pairs of videos that show the same and so belong in one group."""

import csv
from collections.abc import Collection
from pathlib import Path

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError

_FILE = "joined.csv"
_COLUMNS = ["a", "b"]

Pairs = list[tuple[str, str]]


def joined_pairs(root: Path, join: Path | None, videos: Collection[str]) -> Pairs:
    """Read the pairs that a cache holds and those of a file, and keep all of them in the cache.

    They stay there, so that a later run without the file does not part them again.

    Args:
        root: The cache's folder.
        join: A CSV file whose first columns are `a` and `b`, as the check writes it; None adds nothing.
        videos: The videos that are listed.

    Raises:
        UserError: When a file is absent, has other columns, or names none of the videos.
    """
    kept = Path(root) / _FILE
    pairs = _read(kept, f"{kept}") if kept.is_file() else []
    if join is None:
        return pairs
    added = _read(Path(join), f"join={join}")
    listed = set(videos)
    if added and not any(a in listed and b in listed for a, b in added):
        raise UserError(
            f"join={join} has no pair of videos of this source (its first is {added[0][0]} and "
            f"{added[0][1]}): name the duplicates.csv that check= wrote for this cache"
        )
    together = sorted({*pairs, *added})
    if together != pairs:
        atomic.write_csv(kept, _COLUMNS, together)
    return together


def _read(path: Path, name: str) -> Pairs:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            head, *lines = [*csv.reader(file)] or [[]]
            if head[:2] != _COLUMNS or any(len(line) < 2 for line in lines):
                raise ValueError(f"its columns are {','.join(head)!r}, expected a,b")
            return [(line[0], line[1]) for line in lines]
    except (OSError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"{name} cannot be read ({reason}): give a CSV file of the columns a and b, a pair of videos per "
            "line, as check= writes check/duplicates.csv"
        ) from None
