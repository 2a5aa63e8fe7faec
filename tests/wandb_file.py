"""Reads a .wandb file as W&B writes it: a log of 32 KiB blocks (LevelDB's format) of protobuf records."""

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_BLOCK, _HEADER = (
    1 << 15,
    struct.Struct("<IHB"),
)  # of a chunk: checksum, length, and whether it begins or ends
_FULL, _LAST = 1, 4


class OfflineRun:
    """An offline run's own record of itself.

    Args:
        folder: The run folder of the training, in which W&B keeps `wandb/offline-run-…`.
        part: Which of several, in the order of time.
    """

    def __init__(self, folder: Path, part: int = 0) -> None:
        file = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime)[
            part
        ]
        self.files = file.parent / "files"
        self.run: Any = None
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.best: dict[str, str] = {}  # of each metric whose summary is its lowest or highest value, which
        self.history: list[dict[str, Any]] = []
        self.images: list[Path] = []
        self.exit_code: int | None = None
        for record in records(file):
            self._take(record)

    def _take(self, record: Any) -> None:
        kind = record.WhichOneof("record_type")
        if kind == "run":
            self.run = record.run
            self.config |= values(record.run.config.update)
        elif kind == "config":
            self.config |= values(record.config.update)
        elif kind == "history":
            self.history.append(values(record.history.item))
        elif kind == "summary":
            self.summary |= values(record.summary.update)
        elif kind == "metric":
            asked = record.metric.summary
            if asked.min or asked.max:
                self.best[record.metric.name] = "min" if asked.min else "max"
        elif kind == "artifact":
            contents = record.artifact.manifest.contents
            self.images += [Path(entry.local_path) for entry in contents if entry.path.endswith(".png")]
        elif kind == "exit":
            self.exit_code = record.exit.exit_code

    def curve(self, name: str) -> list[tuple[int, float]]:
        """(epoch, value) of one metric."""
        return [(row["epoch"], row[name]) for row in self.history if name in row and "epoch" in row]

    def table(self, key: str) -> list[dict[str, Any]]:
        """The rows of a logged table."""
        (logged,) = (row[key] for row in self.history if key in row)
        content = json.loads((self.files / logged["path"]).read_text())
        return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


def values(items: Any) -> dict[str, Any]:
    """Keys and JSON values as one tree."""
    tree: dict[str, Any] = {}
    for item in items:
        *above, name = item.nested_key or [item.key]
        node = tree
        for key in above:
            node = node.setdefault(key, {})
        node[name] = json.loads(item.value_json)
    return tree


def records(file: Path) -> Iterator[Any]:
    data = file.read_bytes()
    assert data[:4] == b":W&B", "not a .wandb file"
    at, whole = 7, b""
    while at < len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER.size:  # too little room for a chunk is padding
            at += left
            continue
        checksum, length, kind = _HEADER.unpack_from(data, at)
        chunk = data[at + _HEADER.size : at + _HEADER.size + length]
        assert zlib.crc32(bytes([kind]) + chunk) == checksum, "a damaged chunk"
        at += _HEADER.size + length
        whole += chunk
        if kind in (_FULL, _LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""
