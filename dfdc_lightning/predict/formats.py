"""Writes outcomes of videos as text, JSON or CSV."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from dfdc_lightning.faces.cache import FAKE, REAL
from dfdc_lightning.predict.conformal import INCONCLUSIVE
from dfdc_lightning.predict.many import Outcome
from dfdc_lightning.predict.timeline import clock

_ORDER = {FAKE: 0, INCONCLUSIVE: 1, REAL: 2}

COLUMNS = (
    "video", "status", "verdict", "reason", "score", "probability", "error", "threshold", "person",
    "persons", "found",
    "stand_out", "warnings", "detail", "seconds", "width", "height", "fps", "video_sha256", "model_sha256",
    "source_sha256", "model", "profile",
)  # fmt: skip


def to_json(outcomes: Sequence[Outcome]) -> str:
    """Write one video as an object, several as a list."""
    return json.dumps(outcomes[0] if len(outcomes) == 1 else list(outcomes), indent=2, allow_nan=False)


def to_csv(outcomes: Sequence[Outcome]) -> str:
    """Write one row per video."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(outcome) for outcome in outcomes)
    return text.getvalue().removesuffix("\n")


def to_text(outcomes: Sequence[Outcome]) -> str:
    """Write one line per video, FAKE first, then what nobody can tell, failures last."""

    def order(outcome: Outcome) -> tuple[int, float, str]:
        place = _ORDER.get(outcome.get("verdict", ""), len(_ORDER))
        return place, -outcome.get("score", -1.0), outcome["video"]

    return "\n".join(_line(outcome) for outcome in sorted(outcomes, key=order))


def _line(outcome: Outcome) -> str:
    if outcome["status"] != "ok":
        return f"{'-':>5}  {outcome['status']:<12} {outcome['detail']}"
    return f"{outcome['score']:.3f}  {outcome['verdict']:<12} {outcome['video']}: {outcome['reason']}"


def _row(outcome: Outcome) -> dict[str, Any]:
    if outcome["status"] != "ok":
        return dict(outcome)
    found = next(person["found"] for person in outcome["persons"] if person["decides"])
    told = (
        outcome
        | {
            "persons": len(outcome["persons"]),
            "found": found,
            "warnings": "; ".join(outcome["warnings"]),
            "stand_out": "; ".join(
                f"{clock(each['start'])}-{clock(each['end'])}"
                for each in (outcome["scan"] or {}).get("stand_out", [])
            ),
        }
        | {key: outcome["record"].get(key) for key in ("video_sha256", "model_sha256", "source_sha256")}
    )
    row = {name: told[name] for name in COLUMNS if name in told}
    return row | {"score": f"{outcome['score']:.9g}"}
