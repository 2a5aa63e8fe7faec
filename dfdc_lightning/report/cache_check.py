"""What `prepare_faces.py check=CACHE` found in the face caches that a study was trained on."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfdc_lightning.audit.check_file import read_check
from dfdc_lightning.report.evidence import Evidence
from dfdc_lightning.report.study import Note, Study
from dfdc_lightning.report.table import ABSENT, Table, number

_MOST_DOUBTS = 20  # rows per study
_NOT_LOOKED_AT = "not looked at"


class Checked(NamedTuple):
    """A face cache of a study, and what its last check found."""

    study: str
    cache: str
    found: Mapping[str, Any]


def findings(evidence: Evidence) -> Table:
    """Tabulate proofs, shortcuts, copies and doubts: a row per finding, a column per face cache."""
    checked = [one for study in evidence.studies for one in _checked(study)]
    rows = {
        "face cache": [one.cache for one in checked],
        "claims that hold": [_claims(one.found) for one in checked],
        "AUROC of shortcuts": [_shortcuts(one.found) for one in checked],
        "of the file alone": [_family(one.found, "container") for one in checked],
        "of size, sharpness and light alone": [_family(one.found, "look") for one in checked],
        "near-duplicates in different groups": [_copies(one.found) for one in checked],
        "split": [_split(one.found) for one in checked],
        "labels in doubt": [_doubts(one.found) for one in checked],
    }
    caption = (
        "By prepare_faces.py check=CACHE; its page lies in CACHE/check/. Shortcuts: a small classifier that "
        "sees no face, only the file (codec, size, rate, length) and how a face is lit, how sharp and how "
        "large it is; 99 % interval over source groups. What it reaches needs no forgery to be seen."
    )
    names = [one.study if len(checked) == len(evidence.studies) else one.cache for one in checked]
    table = [[name, *cells] for name, cells in rows.items()] if checked else []
    return Table("cache_check", "Check of the face cache", caption, ["finding", *names], table, prose=True)


def doubts(evidence: Evidence) -> Table:
    """List the videos whose label every run contradicts that was not trained on them."""
    rows = []
    for study in evidence.studies:
        for one in _checked(study):
            listed = one.found.get("doubtful", [])
            for entry in listed[:_MOST_DOUBTS]:
                mean = number(float(np.mean(entry["scores"])))
                rows.append([entry["video"], study.name, entry["label"], str(len(entry["scores"])), mean])
            if len(listed) > _MOST_DOUBTS:
                rest = f"and {len(listed) - _MOST_DOUBTS} more"
                rows.append([rest, study.name, ABSENT, ABSENT, ABSENT])
    caption = (
        "Every run that was not trained on the video calls it the opposite, at its own threshold. Look at "
        f"it: the label may be wrong, or the video hard. At most {_MOST_DOUBTS} per study, the clearest "
        "first."
    )
    return Table(
        "doubts", "Labels in doubt", caption, ["video", "study", "label", "runs", "mean score"], rows
    )


def notes(evidence: Evidence) -> list[Note]:
    """Say what in the data speaks against a study's numbers; a reader must know it before these."""
    return [note for study in evidence.studies for one in _checked(study) for note in _notes(one)]


def _notes(one: Checked) -> Iterator[Note]:
    cut, leaks = one.found.get("shortcuts", {}), one.found.get("leaks", {})
    if cut.get("found"):
        what = f"FAKE can be told from REAL without looking at a face (AUROC {_shortcuts(one.found)})"
        yield Note(one.study, what, "an AUROC up to that may come from how the videos were made")
    if leaks.get("across"):
        n = leaks["across"]
        what = "1 pair of near-duplicates lies" if n == 1 else f"{n} pairs of near-duplicates lie"
        yield Note(one.study, f"{what} in two splits", "a detector may know these test videos from training")
    wrong = [claim["text"] for claim in one.found.get("claims", []) if claim["faults"]]
    if wrong:
        yield Note(one.study, f"its face cache breaks a claim ({wrong[0]})", "prepare the cache anew")


def _checked(study: Study) -> list[Checked]:
    """Read the checks of the clips that the study's finished runs were trained on."""
    caches = {
        (cache, run.result.data.get("profile"))
        for run in study.finished
        if isinstance(cache := run.result.data.get("cache"), str)
    }
    read = [(cache, profile, read_check(Path(cache))) for cache, profile in sorted(caches, key=str)]
    return [
        Checked(study.name, cache, found)
        for cache, profile, found in read
        if found is not None and found.get("profile") == profile
    ]


def _claims(found: Mapping[str, Any]) -> str:
    claims = found.get("claims", [])
    wrong = [f"{claim['text']}: {claim['faults'][0]}" for claim in claims if claim["faults"]]
    if not claims:
        return _NOT_LOOKED_AT
    return f"{len(claims) - len(wrong)} of {len(claims)}" + (f"; not: {'; '.join(wrong)}" if wrong else "")


def _shortcuts(found: Mapping[str, Any]) -> str:
    cut = found.get("shortcuts", {})
    if "auroc" not in cut:
        return str(cut.get("reason", _NOT_LOOKED_AT))
    return _measured(cut)


def _family(found: Mapping[str, Any], name: str) -> str:
    family = found.get("shortcuts", {}).get("families", {}).get(name)
    return _measured(family) if family else ABSENT


def _measured(one: Mapping[str, Any]) -> str:
    return f"{number(one['auroc'])} ({number(one['low'])}–{number(one['high'])})"


def _copies(found: Mapping[str, Any]) -> str:
    leaks = found.get("leaks")
    return f"{leaks['pairs']} pairs, {leaks['across']} of them between splits" if leaks else _NOT_LOOKED_AT


def _split(found: Mapping[str, Any]) -> str:
    split = found.get("split")
    if not split:
        return _NOT_LOOKED_AT
    return f"{split['name']}: tears {split['torn']} of {split['groups']} source groups apart"


def _doubts(found: Mapping[str, Any]) -> str:
    return str(len(found["doubtful"])) if "doubtful" in found else _NOT_LOOKED_AT
