"""The measures of each epoch on disk, whole after every epoch and continued when a run is resumed."""

import time
from pathlib import Path

import lightning as L

from dfdc_lightning.results.epochs import MEASURED, Epoch, write_epochs
from dfdc_lightning.results.run_folder import RunFolder


class History(L.Callback):
    """Write one row per epoch into the run folder. A measure that a detector does not have stays empty."""

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []
        self._begun = self._trained = self._lr = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take up the rows of the epochs before this one; that of an epoch about to be repeated goes."""
        self.epochs = self._run(trainer).epochs()[: trainer.current_epoch]

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock and note what the epoch trains with; at its end the schedule has moved on."""
        self._begun = time.perf_counter()
        self._lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock of training proper."""
        self._trained = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the epoch's row."""
        metrics = trainer.callback_metrics  # over all devices, so all their processes must ask
        clips = len(trainer.train_dataloader.dataset)  # type: ignore[union-attr]
        epoch = {name: float(metrics[name]) for name in MEASURED if name in metrics} | {
            "epoch": trainer.current_epoch,
            "lr": self._lr,
            "trainable_parameters": sum(p.numel() for p in pl_module.parameters() if p.requires_grad),
            "clips_per_second": clips / (self._trained - self._begun),
            "seconds": time.perf_counter() - self._begun,
        }
        self.epochs.append(epoch)
        if trainer.is_global_zero:
            write_epochs(self._run(trainer).metrics_file, self.epochs)

    @staticmethod
    def _run(trainer: L.Trainer) -> RunFolder:
        return RunFolder(Path(trainer.default_root_dir))
