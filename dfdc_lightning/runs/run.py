"""One run: claim its folder, resume, finish, load its detector back."""

import fcntl
import json
import math
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.machine import follows
from dfdc_lightning.results.ranking import MEASURES
from dfdc_lightning.results.result import write_result
from dfdc_lightning.results.run_folder import RunFolder
from dfdc_lightning.runs.outcome import outcome
from dfdc_lightning.runs.settings import (
    CACHE_CONTENT,
    PRECISION,
    VALIDATION_CONTENT,
    WEIGHTS_CONTENT,
    introduction,
    refuse_absent_weights,
    result_settings,
    say_how_to_watch,
)

if TYPE_CHECKING:
    from lightning import Trainer

    from dfdc_lightning.clips import FaceDataModule
    from dfdc_lightning.models.detector import Detector

_SHOWN_DIFFERENCES = 8  # a refusal names so many keys; more would hide the remedy
_LONGEST_REASON = 300  # characters of a library's own words


class Run(RunFolder):
    """A run that is being made, or whose detector is loaded again."""

    @cached_property
    def follows(self) -> bool:
        """Whether another process leads the run, which has claimed the folder and writes the files."""
        return follows()

    @classmethod
    def claim(cls, config: DictConfig) -> "Run":
        """Take the run folder that this job's Hydra configuration names, for this process alone.

        Args:
            config: The composed configuration of one job.

        Raises:
            UserError: When the folder holds a run whose configuration differs in what can change results, or
                another process works in it.
        """
        from hydra.core.hydra_config import HydraConfig

        run = cls(Path(HydraConfig.get().runtime.output_dir))
        if run.follows:
            return run
        run.lock()
        settings = result_settings(config)
        if config.overwrite:
            run.clear()
        else:
            try:
                run.refuse_other(settings)
            except UserError:
                run.unlock()
                raise
        if not run.finished:
            refuse_absent_weights(config)  # they are said before anything is imported or written
            what = f"{config.name} seed {config.seed}: {'goes on' if run.begun else 'starts'} in {run.folder}"
            print(introduction(config, what), flush=True)
            say_how_to_watch(config)
            run.divergence_file.unlink(missing_ok=True)
            atomic.write_json(run.settings_file, settings | run.settled())
            words = HydraConfig.get().overrides.task
            atomic.write_text(run.overrides_file, OmegaConf.to_yaml(words))
            atomic.write_text(run.config_file, OmegaConf.to_yaml(config, resolve=True))
        return run

    def settled(self) -> dict[str, Any]:
        """Fix what the machine decides when the run begins and what a resumed run must go on with."""
        before = self._noted_settings() if self.begun else {}
        return {key: before[key] for key in (PRECISION,) if key in before}

    def _noted_settings(self) -> dict[str, Any]:
        if not self.settings_file.is_file():
            return {}
        noted: dict[str, Any] = json.loads(self.settings_file.read_text(encoding="utf-8"))
        return noted

    @cached_property
    def config(self) -> DictConfig:
        """The resolved configuration the run was made with."""
        return OmegaConf.create(self.configuration)

    def clear(self) -> None:
        """Forget all that an earlier run left here; the result, which means finished, goes first."""
        written = (self.predictions_file, self.metrics_file, self.reference_file, self.error_file)
        left = (*written, self.wandb_file, self.divergence_file)
        for path in (self.result_file, *self.checkpoints.glob("*.ckpt"), *left):
            path.unlink(missing_ok=True)
        self.__dict__.pop("result", None)

    def objects(self, config: DictConfig) -> "tuple[FaceDataModule, Detector, Trainer]":
        """Build what the configuration describes; the seed is set just before its weights are drawn.

        Raises:
            UserError: When a GPU is there and cannot be used, when the cache cannot be used, which is seen
                before any weights are fetched, or when the run was begun in another precision.
        """
        from hydra.utils import instantiate
        from lightning import seed_everything

        from dfdc_lightning.callbacks.memory import MemoryAdvice
        from dfdc_lightning.hardware import check_accelerator, keep_memory, use_threads

        _quieten()
        check_accelerator(str(config.trainer.accelerator), config.trainer.devices)
        use_threads(config.threads)
        keep_memory()
        data = instantiate(config.data)
        data.setup("fit")
        seed_everything(config.seed, verbose=False)
        detector = instantiate(config.model)
        loggers = () if self.follows else config.logger.values()
        callbacks = [instantiate(item) for item in (*config.callbacks.values(), *loggers)]
        if self.follows:
            callbacks = [each for each in callbacks if not getattr(each, "first_process_only", False)]
        callbacks.sort(key=lambda callback: isinstance(callback, MemoryAdvice))  # its sentence ends the rest
        trainer = instantiate(
            config.trainer,
            default_root_dir=str(self.folder),
            callbacks=callbacks,
            logger=False,  # ours are callbacks that mirror the run folder
        )
        self.agree_on_precision(str(trainer.precision))
        return data, detector, trainer

    def agree_on_precision(self, precision: str) -> None:
        """Note the precision that the run is going to train in, once.

        Args:
            precision: Lightning's name of it, which depends on the machine where none was asked for.

        Raises:
            UserError: When the run that goes on from here was begun in another one.
        """
        before = self.settled().get(PRECISION, precision)
        if before != precision:
            raise UserError(
                f"{self.folder} holds a run that was begun in precision {before}, and here it would go on in "
                f"{precision}: go on where it was begun, or with trainer.precision={before}, use another "
                "study=NAME, or overwrite=true to redo it"
            )
        if not self.follows:
            atomic.write_json(self.settings_file, self._noted_settings() | {PRECISION: precision})

    def resume_from(self) -> Path | None:
        """Find the newest readable checkpoint of a half-done run; None means a fresh start.

        Raises:
            UserError: When no checkpoint can be read, or the measures of the epochs before it are missing.
        """
        from dfdc_lightning.callbacks.checkpoints import newest_readable

        checkpoint = newest_readable(self)
        if checkpoint is not None and not self.epochs():
            raise UserError(
                f"{self.metrics_file} is missing or empty, and without it the run cannot go on: "
                "overwrite=true redoes it"
            )
        return checkpoint

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Leave the traceback of a failure in the folder, and no trace of an earlier one after success.

        Raises:
            KeyboardInterrupt: When the run was stopped by Ctrl-C or SIGTERM: half-done, not failed.
        """
        if self.follows:
            yield
            return
        self.error_file.unlink(missing_ok=True)
        try:
            yield
        except KeyboardInterrupt:
            raise
        except SystemExit as stop:  # how Lightning passes both on, SIGTERM with the exit code of success
            raise KeyboardInterrupt from stop
        except BaseException:
            atomic.write_text(self.error_file, traceback.format_exc())
            raise

    def finish(self, trainer: "Trainer", data: "FaceDataModule", scores: Mapping[str, float]) -> None:
        """Write the result, which means: finished.

        Args:
            trainer: What trained and tested the detector.
            data: What the detector saw; gives the provenance.
            scores: `val/…` and `test/…` metrics of the best checkpoint.
        """
        if self.follows:
            return
        write_result(self.result_file, outcome(self.config, self.epochs(), trainer, data, scores))
        self.__dict__.pop("result", None)
        self.previous.unlink(missing_ok=True)  # it was there to go on from

    @property
    def monitored(self) -> float:
        """The monitored measure of the finished run's best epoch: what a search may choose by."""
        return self.result.val[self.result.config.get("monitor", "val/auroc").removeprefix("val/")]

    def announce(self) -> float:
        """Print the run's outcome in one line and return the monitored measure of its best epoch.

        A process that follows prints nothing and returns NaN: the first one has the result.
        """
        if self.follows:
            return math.nan
        result = self.result
        figures = "  ".join(f"{name} {result.test[name]:.3f}" for name in MEASURES)
        epoch = result.best_epoch + 1  # files count from 0
        print(f"{result.title}: test {figures}  (best epoch {epoch}, {self.folder})", flush=True)
        return self.monitored

    def load_detector(self) -> "Detector":
        """Load the detector of the best checkpoint on the CPU, in evaluation mode; needs no ImageNet weights.

        Raises:
            UserError: When the checkpoint is absent or of another configuration, or that names
                what a detector does not have.
        """
        from dfdc_lightning.callbacks.checkpoints import load_weights

        detector = self._described_detector()
        load_weights(detector, self.best)
        return detector.eval()

    def _described_detector(self) -> "Detector":
        """Build the detector that the configuration describes, with weights drawn at random."""
        from hydra.errors import HydraException
        from hydra.utils import instantiate
        from omegaconf.errors import OmegaConfBaseException

        from dfdc_lightning.models.detector import Detector
        from dfdc_lightning.runs.trusted import refuse_strange

        try:
            model = self.config.model.copy()
            refuse_strange(OmegaConf.to_container(model), self.config_file)
            model.backbone.pretrained = False  # the checkpoint holds every weight
            model.backbone.weights = None  # nor need the file still be there
            detector = instantiate(model)
            if not isinstance(detector, Detector):
                raise TypeError(f"model must be a detector, not a {type(detector).__name__}")
        except UserError:
            raise
        except (HydraException, OmegaConfBaseException, AttributeError, TypeError, ValueError) as error:
            reason = " ".join(str(error.__cause__ or error).split())
            raise UserError(
                f"{self.config_file} does not describe a detector ({reason[:_LONGEST_REASON]}): "
                "overwrite=true trains the run again"
            ) from None
        return detector

    def refuse_other(self, settings: dict[str, Any]) -> None:
        """Make sure that what the folder holds was made with these settings.

        Args:
            settings: What `result_settings` says of the configuration that wants the folder.

        Raises:
            UserError: With the differing keys, when the folder holds another run or one of unknown settings;
                with what it said, when it holds one that diverged, as the same steps would end the same way.
        """
        bound = self.begun or self.result_file.is_file()
        diverged = self.divergence_file.is_file() and not self.finished
        if not (bound or diverged):
            return  # an earlier start came to nothing, which binds nobody
        remedy = "use another study=NAME, or overwrite=true to redo it"
        try:
            before = json.loads(self.settings_file.read_text(encoding="utf-8"))
            keys = sorted(
                key for key in settings.keys() | before.keys() if self._differs(key, before, settings)
            )
        except FileNotFoundError:
            raise UserError(
                f"{self.folder} holds a run of unknown settings (no {self.settings_file.name}): {remedy}"
            ) from None
        except (ValueError, AttributeError) as error:
            raise UserError(f"{self.settings_file} is damaged ({error}): {remedy}") from None
        if diverged and not keys:
            said = self.divergence_file.read_text(encoding="utf-8").strip()
            raise UserError(f"{self.folder}: {said}; these are the same settings: change one, or {remedy}")
        if bound and keys:
            differences = [f"{key}: {before.get(key)} there, {settings.get(key)} here" for key in keys]
            shown = "; ".join(differences[:_SHOWN_DIFFERENCES])
            more = f"; and {len(keys) - _SHOWN_DIFFERENCES} more" if len(keys) > _SHOWN_DIFFERENCES else ""
            raise UserError(f"{self.folder} holds a run with another configuration ({shown}{more}): {remedy}")

    @staticmethod
    def _differs(key: str, before: dict[str, Any], now: dict[str, Any]) -> bool:
        absent_where_moved = (CACHE_CONTENT, VALIDATION_CONTENT, WEIGHTS_CONTENT, PRECISION)
        if key in absent_where_moved and key not in now:
            # A finished run stays finished after its cache or its weights were moved away, and the precision
            # is known only when torch is there.
            return False
        return bool(before.get(key) != now.get(key))

    def lock(self) -> None:
        """Take the folder for this process; the kernel frees it when the process ends, however it ends.

        Raises:
            UserError: When another process has it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._held = self.lock_file.open("w")
        try:
            # A lock of this kind is not held by forked loader workers too.
            fcntl.lockf(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.unlock()
            raise UserError(
                f"{self.folder} is being worked on by another process: wait for it, or use another study=NAME"
            ) from None

    def unlock(self) -> None:
        """Give the folder back."""
        self._held.close()


def _quieten() -> None:
    """Keep the framework's tips, and warnings about what is done on purpose, out of a sweep's log."""
    import logging
    import warnings

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (r".*isinstance\(treespec, LeafSpec\)", r"Found \d+ module\(s\) in eval mode"):
        warnings.filterwarnings("ignore", message)
