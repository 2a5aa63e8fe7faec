"""What is in a cache: how facts are distributed by label, and what was dropped and why."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dfdc_lightning.faces.cache import FAKE, REAL, SPLITS, Row, counts
from dfdc_lightning.faces.split import names

LABELS = (REAL, FAKE)
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_EXAMPLES = 3


def contents(rows: Sequence[Row], looks: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Count the used videos by label and spread of each fact; the form is that of `contents` in check.json.

    Args:
        rows: Used videos.
        looks: For each video the values that were measured on its clip.
    """
    by_label = {label: [row for row in rows if row.label == label] for label in LABELS}
    numbers: dict[str, Callable[[Row], float]] = {
        "width": lambda row: row.width,
        "height": lambda row: row.height,
        "frames per second": lambda row: row.fps,
        "seconds": lambda row: row.seconds,
        "kilobits per second": lambda row: 8 * row.bytes / max(row.seconds, 1e-3) / 1000,
        "face pixels": lambda row: looks[row.video]["face_pixels"],
        "brightness": lambda row: looks[row.video]["brightness"],
        "sharpness": lambda row: looks[row.video]["sharpness"],
    }
    words: dict[str, Callable[[Row], str]] = {
        "codec": lambda row: row.codec,
        "method": lambda row: row.method,
        "part": lambda row: row.part,
        "persons": lambda row: str(len(names(row.person))) if row.person else "",
    }
    return {
        "splits": {split: counts(rows)[split] for split in SPLITS},
        "persons": len({person for row in rows for person in names(row.person)}),
        "numbers": {
            name: {label: _spread([value(row) for row in members]) for label, members in by_label.items()}
            for name, value in numbers.items()
        },
        "words": {
            name: {
                label: dict(Counter(value(row) or "unknown" for row in members).most_common(20))
                for label, members in by_label.items()
            }
            for name, value in words.items()
        },
    }


def dropped(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Count the videos that are not used, by status ("spare" is good but not needed), with examples."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.split:
            continue
        status = "spare" if row.status == "ok" else row.status
        entry = found.setdefault(status, {"n": 0, **dict.fromkeys(LABELS, 0), "examples": []})
        entry["n"] += 1
        if row.label in LABELS:
            entry[row.label] += 1
        if len(entry["examples"]) < _EXAMPLES:
            entry["examples"].append({"video": row.video, "why": row.detail})
    return dict(sorted(found.items()))


def _spread(values: Sequence[float]) -> list[float]:
    """Compute the 5, 25, 50, 75 and 95 % quantiles; an empty list without videos."""
    return [round(float(value), 3) for value in np.quantile(values, _QUANTILES)] if values else []
