"""A run seen from elsewhere: metrics.csv while it trains, its evidence after the test, never a failure."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L

from dfdc_lightning.faces.cache import FaceCache
from dfdc_lightning.loggers.worst_videos import Judged, judged_test_videos


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
            row: A row of metrics.csv.
        """
        raise NotImplementedError

    def show_test(
        self, metrics: dict[str, float], judged: list[Judged], threshold: float, cache: FaceCache
    ) -> None:
        """Show the result.

        Args:
            metrics: `test/…` of the best checkpoint.
            judged: The test videos with their scores.
            threshold: Scores above it mean FAKE.
            cache: Where their faces are.
        """
        raise NotImplementedError

    def close(self, failed: bool) -> None:
        """Everything has been shown, or the run failed."""
        raise NotImplementedError

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Open once, for training and test."""
        if not self._open:
            self._open = True
            self._safely(self.open, Path(trainer.default_root_dir))
            self._safely(self._show_epochs, Path(trainer.default_root_dir))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show what metrics.csv has gained."""
        self._safely(self._show_epochs, Path(trainer.default_root_dir))

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the result and close."""
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("test/")}
        module: Any = pl_module
        data: Any = getattr(trainer, "datamodule")  # noqa: B009 - Lightning sets it without declaring it
        predictions = Path(trainer.default_root_dir) / "predictions.csv"
        self._safely(
            lambda: self.show_test(metrics, judged_test_videos(predictions), module.threshold, data.cache)
        )
        self._safely(self.close, False)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Close as failed."""
        self._safely(self.close, True)

    def _show_epochs(self, folder: Path) -> None:
        metrics = folder / "metrics.csv"
        if metrics.is_file():
            with metrics.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    self.show_epoch({key: float(value) for key, value in row.items() if value})

    def _safely(self, action: Callable[..., None], *arguments: Any) -> None:
        if self._broken:
            return
        try:
            action(*arguments)
        except Exception as error:  # whatever a service's client raises: an evening's training is worth more
            self._broken = True
            reason = " ".join(str(error).split()) or type(error).__name__
            print(
                f"{self.service} no longer follows this run ({reason}): metrics.csv has everything",
                flush=True,
            )
            self.let_go()

    def let_go(self) -> None:
        """Drop a broken service so that it says nothing more; must not raise."""
