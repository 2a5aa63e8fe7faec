"""Listings of videos: DFDC's metadata.json and the plain labels.csv, checked before anything is opened."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from dfdc_lightning.errors import UserError

LABELS = ("REAL", "FAKE")
SPLITS = ("train", "val", "test")
_COLUMNS = "video,label[,original,method,person,split]"


class SourceError(UserError):
    """A source cannot be used; the sentence names the file or key, the value and the remedy."""


@contextmanager
def readable(what: Path) -> Iterator[None]:
    """Turn an error of the file system into a sentence."""
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"{error.filename or what} cannot be read ({error.strerror or error}): check source.path and "
            "who may read there"
        ) from None


class Entry(NamedTuple):
    """One video of a metadata.json or labels.csv: its path relative to that file, its label and more.

    `originals` are the videos that a FAKE was made from, `method` says how; `person` is who is seen; `split`
    is the data set's own. What is not known is empty.
    """

    path: str
    label: str
    originals: tuple[str, ...] = ()
    method: str = ""
    person: str = ""
    split: str = ""


def read_metadata(text: str, where: str) -> list[Entry]:
    """Read a DFDC metadata.json: `{"abc.mp4": {"label": "FAKE", "original": "def.mp4", …}, …}`.

    Beside what DFDC has, an entry may have a `method`.

    Args:
        text: The file's content.
        where: Its name, for messages.

    Raises:
        SourceError: When it is not JSON, has another shape, or holds an unknown label or an unsafe name.
    """
    try:
        table = json.loads(text)
    except json.JSONDecodeError as error:
        raise SourceError(f"{where} is not JSON ({error}): fetch or unpack that part again") from None
    if not isinstance(table, Mapping):
        raise SourceError(
            f"{where} must be one JSON object with an entry per video (got {type(table).__name__})"
        )
    return [_entry(name, fields, where) for name, fields in table.items()]


def _entry(name: str, fields: Any, where: str) -> Entry:
    if not isinstance(fields, Mapping) or "label" not in fields:
        raise SourceError(
            f'{where}: the entry {name!r} must have a "label", one of {", ".join(LABELS)} (got {fields!r})'
        )
    original = fields.get("original") or ""
    if not isinstance(original, str):
        raise SourceError(
            f"{where}: the original of {name!r} must be the name of a video or null (got {original!r})"
        )
    method = fields.get("method") or ""
    if not isinstance(method, str):
        raise SourceError(f"{where}: the method of {name!r} must be a text or null (got {method!r})")
    return checked(Entry(name, fields["label"], (original,) * bool(original), method), where)


def read_labels(path: Path) -> list[Entry]:
    """Read the entries of a labels.csv with the columns `video,label[,original,method,person,split]`.

    Two originals of one video, or two persons in it, have ";" between.

    Raises:
        SourceError: When a column is missing, for an unknown label or an unsafe name, or when an original is
            named without the folder of the video it must be.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)  # "a.mp4, FAKE, b.mp4" is written too
            columns = reader.fieldnames or []
            if not {"video", "label"} <= set(columns):
                raise SourceError(f"{path} has the columns {list(columns)}, expected {_COLUMNS}")
            lines = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} is not a CSV file in UTF-8 ({error}): save it as one") from None
    numbered = [(f"{path} line {number}", _of_line(line)) for number, line in enumerate(lines, start=2)]
    entries = [checked(entry, where) for where, entry in numbered]
    _refuse_bare_originals(numbered)
    return entries


def _of_line(line: Mapping[str, str | None]) -> Entry:
    def several(column: str) -> list[str]:
        return [text.strip() for text in (line.get(column) or "").split(";") if text.strip()]

    label, method, split = ((line.get(column) or "").strip() for column in ("label", "method", "split"))
    return Entry(
        line["video"] or "", label, tuple(several("original")), method, "/".join(several("person")), split
    )


def _refuse_bare_originals(entries: Sequence[tuple[str, Entry]]) -> None:
    """Refuse an original that lacks its folder: its FAKE would be in a group of its own."""
    listed = {video_id(entry.path) for _, entry in entries}
    by_name = {PurePosixPath(entry.path).stem: entry.path for _, entry in entries if entry.label == "REAL"}
    for where, entry in entries:
        for original in entry.originals:
            there = by_name.get(video_id(original))
            if there and video_id(original) not in listed:
                raise SourceError(
                    f"{where}: the original {original!r} is not listed, but {there!r} is: name an original "
                    "as in the column video"
                )


def checked(entry: Entry, where: str) -> Entry:
    """Return an entry of a listing, or refuse one that cannot be used."""
    if entry.label not in LABELS:
        raise SourceError(
            f"{where}: the label of {entry.path!r} must be one of {', '.join(LABELS)} (got {entry.label!r})"
        )
    if not is_safe(entry.path):
        raise SourceError(
            f"{where}: {entry.path!r} must be the name of a file inside its folder: correct that entry"
        )
    if unsafe := [original for original in entry.originals if not is_safe(original)]:
        raise SourceError(
            f"{where}: the original of {entry.path!r} must be the name of a video (got {unsafe[0]!r}): "
            "correct that entry"
        )
    if entry.method and entry.label == "REAL":
        raise SourceError(
            f"{where}: {entry.path!r} is REAL and has the method {entry.method!r}: only a FAKE has one, so "
            "leave it empty"
        )
    if entry.split not in ("", *SPLITS):
        raise SourceError(
            f"{where}: the split of {entry.path!r} must be one of {', '.join(SPLITS)}, or empty (got "
            f"{entry.split!r})"
        )
    return entry


def is_safe(name: str) -> bool:
    """Say whether a name from a listing or archive stays inside its folder on every system."""
    parts = re.split(r"[/\\]", name)
    return (
        name.isprintable()
        and not re.match(r"[A-Za-z]:", name)
        and all(part not in ("", ".", "..") for part in parts)
    )


def video_id(path: str) -> str:
    """Make a video's id of its relative path: no suffix, `__` for `/`."""
    return "" if not path else "__".join(PurePosixPath(path).with_suffix("").parts)


def part_number(folder: str) -> str:
    """Take the number at the end of a part's name ("dfdc_train_part_07" → "7"), or ""."""
    digits = re.search(r"(\d+)$", folder)
    return str(int(digits[1])) if digits else ""


def part_numbers(parts: str | int, key: str = "source.parts") -> list[int]:
    """Expand the numbers in "0-3,7" → [0, 1, 2, 3, 7].

    Raises:
        SourceError: When it has another form.
    """
    numbers: list[int] = []
    for piece in str(parts).split(","):
        ends = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", piece)
        if not ends or int(ends[2] or ends[1]) < int(ends[1]):
            raise SourceError(f"{key} must be numbers of parts, as 0-49 or 3,7,10-12 (got {parts})")
        numbers += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    return sorted(set(numbers))
