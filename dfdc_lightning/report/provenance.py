"""Where the numbers come from: configurations and their differences, data, versions, how to do it again."""

import json
import shlex
from collections.abc import Iterator
from typing import Any

from dfdc_lightning.report.evidence import Evidence
from dfdc_lightning.report.study import Study
from dfdc_lightning.report.table import ABSENT, Table
from dfdc_lightning.results.run_folder import RunFolder
from dfdc_lightning.runs.settings import cannot_change_results


def differences(evidence: Evidence) -> Table:
    """List what configurations change against the baseline; runs with the same changes share a row."""
    rows = []
    for study in evidence.studies:
        known = {run: study.configs[run.name] for run in study.runs if study.configs[run.name]}
        baseline = next((run for run in known if run.experiment == evidence.baseline), None)
        reference = baseline or next(iter(known), None)
        if reference is None:
            continue
        for experiment in study.experiments:
            mine = {run: config for run, config in known.items() if run.experiment == experiment}
            rows += _rows_of_experiment(mine, _flat(reference, known[reference]))
    columns = ["runs", "key", "reference", "here"]
    caption = (
        f"Against the first run of {evidence.baseline} (or of the study, without one); seeds, and whatever "
        "cannot change a result, aside."
    )
    return Table("configurations", "Configuration differences", caption, columns, rows, prose=True)


def _rows_of_experiment(
    configs: dict[RunFolder, dict[str, Any]], reference: dict[str, str]
) -> list[list[str]]:
    groups: dict[str, list[RunFolder]] = {}
    for run, config in configs.items():
        groups.setdefault(json.dumps(_changes(reference, _flat(run, config))), []).append(run)
    rows = []
    for changes, members in groups.items():
        seeds = ", ".join(str(run.seed) for run in members)
        title = f"{members[0].study}/{members[0].experiment} (seeds {seeds})"
        listed = json.loads(changes) or [["none", ABSENT, ABSENT]]
        rows += [[title, *change] for change in listed]
    return rows


def _changes(theirs: dict[str, str], ours: dict[str, str]) -> list[list[str]]:
    keys = sorted(ours.keys() | theirs.keys())
    pairs = [(key, theirs.get(key, "absent"), ours.get(key, "absent")) for key in keys]
    return [[key, a, b] for key, a, b in pairs if a != b and {a, b} != {"null", "absent"}]


def _flat(run: RunFolder, config: dict[str, Any]) -> dict[str, str]:
    return {
        key: "null" if value is None else str(value)
        for key, value in _leaves(config)
        if (key.rpartition(".")[2], value) != ("seed", run.seed) and not cannot_change_results(key)
    }


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict) and node:
        for key, child in node.items():
            yield from _leaves(child, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def data(evidence: Evidence) -> Table:
    """List what each study was trained and tested on."""
    return _facts("data", "Data", {study.name: facts_of_data(study) for study in evidence.studies})


def environment(evidence: Evidence) -> Table:
    """List with what each study was trained."""
    facts = {study.name: facts_of_environment(study) for study in evidence.studies}
    return _facts("environment", "Versions and hardware", facts)


def _facts(name: str, title: str, facts: dict[str, list[tuple[str, str]]]) -> Table:
    """Lay facts out in one row each, with one column per study."""
    keys = dict.fromkeys(key for pairs in facts.values() for key, _ in pairs)
    rows = [[key, *(dict(pairs).get(key, ABSENT) for pairs in facts.values())] for key in keys]
    return Table(name, title, "Of the finished runs.", ["", *facts], rows, prose=True)


def facts_of_data(study: Study) -> list[tuple[str, str]]:
    """Collect cache, profile, split and counts; several values where the finished runs disagree."""
    finished = study.finished
    facts = [
        (title, _values(finished, key))
        for title, key in (
            ("face cache", "cache"),
            ("profile of the faces", "profile"),
            ("hash of the split", "split_hash"),
            ("source groups", "n_groups"),
        )
    ]
    facts += [("warning", sentence) for sentence in leaks_of_split(study)]
    for split in ("train", "val", "test"):
        facts.append((f"{split} videos", _distinct([_counted(run, split) for run in finished])))
    checked = [run for run in finished if {"val", "test"} <= run.predictions.splits.keys()]
    clean = sum(not _leaks(run) for run in checked)
    facts.append(
        (
            "group check",
            f"no group of test lies in val in {clean} of {len(checked)} runs; "
            "prepare_faces.py check=CACHE proves it for train too",
        )
    )
    return facts


def leaks_of_split(study: Study) -> list[str]:
    """Say which ways of splitting tore source groups apart, as recorded when the faces were made."""
    splits = [run.result.data.get("split") for run in study.finished]
    return list(
        dict.fromkeys(
            f"split={split.get('split')} leaks: {split.get('torn')} of {split.get('groups')} source groups "
            "lie in more than one split, so a detector may know a test video from training and every score "
            "is too good"
            for split in splits
            if isinstance(split, dict) and split.get("leaky") is True
        )
    )


def _leaks(run: RunFolder) -> bool:
    splits = run.predictions.splits
    return bool(set(splits["val"].group) & set(splits["test"].group))


def facts_of_environment(study: Study) -> list[tuple[str, str]]:
    """Collect versions and hardware of the finished runs, and the seconds they took."""
    finished = study.finished
    facts = []
    for parts in ([run.result.versions for run in finished], [run.result.hardware for run in finished]):
        for key in dict.fromkeys(key for part in parts for key in part):
            facts.append((key, _distinct([str(part.get(key, ABSENT)) for part in parts])))
    seconds = [run.result.seconds for run in finished]
    facts.append(("training", f"{sum(seconds) / 60:.1f} minutes in all, {len(finished)} finished runs"))
    return facts


def commands(study: Study) -> list[str]:
    """Write the commands that make this study again, one for all runs of the same other settings."""
    sweeps: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for run in study.runs:
        if not run.folder.is_dir():
            continue
        swept, others = _words(run, study.overrides[run.name])
        values = sweeps.setdefault((*swept, *others), {key: [] for key in swept})
        for key, value in swept.items():
            values[key].append(value)
    lines = [
        ["python", "train.py", "-m"]
        + [f"{key}={','.join(dict.fromkeys(found))}" for key, found in values.items()]
        + list(words[len(values) :])
        for words, values in sweeps.items()
    ]
    return [shlex.join(line) for line in [*lines, ["python", "report.py", f"study={study.name}"]]]


def _words(run: RunFolder, overrides: list[str]) -> tuple[dict[str, str], list[str]]:
    """Part the words a run was started with: those a sweep goes over, and the others."""
    named = [f"experiment={run.experiment}", f"seed={run.seed}", f"study={run.study}"]
    pairs = [word.partition("=") for word in overrides or named]
    swept = {key: value for key, _, value in pairs if key in ("experiment", "seed")}
    others = ["".join(pair) for pair in pairs if pair[0] not in (*swept, "overwrite")]
    return dict(sorted(swept.items())), others


def _counted(run: RunFolder, split: str) -> str:
    counts = run.result.counts(split)
    return ", ".join(f"{counts[label]:,} {label}" for label in sorted(counts, reverse=True)) or ABSENT


def _values(runs: list[RunFolder], key: str) -> str:
    return _distinct([str(run.result.data.get(key, ABSENT)) for run in runs])


def _distinct(values: list[str]) -> str:
    different = list(dict.fromkeys(values))
    text = " or ".join(different) or ABSENT
    return text if len(different) < 2 else f"{text} (the runs differ)"
