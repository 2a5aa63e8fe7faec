"""The whole check of a face cache: proofs, shortcuts, leaks, contents, doubts, as a page and as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dfdc_lightning import atomic
from dfdc_lightning.audit.check_file import DUPLICATES, FOLDER, PAGE, write_check
from dfdc_lightning.audit.check_page import page
from dfdc_lightning.audit.contents import contents, dropped
from dfdc_lightning.audit.doubts import doubtful, runs_on
from dfdc_lightning.audit.duplicates import Pair, near_duplicates
from dfdc_lightning.audit.facts import Facts, measure_facts
from dfdc_lightning.audit.shortcuts import shortcuts
from dfdc_lightning.errors import writing
from dfdc_lightning.faces.cache import FaceCache, Row, split_hash
from dfdc_lightning.faces.conditions import NAMES
from dfdc_lightning.faces.proof import prove, stated
from dfdc_lightning.faces.split_record import read_split, split_facts

_EXAMPLES = 50  # pairs that the page shows


def check(root: Path, studies: Path = Path("multirun")) -> int:
    """Prove a cache, look at what is in it, and write `check/` beside its manifest.

    Args:
        root: The cache's folder.
        studies: Where run folders lie; finished runs on this cache say which labels are in doubt.

    Returns:
        Exit code: 0 when every proof holds, else 1. Shortcuts, copies and doubts are only reported.

    Raises:
        CacheError: When the cache lacks a manifest.
        UserError: When the folder cannot be written.
    """
    cache = FaceCache(root)
    claims = list(prove(cache))
    print(stated(root, claims))
    rows = cache.rows()
    used = [row for row in rows if row.split and row.status == "ok"]
    facts = measure_facts(cache, [row.video for row in used])
    seen = set(facts.videos)
    used = [row for row in used if row.video in seen]
    found = _found(cache, rows, used, facts, studies)
    leaks = found["leaks"].pop("all")
    with writing("check", Path(root) / FOLDER):
        write_check(root, {"claims": [claim._asdict() for claim in claims], **found})
        atomic.write_csv(Path(root) / FOLDER / DUPLICATES, ("a", "b", "similarity"), leaks)
        atomic.write_text(Path(root) / FOLDER / PAGE, page(cache, claims, found, used))
    print("\n".join(_said(root, found)))
    return 1 if any(claim.faults for claim in claims) else 0


def _found(
    cache: FaceCache, rows: Sequence[Row], used: Sequence[Row], facts: Facts, studies: Path
) -> dict[str, Any]:
    looks = {
        video: dict(zip(NAMES, values, strict=True))
        for video, values in zip(facts.videos, facts.measured.tolist(), strict=True)
    }
    profile = rows[0].profile if rows else ""
    name = read_split(cache.root).get("split", "by_group")
    return {
        "profile": profile,
        "split": {"name": name, **split_facts(rows)},
        "shortcuts": shortcuts(used, looks),
        "leaks": _leaks(used, near_duplicates(facts.faces, groups=[row.group for row in used])),
        "contents": contents(used, looks),
        "dropped": dropped(rows),
        "doubtful": doubtful(used, runs_on(profile, split_hash(rows), studies)),
    }


def _leaks(used: Sequence[Row], pairs: Iterable[Pair]) -> dict[str, Any]:
    """Describe the pairs that are alike and in no common group: those between splits leak."""
    found: list[dict[str, Any]] = []
    for pair in pairs:
        a, b = used[pair.a], used[pair.b]
        found.append(
            {
                "a": a.video,
                "b": b.video,
                "similarity": round(pair.similarity, 3),
                "mirrored": pair.mirrored,
                "splits": sorted({a.split, b.split}),
            }
        )
    across = [pair for pair in found if len(pair["splits"]) > 1]
    return {
        "pairs": len(found),
        "across": len(across),
        "examples": (across + [pair for pair in found if len(pair["splits"]) == 1])[:_EXAMPLES],
        "all": [(pair["a"], pair["b"], pair["similarity"]) for pair in found],
    }


def _said(root: Path, found: Mapping[str, Any]) -> list[str]:
    """Say each finding in a line."""
    cut = found["shortcuts"]
    if "reason" in cut:
        lines = [f"shortcuts: not measured: {cut['reason']}"]
    else:
        verdict = "FAKE can be told from REAL without looking at a face" if cut["found"] else "none found"
        lines = [f"shortcuts: AUROC {cut['auroc']:.3f} ({cut['low']:.3f} to {cut['high']:.3f}): {verdict}"]
    leaks, split = found["leaks"], found["split"]
    line = f"leaks: {leaks['pairs']} near-duplicates in different groups, {leaks['across']} between splits"
    if leaks["pairs"]:
        line += f": prepare once more with join={Path(root) / FOLDER / DUPLICATES}"
    lines.append(line)
    if split["leaky"]:
        lines.append(
            f"leaks: split={split['name']} tears {split['torn']} of {split['groups']} groups apart: results "
            "on its test split are too good"
        )
    lines.append(f"labels in doubt: {len(found['doubtful'])}")
    return [*lines, f"page: {Path(root) / FOLDER / PAGE}"]
