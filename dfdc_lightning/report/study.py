"""Read a study's run folders: what is finished, failed, unfinished or missing, and what cannot be used."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dfdc_lightning.errors import UserError
from dfdc_lightning.results.epochs import MONITORS, Epoch, best_epoch
from dfdc_lightning.results.measures import measure
from dfdc_lightning.results.predictions import PREDICTIONS
from dfdc_lightning.results.result import RESULT
from dfdc_lightning.results.run_folder import RunFolder, find_runs

_ROUNDING = 1e-4  # runs measure in single precision


class Note(NamedTuple):
    """Something a reader must know: where, what, and what was left out because of it."""

    where: str
    what: str
    consequence: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} — {self.consequence}"


@dataclass
class Study:
    """All runs of a study, in order of experiment and seed, and what a reader must know about them.

    Attributes:
        name: The study.
        path: Its folder.
        runs: Its runs, the missing ones included.
        notes: What could not be read or used.
        epochs: The measures of each run's epochs, by the run's name; empty where they cannot be read.
        configs: Each run's configuration, by the run's name; empty where it cannot be read.
        overrides: The words that each run was started with, by the run's name.
        incomparable: Names of runs that were tested on other videos than the study's, or whose split leaks.
    """

    name: str
    path: Path
    runs: list[RunFolder] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    epochs: dict[str, list[Epoch]] = field(default_factory=dict)
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    overrides: dict[str, list[str]] = field(default_factory=dict)
    incomparable: set[str] = field(default_factory=set)

    @property
    def experiments(self) -> list[str]:
        """What was run, by name, in order."""
        return list(dict.fromkeys(run.experiment for run in self.runs))

    def curves(self, experiment: str) -> list[list[Epoch]]:
        """Return the epochs of each run of an experiment that has any."""
        runs = [run for run in self.runs if run.experiment == experiment]
        return [self.epochs[run.name] for run in runs if self.epochs[run.name]]

    def best_epochs(self, experiment: str) -> list[Epoch]:
        """Return the best epoch of each of these runs: the one it was tested at, or the best so far."""
        runs = [run for run in self.runs if run.experiment == experiment and self.epochs[run.name]]
        return [self._best_epoch(run) for run in runs]

    def _best_epoch(self, run: RunFolder) -> Epoch:
        epochs = self.epochs[run.name]
        if run.finished and run.result.best_epoch < len(epochs):
            return epochs[run.result.best_epoch]
        return best_epoch(epochs, self.monitor(run))

    def monitor(self, run: RunFolder) -> str:
        """Say which measure a run chooses its best epoch by."""
        monitor = self.configs[run.name].get("monitor")
        return monitor if monitor in MONITORS else "val/auroc"

    @property
    def finished(self) -> list[RunFolder]:
        """Which runs have a result."""
        return [run for run in self.runs if run.finished]

    @property
    def usable(self) -> list[RunFolder]:
        """Which runs' test scores count in means and comparisons."""
        return [
            run
            for run in self.finished
            if "test" in run.predictions.splits and run.name not in self.incomparable
        ]


def read_study(root: Path, name: str, order: list[str]) -> Study:
    """Read `root/name/<experiment>/<seed>/` for every experiment and seed.

    Args:
        root: Folder of all studies.
        name: The study.
        order: Experiments in the order to show them in; others follow by name.

    Raises:
        UserError: When the study does not exist or holds no run folder.
    """
    path = Path(root) / name
    if not path.is_dir():
        there = sorted(p.name for p in Path(root).glob("*") if p.is_dir() and "+" not in p.name)
        raise UserError(
            f"study={name}: {path} does not exist; studies in {root}: {', '.join(there) or 'none'} "
            f"(train one with python train.py study={name})"
        )
    found = {(run.experiment, run.seed) for run in find_runs(path)}
    if not found:
        raise UserError(
            f"study={name}: {path} holds no run folder <experiment>/<seed>: "
            f"train one with python train.py study={name}"
        )
    experiments = sorted(
        {experiment for experiment, _ in found},
        key=lambda e: (order.index(e) if e in order else len(order), e),
    )
    seeds = sorted({seed for _, seed in found})
    study = Study(name, path)
    study.notes += _not_seeds(study)
    for experiment in experiments:
        for seed in seeds:
            run = RunFolder(path / experiment / str(seed))
            study.runs.append(run)
            _read_run(study, run)
    _agree_on_test_videos(study)
    return study


def _not_seeds(study: Study) -> list[Note]:
    """Name folders such as `01`, which train.py does not make: they could be a seed a second time."""
    numbers = [path for path in sorted(study.path.glob("*/*")) if path.is_dir() and path.name.isdecimal()]
    return [
        Note(
            f"{study.name}/{path.parent.name}/{path.name}",
            f"a seed is written {int(path.name)}, without leading zeros",
            "not read: rename the folder",
        )
        for path in numbers
        if path.name != str(int(path.name))
    ]


def _read_run(study: Study, run: RunFolder) -> None:
    def read(reading: Callable[[], Any], nothing: Any, consequence: str) -> Any:
        try:
            return reading()
        except UserError as error:
            study.notes.append(Note(run.name, run.without_place(error), consequence))
            return nothing

    there = run.folder.is_dir()
    study.epochs[run.name] = read(run.epochs, [], "left out of the learning curves")
    study.overrides[run.name] = read(lambda: run.overrides, [], "its command is not shown in full")
    study.configs[run.name] = {}
    if there and run.finished:
        study.configs[run.name] = run.result.config
    elif there and run.config_file.is_file():
        study.configs[run.name] = read(lambda: run.configuration, {}, "its differences are not shown")
    if run.finished:
        _judge_scores(study, run)


def _judge_scores(study: Study, run: RunFolder) -> None:
    splits, faults = run.predictions
    consequences = {
        "test": "left out of every mean, figure and comparison",
        "val": "left out of everything chosen on validation",
        "frames": "left out of frame-level numbers",
    }
    shown = {"test": faults["test"]} if faults.get("val", "") == faults.get("test") else faults
    study.notes += [
        Note(run.name, fault, consequences.get(split, "not used")) for split, fault in shown.items()
    ]
    _compare_with_result(study, run)
    val, test = (set(splits[split].group) if split in splits else set() for split in ("val", "test"))
    if val & test:
        what = f"group {min(val & test)} is in val and in test"
        study.incomparable.add(run.name)
        study.notes.append(Note(run.name, what, "left out of every mean and comparison (leak)"))


def _compare_with_result(study: Study, run: RunFolder) -> None:
    """Compare the run's own AUROC with ours: two paths to one number."""
    for split, stated in (("test", run.result.test["auroc"]), ("val", run.result.val["auroc"])):
        if split not in run.predictions.splits:
            continue
        scores = run.predictions.splits[split]
        ours = measure(scores.score, scores.label, run.result.threshold)["auroc"]
        if abs(stated - ours) > _ROUNDING:
            what = f"{RESULT} says {split} AUROC {stated:.4f}, its {PREDICTIONS} gives {ours:.4f}"
            study.notes.append(Note(run.name, what, f"the report goes by {PREDICTIONS}"))


def _agree_on_test_videos(study: Study) -> None:
    """Compare runs on the same test videos: those that most runs have."""
    runs = study.usable
    keys = [
        tuple(zip(s.video, s.label.tolist(), s.group, strict=True))
        for s in (run.predictions.splits["test"] for run in runs)
    ]
    if len(set(keys)) <= 1:
        return
    common = Counter(keys).most_common(1)[0][0]
    for run, key in zip(runs, keys, strict=True):
        if key != common:
            study.incomparable.add(run.name)
            differing = len(set(key) ^ set(common))
            what = (
                f"its {len(key)} test videos differ from the study's {len(common)} (by {differing} entries)"
            )
            study.notes.append(
                Note(run.name, what, "left out of every mean and comparison, listed on its own")
            )
