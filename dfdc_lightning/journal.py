"""A journal of JSON lines: what is known of long work is noted at once, so that a kill loses none of it."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any


class Journal(AbstractContextManager["Journal"]):
    """A file with one JSON value per line. Enter it to add lines; one process at a time may.

    Args:
        path: The file; it and its folder are made on entering.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Any]:
        """Return the value of every line but those that a kill or a full disk cut off."""
        values = []
        for line in self.path.read_bytes().splitlines() if self.path.is_file() else []:
            try:
                values.append(json.loads(line))
            except ValueError:
                continue
        return values

    def __enter__(self) -> "Journal":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab")
        if self._file.tell():
            self._file.write(b"\n")  # ends a line that was cut off
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, value: Any) -> None:
        """Write one line; it survives a kill from here on.

        Raises:
            OSError: When the disk is full.
        """
        self._file.write(json.dumps(value, allow_nan=False).encode() + b"\n")
        self._file.flush()
