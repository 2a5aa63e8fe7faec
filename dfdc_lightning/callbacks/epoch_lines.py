"""What a run says while it trains: how much of it trains, one line per epoch, and a bar on a terminal."""

import sys
from contextlib import ExitStack
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dfdc_lightning.models.detector import Detector

_IN_LINE = ("train/loss", "train/auroc", "val/loss", "val/auroc")


class EpochLines(L.Callback):
    """Print one line per epoch; on a terminal, keep a bar for the whole run below them."""

    first_process_only = True  # of several devices' processes

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._open = ExitStack()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say how many parameters train, at most and from the start, and open the bar."""
        assert isinstance(pl_module, Detector)
        parameters = list(pl_module.parameters())
        total = sum(parameter.numel() for parameter in parameters)
        trains = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
        print(
            f"{type(pl_module).__name__}: {trains:,} of {total:,} parameters train (the head and the last "
            f"{pl_module.n_open} of the backbone's {len(pl_module.layers)} layers), "
            f"{trainer.precision} on {pl_module.device}",
            flush=True,
        )
        if sys.stdout.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:.0f} %"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            self._bar = self._open.enter_context(Progress(*columns, console=Console(), transient=True))
            batches, done = int(trainer.num_training_batches), trainer.current_epoch
            self._bar.add_task(
                "training", total=batches * int(trainer.max_epochs or 1), completed=batches * done
            )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar by one batch."""
        if self._bar is not None:
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._bar.update(self._bar.task_ids[0], advance=1, description=epoch)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the epoch's line."""
        figures = "  ".join(f"{name} {float(trainer.callback_metrics[name]):.3f}" for name in _IN_LINE)
        line = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {figures}"
        if self._bar is not None:
            self._bar.console.print(line, highlight=False)
        else:
            print(line, flush=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remove the bar when training has ended."""
        self._open.close()
        self._bar = None

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Remove the bar, so that the error stands alone on the terminal."""
        self._open.close()
