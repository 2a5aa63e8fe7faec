"""Show a run elsewhere: each epoch while it trains, its test videos after the test; never fail a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FaceCache
from dfdc_lightning.results.epochs import METRICS
from dfdc_lightning.results.predictions import Scores, read_predictions
from dfdc_lightning.results.result import Level
from dfdc_lightning.results.run_folder import RunFolder


class Mirror(L.Callback):
    """Follows the files of a run folder; it comes after the callbacks that write them.

    A service that breaks, at the start or half-way, is let go with one printed line, and the run goes on.

    Args:
        service: What is told to the user, e.g. "W&B".
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self._open = self._broken = False

    def open(self, folder: Path) -> None:
        """Begin to follow a run.

        Args:
            folder: The run folder.
        """
        raise NotImplementedError

    def show_epoch(self, row: dict[str, float]) -> None:
        """Show an epoch; one that was shown before may come again.

        Args:
            row: The epoch's measures, by name.
        """
        raise NotImplementedError

    def show_test(self, metrics: dict[str, float], test: Scores, threshold: float, cache: FaceCache) -> None:
        """Show how the tested checkpoint does on the test videos.

        Args:
            metrics: `test/…` of the best checkpoint.
            test: The scores of the test videos.
            threshold: Scores above it mean FAKE.
            cache: Where their faces are.
        """
        raise NotImplementedError

    def close(self, failed: bool) -> None:
        """Stop following: everything has been shown, or the run failed."""
        raise NotImplementedError

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Open once, for training and test."""
        if not self._open:
            self._open = True
            self._safely(self.open, Path(trainer.default_root_dir))
            self._safely(self._show_epochs, Path(trainer.default_root_dir))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the row that has just been added to metrics.csv."""
        self._safely(self._show_epochs, Path(trainer.default_root_dir))

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the test videos' scores and close."""
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("test/")}
        module: Any = pl_module
        data: Any = getattr(trainer, "datamodule")  # noqa: B009 - Lightning sets it without declaring it
        run = RunFolder(Path(trainer.default_root_dir))
        self._safely(
            lambda: self.show_test(
                metrics, _test_scores(run, module.level), module.threshold, data.validation_cache
            )
        )
        self._safely(self.close, False)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Close with the mark of a failed run."""
        self._safely(self.close, True)

    def _show_epochs(self, folder: Path) -> None:
        for epoch in RunFolder(folder).epochs():
            self.show_epoch(epoch)

    def _safely(self, action: Callable[..., None], *arguments: Any) -> None:
        if self._broken:
            return
        try:
            action(*arguments)
        except Exception as error:  # whatever a service's client raises: an evening's training is worth more
            self._broken = True
            reason = " ".join(str(error).split()) or type(error).__name__
            print(
                f"{self.service} no longer follows this run ({reason}): {METRICS} has everything",
                flush=True,
            )
            self.let_go()

    def let_go(self) -> None:
        """Drop a broken service so that it says nothing more; must not raise."""


def _test_scores(run: RunFolder, level: Level) -> Scores:
    splits, faults = read_predictions(run.predictions_file, level)
    if "test" in faults:
        raise UserError(faults["test"])
    return splits["test"]
