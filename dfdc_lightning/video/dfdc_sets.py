"""DFDC's preview and test sets, which have other lists than its training parts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from dfdc_lightning.video.layout import Layout, listed, table
from dfdc_lightning.video.listing import Entry, SourceError
from dfdc_lightning.video.sources import Video


@dataclass(frozen=True)
class DFDCPreview(Layout):
    """The DFDC preview (Dolhansky et al., 2019): dataset.json, `original_videos`, `method_A`, `method_B`."""

    title: ClassVar[str] = "the DFDC preview"

    @override
    def videos(self, root: Path) -> list[Video]:
        where = root / "dataset.json"
        try:
            content = json.loads(where.read_text(encoding="utf-8"))
            entries = [self._entry(name, fields) for name, fields in content.items()]
        except FileNotFoundError:
            there = ", ".join(sorted(path.name for path in root.iterdir())[:4])
            raise SourceError(
                f"{where} is not there (found {there}): expected dataset.json beside original_videos, "
                "method_A and method_B"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(
                f"{where} is not the list of the DFDC preview ({error!r}): fetch it again"
            ) from None
        return listed(entries, root, str(where))

    def _entry(self, name: str, fields: Mapping[str, Any]) -> Entry:
        label = {"real": "REAL", "fake": "FAKE"}[fields["label"]]
        persons = [str(fields[key]) for key in ("target_id", "swapped_id") if fields.get(key)]
        method = name.partition("/")[0] if label == "FAKE" else ""
        return Entry(name, label, method=method, person="/".join(persons), split=fields["set"])


@dataclass(frozen=True)
class DFDCTest(Layout):
    """DFDC's test set: videos beside labels.csv (filename, label: 1 is FAKE); all are for testing."""

    title: ClassVar[str] = "DFDC's test set"

    @override
    def videos(self, root: Path) -> list[Video]:
        where = root / "labels.csv"
        rows = table(where, ("filename", "label"), "labels.csv (filename,label) beside the videos")
        if wrong := [row for row in rows if row["label"] not in ("0", "1")]:
            raise SourceError(f"{where}: the label of {wrong[0]['filename']} must be 0 or 1: fetch it again")
        labels = {"0": "REAL", "1": "FAKE"}
        entries = [Entry(row["filename"], labels[row["label"]], split="test") for row in rows]
        return listed(entries, root, str(where))
