"""check.json of a face cache: what the check found, for whoever reports on results of that cache."""

import json
from pathlib import Path
from typing import Any

from dfdc_lightning import atomic

FOLDER, RECORD, PAGE, DUPLICATES = "check", "check.json", "index.html", "duplicates.csv"
VERSION = 1


def write_check(root: Path, content: dict[str, Any]) -> None:
    """Write what a check found beside the cache's manifest."""
    atomic.write_json(Path(root) / FOLDER / RECORD, {"version": VERSION, **content})


def read_check(root: Path) -> dict[str, Any] | None:
    """Read what the last check found; None for a cache that nobody checked, or by another version."""
    try:
        content = json.loads((Path(root) / FOLDER / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    sound = isinstance(content, dict) and content.get("version") == VERSION
    return content if sound else None
