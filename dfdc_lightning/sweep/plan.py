"""What a sweep will do: which runs it consists of, what is left of each, and how long that takes."""

import statistics
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from dfdc_lightning.results.run_folder import RunFolder, find_runs


class State(StrEnum):
    """What there is to do for a run."""

    START = "start"
    RESUME = "resume"
    SKIP = "skip"
    REFUSE = "refuse"


class PlannedRun(NamedTuple):
    """One run of a sweep, before it."""

    experiment: str
    seed: int
    folder: Path
    state: State
    epochs: int
    reason: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Name and seed."""
        return f"{self.experiment} seed {self.seed}"

    @property
    def epochs_left(self) -> int:
        """How many epochs are still to be trained, by what the run folder says now."""
        run = RunFolder(self.folder)
        if self.state in (State.SKIP, State.REFUSE) or run.finished:
            return 0
        done = len(run.epochs()) if self.state == State.RESUME else 0
        return max(self.epochs - done, 0)


def script_arguments(folder: Path) -> tuple[str, ...]:
    """Give the arguments with which the script runs by itself the job that Hydra's configuration describes.

    Args:
        folder: The run folder.
    """
    hydra = HydraConfig.get()
    places = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    as_typed: Any = OmegaConf.to_container(hydra.overrides, resolve=False)
    search = [override for override in as_typed["hydra"] if override.startswith("hydra.searchpath")]
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return (
        *(part for place in places for part in ("--config-dir", place)),
        *("--config-name", str(hydra.job.config_name)),
        *as_typed["task"],
        *search,
        f"hydra.run.dir='{quoted}'",
    )


class Plan(NamedTuple):
    """All runs of a sweep, in the order they are run.

    Args:
        study: Folder of the study; what is in it tells how long an epoch takes.
        runs: The runs.
        at_once: How many go side by side.
    """

    study: Path
    runs: tuple[PlannedRun, ...]
    at_once: int = 1

    @property
    def to_do(self) -> list[PlannedRun]:
        """The runs that will be started or resumed."""
        return [run for run in self.runs if run.state in (State.START, State.RESUME)]

    def seconds(self, runs: Iterable[PlannedRun]) -> float | None:
        """Estimate how long some of the runs take to train; None where no finished run tells.

        An epoch takes what it took in the finished runs of the same experiment, or else of any.
        """
        measured = self._seconds_per_epoch()
        if not measured:
            return None
        anything = statistics.median(second for seconds in measured.values() for second in seconds)
        all_of_them = sum(
            run.epochs_left * statistics.median(measured.get(run.experiment, [anything])) for run in runs
        )
        return all_of_them / self.at_once

    def _seconds_per_epoch(self) -> dict[str, list[float]]:
        measured: dict[str, list[float]] = {}
        for run in find_runs(self.study):
            if run.finished and run.result.epochs:
                per_epoch = run.result.seconds / run.result.epochs
                measured.setdefault(run.result.experiment, []).append(per_epoch)
        return measured


def duration(seconds: float) -> str:
    """Write a time in words: `40 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
