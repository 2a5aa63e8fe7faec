"""A run of a sweep in a process of its own: whatever ends it, the sweep goes on and error.txt says what."""

import functools
import shlex
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.runs import Run, one_sentence, result_settings
from dfdc_lightning.sweep.fork_server import tie_to_parent
from dfdc_lightning.sweep.plan import Plan, PlannedRun, State, script_arguments
from dfdc_lightning.sweep.run_processes import Exit, RunProcesses

Job = Callable[[DictConfig], float]


def isolated(*modules: str) -> Callable[[Job], Job]:
    """Let every job of a sweep train in a process of its own; a single run stays where it is.

    The sweep's process never imports torch: it skips what is finished, refuses what does not fit, and starts
    the same script with the job's overrides for the rest. So a run that dies by a signal, of memory or of
    `os._exit` takes nothing else with it, under every Hydra launcher.

    Args:
        modules: Modules that take long to import and that every run needs.

    Returns:
        The decorator of the function under `hydra.main`, in the script that is to be started again.
    """

    def decorate(main: Job) -> Job:
        runs = Runs(RunProcesses(Path(main.__code__.co_filename).resolve(), modules))

        @functools.wraps(main)
        def job(config: DictConfig) -> float:
            tie_to_parent()
            if HydraConfig.get().mode != RunMode.MULTIRUN:
                with one_sentence():  # before Hydra adds a line of its own
                    return main(config)
            return runs.auroc(config)

        return job

    return decorate


class Upcoming:
    """Holds what of a sweep may start before Hydra asks for it, so that several runs go side by side.

    Hydra's own launcher asks for one job after another and waits for each. The sweep's hooks put here what
    will be asked for; whoever waits for one run meanwhile keeps as many going as there is room for.
    """

    def __init__(self) -> None:
        self.at_once = 1
        self.left: deque[PlannedRun] = deque()
        self.announce: Callable[[PlannedRun], None] = lambda _: None

    def take(self, plan: Plan, announce: Callable[[PlannedRun], None]) -> None:
        """Note the runs of a plan.

        Args:
            plan: The sweep's.
            announce: Told of each run as it starts.
        """
        self.at_once, self.left, self.announce = plan.at_once, deque(plan.to_do), announce


UPCOMING = Upcoming()


class Runs:
    """Runs each job of a sweep in a process of its own, several side by side where `UPCOMING` says so.

    Args:
        processes: What starts them.
    """

    def __init__(self, processes: RunProcesses) -> None:
        self._processes = processes
        self._going: dict[int, PlannedRun] = {}  # by process id
        self._over: set[Path] = set()

    def auroc(self, config: DictConfig) -> float:
        """Wait for the validation AUROC of the job's run, started if need be; NaN where it gives none."""
        folder = Path(HydraConfig.get().runtime.output_dir)
        if folder not in self._over:
            try:
                if not config.overwrite:
                    Run(folder).refuse_other(result_settings(config))
                if config.overwrite or not Run(folder).finished:
                    self._train(folder, config)
            except (UserError, OSError) as error:
                print(f"error: {error}", file=sys.stderr, flush=True)
        self._over.discard(folder)  # a search may ask for it again
        run = Run(folder)
        return run.monitored if run.finished else float("nan")

    def _train(self, folder: Path, config: DictConfig) -> None:
        self._fill()
        going = {run.folder for run in self._going.values()}
        if folder not in going and folder not in self._over:  # Hydra's launcher is another one than ours
            self._start(
                PlannedRun(
                    str(config.name), config.seed, folder, State.START, 0, arguments=script_arguments(folder)
                )
            )
        while folder in {run.folder for run in self._going.values()}:
            self._end(*self._processes.wait())
            self._fill()

    def _fill(self) -> None:
        """Start what may go beside the runs that are going."""
        while UPCOMING.left and len(self._going) < UPCOMING.at_once:
            run = UPCOMING.left.popleft()
            UPCOMING.announce(run)
            self._start(run)

    def _start(self, planned: PlannedRun) -> None:
        run = Run(planned.folder)
        try:
            run.lock()
            run.unlock()  # the process that trains will take it
            run.error_file.unlink(missing_ok=True)
            label = f"{planned.title}: " if UPCOMING.at_once > 1 else ""
            started = self._processes.start(planned.arguments, label)
            if isinstance(started, Exit):
                self._record(planned, started)
            else:
                self._going[started] = planned
        except (UserError, OSError) as error:  # a full disk fails one run after another; the table says so
            self._over.add(planned.folder)
            print(f"error: {error}", file=sys.stderr, flush=True)

    def _end(self, process: int, ended: Exit) -> None:
        planned = self._going.pop(process)
        try:
            self._record(planned, ended)
        except (UserError, OSError) as error:
            print(f"error: {error}", file=sys.stderr, flush=True)

    def _record(self, planned: PlannedRun, ended: Exit) -> None:
        """Leave in error.txt how a run failed that could not say so itself."""
        self._over.add(planned.folder)
        run = Run(planned.folder)
        if ended.status and not run.error_file.is_file():
            run.lock()  # refused where another sweep was quicker, which is not a failure of the run
            command = shlex.join(["python", str(self._processes.script), *planned.arguments])
            atomic.write_text(run.error_file, "\n\n".join((ended.reason, command, ended.stderr)))
            run.unlock()
