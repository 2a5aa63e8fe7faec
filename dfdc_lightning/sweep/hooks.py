"""Around Hydra's sweep: check every run before the first starts, announce each, sum up at the end."""

import atexit
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FaceCache
from dfdc_lightning.runs import Run, check_values, one_sentence, result_settings, say_how_to_watch
from dfdc_lightning.sweep.at_once import runs_at_once
from dfdc_lightning.sweep.isolation import UPCOMING
from dfdc_lightning.sweep.overview import outcomes, show_outcomes, show_plan, summary
from dfdc_lightning.sweep.plan import Plan, PlannedRun, State, duration, script_arguments
from dfdc_lightning.sweep.preconditions import refuse_unmet
from dfdc_lightning.sweep.workspace import build_workspace


class SweepHooks(Callback):
    """Plans a sweep, announces its runs, ends it with a table. Hydra takes it along to where a job runs."""

    def __init__(self) -> None:
        self.plan: Plan | None = None

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse values of a single run that cannot be; with plan=true show what it would do, and stop."""
        HydraConfig.instance().set_config(config)  # Hydra itself does so only after this
        with one_sentence():
            check_values(config)
            if config.plan:
                study = Path(config.hydra.run.dir).parent.parent
                print(show_plan(Plan(study, (planned_run(config, config.hydra.run.dir),))))
                raise SystemExit(0)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Read the state of all runs; stop here when none is left to train, or with plan=true."""
        with one_sentence():
            self.plan = plan = planned_sweep(config)
        if config.plan:
            print(show_plan(plan))
            raise SystemExit(0)
        if not plan.to_do:
            self._end()
        print(summary(plan), flush=True)
        say_how_to_watch(config)
        for run in plan.runs:
            if run.state == State.REFUSE:
                print(f"error: {run.reason}", file=sys.stderr, flush=True)
        if _one_after_another(config):
            UPCOMING.take(plan, self._announce)
        atexit.register(self._sum_up)  # also when Ctrl-C or the launcher ends the sweep

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """Print one line for the sweep: which run of how many, and how long the rest may take."""
        if self.plan is None or config.hydra.mode != RunMode.MULTIRUN:
            return
        run = self.plan.runs[config.hydra.job.num]
        if run not in self.plan.to_do or not _one_after_another(config):  # else announced when it starts
            self._announce(run)

    def _announce(self, run: PlannedRun) -> None:
        assert self.plan is not None
        number = self.plan.runs.index(run)
        left = self.plan.seconds(self.plan.runs[number:]) if run in self.plan.to_do else None
        time = "" if left is None else f", about {duration(left)} left"
        print(f"run {number + 1} of {len(self.plan.runs)}{time}: {run.title}, {run.state}", flush=True)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print the table, and end with exit code 1 if a run failed."""
        atexit.unregister(self._sum_up)
        self._end(shown=True)

    def _end(self, shown: bool = False) -> None:
        failed = self._sum_up()
        if shown and self.plan is not None:
            build_workspace(self.plan)
        raise SystemExit(1 if failed else 0)

    def _sum_up(self) -> int:
        assert self.plan is not None
        found = outcomes(self.plan)
        print(show_outcomes(found), flush=True)
        return sum(outcome.word in ("failed", "open") for outcome in found)


def _one_after_another(config: DictConfig) -> bool:
    """Say whether Hydra's own launcher runs the jobs, which waits for each of them."""
    return str(config.hydra.launcher._target_).endswith(".BasicLauncher")


def planned_sweep(config: DictConfig) -> Plan:
    """List the runs of a sweep, from its overrides, and what is left of each.

    Args:
        config: The configuration of the whole sweep.

    Raises:
        UserError: When there is something to train and no face cache to train it on, no fitting weights,
            or a GPU that is there and cannot be used.
    """
    hydra = config.hydra
    arguments = [f"{key}={value}" for key, value in (hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    as_typed: Any = OmegaConf.to_container(hydra.overrides, resolve=False)
    overrides = parser.parse_overrides([*arguments, *as_typed["task"]])
    (jobs,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    before = HydraConfig.instance().cfg
    runs: list[PlannedRun] = []
    training: list[DictConfig] = []
    for number, job in enumerate(jobs):
        composed = compose(hydra.job.config_name, [*as_typed["hydra"], *job], return_hydra_config=True)
        with open_dict(composed.hydra.job):
            composed.hydra.job.num = composed.hydra.job.id = number
        HydraConfig.instance().set_config(composed)
        runs.append(planned_run(composed, f"{composed.hydra.sweep.dir}/{composed.hydra.sweep.subdir}"))
        if runs[-1].state in (State.START, State.RESUME):
            if "model" in composed:
                OmegaConf.resolve(composed.model)  # what ${hydra:…} stands for is known only now
            training.append(composed)
    HydraConfig.instance().cfg = before
    at_once = runs_at_once(training) if _one_after_another(config) else 1
    plan = Plan(Path(hydra.sweep.dir), tuple(runs), at_once)
    for folder, n in Counter(run.folder for run in runs).items():
        if n > 1:
            raise UserError(
                f"{n} runs of this sweep would share the folder {folder}: put what they differ in into "
                "their name, e.g. name='lr${model.optimizer.lr}'"
            )
    for cache in sorted({str(job.data.cache) for job in training}):
        FaceCache(Path(cache)).rows()  # no cache: say so now, not in the morning
    if not config.plan:
        refuse_unmet(training, here=_one_after_another(config))
    return plan


def planned_run(config: DictConfig, folder: str) -> PlannedRun:
    """Find out what is to be done for one job."""
    check_values(config)
    task = config.copy()
    with open_dict(task):
        del task["hydra"]
    run = Run(Path(folder).absolute())
    state, reason = State.START, ""
    if not task.overwrite:
        try:
            run.refuse_other(result_settings(task))
            state = State.SKIP if run.finished else State.RESUME if run.begun else State.START
        except UserError as error:
            state, reason = State.REFUSE, str(error)
    arguments = script_arguments(run.folder)
    return PlannedRun(
        str(task.name), task.seed, run.folder, state, task.trainer.max_epochs, reason, arguments
    )
