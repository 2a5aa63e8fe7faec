"""Where the numbers come from: configurations and their differences, data, versions, how to do it again."""

import json
from collections.abc import Iterator
from typing import Any

from dfdc_lightning.report.evidence import Evidence
from dfdc_lightning.report.study import Run, Study
from dfdc_lightning.report.table import ABSENT, Table

# Keys that only name a run or say where it lies and how it is watched.
_NAMES = ("study", "experiment", "name", "seed")


def differences(evidence: Evidence) -> Table:
    """What each run's configuration changes against the baseline; runs with the same changes share a row."""
    rows = []
    for study in evidence.studies:
        known = [run for run in study.runs if run.config]
        baseline = next((run for run in known if run.experiment == evidence.baseline), None)
        reference = baseline or next(iter(known), None)
        if reference is None:
            continue
        for experiment in study.experiments:
            rows += _rows_of_experiment([run for run in known if run.experiment == experiment], reference)
    columns = ["runs", "key", "reference", "here"]
    caption = (
        f"Against the first run of {evidence.baseline} (or of the study, without one); names, seeds and "
        "folders aside."
    )
    return Table("configurations", "Configuration differences", caption, columns, rows)


def _rows_of_experiment(runs: list[Run], reference: Run) -> list[list[str]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(json.dumps(_changes(reference, run)), []).append(run)
    rows = []
    for changes, members in groups.items():
        seeds = ", ".join(str(run.seed) for run in members)
        title = f"{members[0].study}/{members[0].experiment} (seeds {seeds})"
        listed = json.loads(changes) or [["none", ABSENT, ABSENT]]
        rows += [[title, *change] for change in listed]
    return rows


def _changes(reference: Run, run: Run) -> list[list[str]]:
    ours, theirs = _flat(run), _flat(reference)
    keys = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    return [[key, theirs.get(key, "absent"), ours.get(key, "absent")] for key in keys]


def _flat(run: Run) -> dict[str, str]:
    return {
        key: "null" if value is None else str(value)
        for key, value in _leaves(run.config)
        if key.split(".")[0] not in _NAMES and str(run.path) not in str(value)
    }


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict) and node:
        for key, child in node.items():
            yield from _leaves(child, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def data(study: Study) -> list[tuple[str, str]]:
    """Cache, profile, split and counts; several values where the finished runs disagree."""
    finished = [run for run in study.runs if run.state == "finished"]
    facts = [
        (title, _values(finished, key))
        for title, key in (
            ("face cache", "cache"),
            ("profile of the faces", "profile"),
            ("hash of the split", "split_hash"),
            ("source groups", "n_groups"),
        )
    ]
    for split in ("train", "val", "test"):
        facts.append((f"{split} videos", _distinct([_counted(run, split) for run in finished])))
    checked = [run for run in finished if {"val", "test"} <= run.splits.keys()]
    clean = sum(run.comparable or not _leaks(run) for run in checked)
    facts.append(
        (
            "group check",
            f"no group of test lies in val in {clean} of {len(checked)} runs; "
            "prepare_faces.py check=CACHE proves it for train too",
        )
    )
    return facts


def _leaks(run: Run) -> bool:
    return bool(set(run.splits["val"].group) & set(run.splits["test"].group))


def environment(study: Study) -> list[tuple[str, str]]:
    """Versions and hardware of the finished runs, and the seconds they took."""
    finished = [run for run in study.runs if run.state == "finished"]
    facts = []
    for part in ("versions", "hardware"):
        keys = list(dict.fromkeys(key for run in finished for key in run.section(part)))
        for key in keys:
            facts.append((key, _distinct([str(run.section(part).get(key, ABSENT)) for run in finished])))
    seconds = [float(run.result.get("seconds", 0.0)) for run in finished]
    facts.append(("training", f"{sum(seconds) / 60:.1f} minutes in all, {len(finished)} finished runs"))
    return facts


def commands(study: Study) -> list[str]:
    """The commands that make this study again."""
    experiments = ",".join(study.experiments)
    seeds = ",".join(str(seed) for seed in sorted({run.seed for run in study.runs}))
    return [
        f"python train.py -m study={study.name} experiment={experiments} seed={seeds}",
        f"python report.py study={study.name}",
    ]


def _counted(run: Run, split: str) -> str:
    counts = run.counts(split)
    return ", ".join(f"{counts[label]:,} {label}" for label in sorted(counts, reverse=True)) or ABSENT


def _values(runs: list[Run], key: str) -> str:
    return _distinct([str(run.section("data").get(key, ABSENT)) for run in runs])


def _distinct(values: list[str]) -> str:
    different = list(dict.fromkeys(values))
    text = " or ".join(different) or ABSENT
    return text if len(different) < 2 else f"{text} (the runs differ)"
