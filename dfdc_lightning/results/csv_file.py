"""A whole CSV file as lines of text: what was cut off is refused, never taken for the end."""

import csv
from pathlib import Path


def read_table(path: Path) -> list[list[str]]:
    """Read a header and its rows.

    Raises:
        ValueError: When the file cannot be read, is empty, or was cut: each row must have as many fields as
            the header, and the last line its end, since a number without its last digits is still a number.
    """
    try:
        text = path.read_bytes().decode("utf-8")
        lines = list(csv.reader(text.splitlines(keepends=True), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"it cannot be read: {error}") from None
    if not lines:
        raise ValueError("it is empty")
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(lines[0]):
            raise ValueError(f"it is truncated: line {number} has {len(line)} of {len(lines[0])} fields")
    if not text.endswith("\n"):
        raise ValueError("it is truncated: its last line has no end")
    return lines
