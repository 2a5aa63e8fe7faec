"""Training that diverges ends at once, with one sentence, and is not gone on with."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.results.run_folder import RunFolder


class StopAtDivergence(L.Callback):
    """Stop at the first loss or score that is not finite; the checkpoint of the epoch before stays.

    A processor is asked after each batch. A GPU is asked one batch later, so that it need not wait: what it
    computed meanwhile is never written down.
    """

    def __init__(self) -> None:
        self._asked: list[tuple[int, Tensor, torch.cuda.Event | None]] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget what an epoch that was broken off left."""
        self._asked = []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ask for this batch, and look at the answer that has come.

        Raises:
            UserError: When a loss or a score was not finite.
        """
        self._ask(batch_idx, torch.isfinite(outputs["loss"]) & torch.isfinite(outputs["logits"]).all())
        open_still = int(outputs["loss"].is_cuda)
        while len(self._asked) > open_still:
            self._look(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look at what is still open of the training batches.

        Raises:
            UserError: When a loss or a score was not finite.
        """
        while self._asked:
            self._look(trainer)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Look at the scores of validation: the last step may have spoilt the weights.

        Raises:
            UserError: When one is not finite.
        """
        if trainer.state.fn == TrainerFn.FITTING and not torch.isfinite(outputs).all():
            self._stop(trainer, f"validation after epoch {trainer.current_epoch + 1}", first=False)

    def _ask(self, batch: int, sound: Tensor) -> None:
        event = None
        if sound.is_cuda:
            sound, event = sound.to("cpu", non_blocking=True), torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()  # type: ignore[no-untyped-call]
        self._asked.append((batch, sound, event))

    def _look(self, trainer: L.Trainer) -> None:
        batch, sound, event = self._asked.pop(0)
        if event is not None:
            event.synchronize()  # type: ignore[no-untyped-call]
        if not sound:
            epoch = trainer.current_epoch + 1
            self._stop(trainer, f"epoch {epoch}, batch {batch + 1}", first=(epoch, batch) == (1, 0))

    def _stop(self, trainer: L.Trainer, where: str, first: bool) -> None:
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        remedy = (
            "not even one step was made, so the weights it began with hold what is not finite: give others"
            if first
            else f"try model.optimizer.lr={rate / 10:g} or +trainer.gradient_clip_val=1"
        )
        what = "the loss or a score is not finite"
        sentence = f"training diverged in {where} at learning rate {rate:g}: {what}; {remedy}"
        run = RunFolder(Path(trainer.default_root_dir))
        atomic.write_text(run.divergence_file, f"{sentence}\n")
        raise UserError(sentence)
