"""split.json of a face cache: which way of splitting it was given, and whether groups were torn by it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from dfdc_lightning import atomic
from dfdc_lightning.faces.cache import Row
from dfdc_lightning.faces.split import Splitter, torn

_FILE = "split.json"


def record_split(root: Path, splitter: Splitter, rows: Sequence[Row], labels: str) -> dict[str, Any]:
    """Write how a cache was split, beside its manifest, and return it."""
    settings = _settings(splitter)
    content = {"split": splitter.name, **split_facts(rows), "labels": labels, "settings": settings}
    if read_split(root) != content:
        atomic.write_json(Path(root) / _FILE, content)
    return content


def read_split(root: Path) -> dict[str, Any]:
    """Read what `record_split` wrote; empty for a cache of an earlier version, or a damaged record."""
    try:
        content = json.loads((Path(root) / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def split_facts(rows: Sequence[Row]) -> dict[str, Any]:
    """Count the groups that are used and those in several splits, and say whether the split leaks."""
    groups = {row.video: row.group for row in rows if row.split}
    n_torn = len(torn(groups, {row.video: row.split for row in rows if row.split}))
    return {"leaky": n_torn > 0, "groups": len(set(groups.values())), "torn": n_torn}


def _settings(splitter: Splitter) -> dict[str, Any]:
    if not is_dataclass(splitter):
        return {}
    values = {each.name: getattr(splitter, each.name) for each in fields(splitter)}
    # What comes from a configuration only looks like a dictionary.
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if not isinstance(value, Path)
    }
