"""Read a study's run folders: what is finished, failed, unfinished or missing, and what cannot be used."""

import csv
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dfdc_lightning.errors import UserError
from dfdc_lightning.results.measures import measure
from dfdc_lightning.results.predictions import Scores, read_predictions

_ROUNDING = 1e-4  # runs measure in single precision


class Note(NamedTuple):
    """Something a reader must know: where, what, and what was left out because of it."""

    where: str
    what: str
    consequence: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} — {self.consequence}"


@dataclass
class Run:
    """One run folder. `state` is finished, failed, unfinished or missing."""

    study: str
    experiment: str
    seed: int
    path: Path
    state: str = "missing"
    result: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    splits: dict[str, Scores] = field(default_factory=dict)
    detail: str = ""
    comparable: bool = True

    @property
    def name(self) -> str:
        """Where the run lies below its root."""
        return f"{self.study}/{self.experiment}/{self.seed}"

    @property
    def threshold(self) -> float:
        """The run's own threshold, the study's 0.6 by default."""
        threshold = self.result.get("threshold")
        return float(threshold) if isinstance(threshold, int | float) else 0.6

    def section(self, name: str) -> dict[str, Any]:
        """A part of result.json, e.g. data or versions; empty where it is absent."""
        part = self.result.get(name)
        return part if isinstance(part, dict) else {}

    def counts(self, split: str) -> dict[str, int]:
        """Videos of a split by label, as result.json has them."""
        counts = self.section("data").get("counts")
        counted = counts.get(split) if isinstance(counts, dict) else None
        return counted if isinstance(counted, dict) else {}

    @property
    def usable(self) -> bool:
        """Whether the run's test scores count in the study's means and comparisons."""
        return self.state == "finished" and "test" in self.splits and self.comparable


@dataclass
class Study:
    """All runs of a study, in order of experiment and seed, and what a reader must know about them."""

    name: str
    path: Path
    runs: list[Run]
    notes: list[Note]

    @property
    def experiments(self) -> list[str]:
        """Names of the experiments, in order."""
        return list(dict.fromkeys(run.experiment for run in self.runs))


def read_study(root: Path, name: str, order: list[str]) -> Study:
    """Read `root/name/<experiment>/<seed>/` for every experiment and seed.

    Args:
        root: Folder of all studies.
        name: The study.
        order: Experiments in the order to show them in; others follow by name.

    Raises:
        UserError: When there is no such study, or it holds no run folder.
    """
    path = Path(root) / name
    if not path.is_dir():
        there = sorted(p.name for p in Path(root).glob("*") if p.is_dir() and "+" not in p.name)
        raise UserError(
            f"study={name}: {path} does not exist; studies in {root}: {', '.join(there) or 'none'} "
            f"(train one with python train.py study={name})"
        )
    found = {
        (folder.parent.name, int(folder.name)): folder
        for folder in path.glob("*/*")
        if folder.is_dir() and folder.name.isdecimal()
    }
    if not found:
        raise UserError(
            f"study={name}: {path} holds no run folder <experiment>/<seed>: "
            f"train one with python train.py study={name}"
        )
    experiments = sorted(
        {key[0] for key in found}, key=lambda e: (order.index(e) if e in order else len(order), e)
    )
    seeds = sorted({key[1] for key in found})
    study = Study(name, path, [], [])
    for experiment in experiments:
        for seed in seeds:
            study.runs.append(_read_run(name, experiment, seed, path / experiment / str(seed), study.notes))
    _agree_on_test_videos(study)
    return study


def _read_run(study: str, experiment: str, seed: int, path: Path, notes: list[Note]) -> Run:
    run = Run(study, experiment, seed, path)
    if not path.is_dir():
        return run
    run.epochs = _read_epochs(run, notes)
    config = _read_yaml(run, "config.yaml", "its differences are not shown", notes)
    run.config = config if isinstance(config, dict) else {}
    overrides = _read_yaml(run, "overrides.yaml", "its command is not shown in full", notes)
    run.overrides = [str(word) for word in overrides] if isinstance(overrides, list) else []
    if (path / "error.txt").is_file():
        run.state, run.detail = "failed", _last_line(path / "error.txt")
    elif not (path / "result.json").is_file():
        run.state, run.detail = "unfinished", f"{len(run.epochs)} epochs so far"
    if (path / "result.json").is_file():
        try:
            result = json.loads((path / "result.json").read_text(encoding="utf-8"))
            if not isinstance(result, dict):
                raise ValueError(f"it holds {type(result).__name__}, expected an object")
            run.result, run.state, run.detail = result, "finished", ""
        except ValueError as error:
            run.state, run.detail = "failed", f"result.json cannot be read: {error}"
    if run.state == "finished":
        run.config = run.section("config") or run.config
        _read_scores(run, notes)
    return run


def _read_scores(run: Run, notes: list[Note]) -> None:
    predictions = read_predictions(run.path / "predictions.csv")
    run.splits = dict(predictions.splits)
    faults = dict(predictions.faults)
    for split in ("val", "test"):
        expected = sum(run.counts(split).values())
        there = len(run.splits[split].video) if split in run.splits else expected
        if expected and there != expected:
            del run.splits[split]
            faults[split] = f"predictions.csv has {there} {split} videos, result.json counts {expected}"
    consequences = {
        "test": "left out of every mean, figure and comparison",
        "val": "left out of everything chosen on validation",
        "frames": "left out of frame-level numbers",
    }
    if faults.get("val") == faults.get("test"):
        faults.pop("val", None)
    notes += [Note(run.name, fault, consequences.get(split, "not used")) for split, fault in faults.items()]
    _compare_with_result(run, notes)
    both = [set(run.splits[split].group) for split in ("val", "test") if split in run.splits]
    if len(both) == 2 and both[0] & both[1]:
        group = min(both[0] & both[1])
        run.comparable = False
        notes.append(
            Note(
                run.name,
                f"group {group} is in val and in test",
                "left out of every mean and comparison (leak)",
            )
        )


def _compare_with_result(run: Run, notes: list[Note]) -> None:
    """The run's own AUROC and ours are two paths to one number."""
    for split in sorted(run.splits.keys() & {"val", "test"}):
        stated = run.section(split).get("auroc")
        scores = run.splits[split]
        ours = measure(scores.score, scores.label, run.threshold)["auroc"]
        if isinstance(stated, int | float) and abs(stated - ours) > _ROUNDING:
            what = f"result.json says {split} AUROC {stated:.4f}, its predictions.csv gives {ours:.4f}"
            notes.append(Note(run.name, what, "the report goes by predictions.csv"))


def _agree_on_test_videos(study: Study) -> None:
    """Runs are compared on the same test videos: those most runs have."""
    runs = [run for run in study.runs if run.usable]
    keys = [
        tuple(zip(s.video, s.label.tolist(), s.group, strict=True))
        for s in (run.splits["test"] for run in runs)
    ]
    if len(set(keys)) <= 1:
        return
    common = Counter(keys).most_common(1)[0][0]
    for run, key in zip(runs, keys, strict=True):
        if key != common:
            run.comparable = False
            differing = len(set(key) ^ set(common))
            what = (
                f"its {len(key)} test videos differ from the study's {len(common)} (by {differing} entries)"
            )
            study.notes.append(
                Note(run.name, what, "left out of every mean and comparison, listed on its own")
            )


def _read_epochs(run: Run, notes: list[Note]) -> list[dict[str, float]]:
    path = run.path / "metrics.csv"
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                {key: float(value) for key, value in line.items() if value not in ("", None)}
                for line in csv.DictReader(file)
            ]
    except (ValueError, TypeError, csv.Error) as error:
        notes.append(
            Note(run.name, f"metrics.csv cannot be read: {error}", "left out of the learning curves")
        )
        return []


def _read_yaml(run: Run, name: str, consequence: str, notes: list[Note]) -> Any:
    path = run.path / ".hydra" / name
    if not path.is_file():
        return None
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        notes.append(Note(run.name, f".hydra/{name} cannot be read: {error}", consequence))
        return None


def _last_line(path: Path) -> str:
    lines = [
        line.strip()
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    return lines[-1] if lines else "error.txt is empty"
