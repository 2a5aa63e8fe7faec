"""A device that runs out of memory gets a sentence with the two keys to change."""

import lightning as L
import torch

from dfdc_lightning.errors import UserError


class MemoryAdvice(L.Callback):
    """Turn torch's out-of-memory error into advice."""

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Advise.

        Raises:
            UserError: Instead of an out-of-memory error; other errors go on as they are.
        """
        if isinstance(exception, torch.OutOfMemoryError) or "can't allocate memory" in str(exception):
            size = trainer.datamodule.batch_size  # type: ignore[attr-defined]
            accumulated = trainer.accumulate_grad_batches
            raise UserError(
                f"{trainer.strategy.root_device} has too little memory for batches of {size} clips: set "
                f"data.batch_size={max(size // 2, 1)} and trainer.accumulate_grad_batches={2 * accumulated}, "
                f"which trains nearly alike: open BatchNorm layers see {max(size // 2, 1)} clips at a "
                "time, and an incomplete last group of an epoch counts less"
            ) from exception
