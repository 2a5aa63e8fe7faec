"""A run of a sweep in a process of its own: whatever ends it, the sweep goes on and error.txt says what."""

import functools
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.runs import Run, one_sentence, result_settings
from dfdc_lightning.sweep.nursery import Nursery
from dfdc_lightning.sweep.process import tie_to_parent

Job = Callable[[DictConfig], float]


def isolated(*warm: str) -> Callable[[Job], Job]:
    """Let every job of a sweep train in a process of its own; a single run stays where it is.

    The sweep's process never imports torch: it skips what is finished, refuses what does not fit, and starts
    the same script with the job's overrides for the rest. So a run that dies by a signal, of memory or of
    `os._exit` takes nothing else with it, under every Hydra launcher.

    Args:
        warm: Modules that take long to import and that every run needs.

    Returns:
        The decorator of the function under `hydra.main`, in the script that is to be started again.
    """

    def decorate(main: Job) -> Job:
        nursery = Nursery(Path(main.__code__.co_filename).resolve(), warm)

        @functools.wraps(main)
        def job(config: DictConfig) -> float:
            tie_to_parent()
            if HydraConfig.get().mode != RunMode.MULTIRUN:
                with one_sentence():  # before Hydra adds a line of its own
                    return main(config)
            return _run_apart(nursery, config)

        return job

    return decorate


def _run_apart(nursery: Nursery, config: DictConfig) -> float:
    """Validation AUROC of the job's run, or NaN where it has none."""
    run = Run(Path(HydraConfig.get().runtime.output_dir))
    try:
        if not config.overwrite:
            run.refuse_other(result_settings(config))
            if run.finished:
                return run.auroc
        run.lock()
        run.unlock()  # the process that trains will take it
        run.error_file.unlink(missing_ok=True)
        arguments = _arguments(run.folder)
        ending = nursery.run(arguments)
        if ending.status and not run.error_file.is_file():
            run.lock()  # refused where another sweep was quicker: that is no failure of the run
            command = shlex.join(["python", str(nursery.script), *arguments])
            atomic.write_text(run.error_file, "\n\n".join((ending.epitaph, command, ending.last_words)))
            run.unlock()
    except (UserError, OSError) as error:  # a full disk fails one run after another, and the table says so
        print(f"error: {error}", file=sys.stderr, flush=True)
    return run.auroc if run.finished else float("nan")


def _arguments(folder: Path) -> list[str]:
    """The arguments with which the script runs this one job of the sweep by itself."""
    hydra = HydraConfig.get()
    places = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    as_typed: Any = OmegaConf.to_container(hydra.overrides, resolve=False)
    search = [override for override in as_typed["hydra"] if override.startswith("hydra.searchpath")]
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return [
        *(part for place in places for part in ("--config-dir", place)),
        *("--config-name", str(hydra.job.config_name)),
        *as_typed["task"],
        *search,
        f"hydra.run.dir='{quoted}'",
    ]
