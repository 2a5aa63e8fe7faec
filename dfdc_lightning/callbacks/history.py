"""metrics.csv: one row an epoch, whole after every epoch, continued when a run is resumed."""

import csv
import time
from pathlib import Path
from typing import Any

import lightning as L

from dfdc_lightning import atomic

METRICS = (
    "train/loss",
    "train/auroc",
    "val/loss",
    "val/auroc",
    "val/accuracy",
    "val/f1",
    "val/eer",
    "val/frame_auroc",
)
COLUMNS = ("epoch", *METRICS, "lr", "trainable_parameters", "clips_per_second", "seconds")


class History(L.Callback):
    """Write metrics.csv into the run folder. A metric that a detector does not have stays empty."""

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self._begun = self._trained = self._lr = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take up the rows of the epochs before this one; that of an epoch about to be repeated goes."""
        path = self._path(trainer)
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.reader(file))[1:]
            self.rows = [row for row in rows if int(row[0]) < trainer.current_epoch]

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock and note what the epoch trains with; at its end the schedule has moved on."""
        self._begun = time.perf_counter()
        self._lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock of training proper."""
        self._trained = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the epoch's row."""
        metrics = trainer.callback_metrics
        clips = len(trainer.train_dataloader.dataset)  # type: ignore[union-attr]
        row = [
            trainer.current_epoch,
            *(f"{float(metrics[name]):.9g}" if name in metrics else "" for name in METRICS),
            f"{self._lr:.9g}",
            sum(parameter.numel() for parameter in pl_module.parameters() if parameter.requires_grad),
            f"{clips / (self._trained - self._begun):.4g}",
            f"{time.perf_counter() - self._begun:.4g}",
        ]
        self.rows.append(row)
        atomic.write_csv(self._path(trainer), COLUMNS, self.rows)

    @staticmethod
    def _path(trainer: L.Trainer) -> Path:
        return Path(trainer.default_root_dir) / "metrics.csv"
