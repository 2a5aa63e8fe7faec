"""A device that runs out of memory gets a sentence with the two keys to change."""

import lightning as L
import torch

from dfdc_lightning.errors import UserError


class MemoryAdvice(L.Callback):
    """Turn torch's out-of-memory error into advice."""

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Print the advice where training ran out of GPU memory.

        Raises:
            UserError: Instead of an out-of-memory error; other errors go on as they are.
        """
        if isinstance(exception, torch.OutOfMemoryError) or "can't allocate memory" in str(exception):
            size = trainer.datamodule.batch_size  # type: ignore[attr-defined]
            accumulated = trainer.accumulate_grad_batches
            raise UserError(
                f"{trainer.strategy.root_device} has too little memory for batches of {size} clips: "
                f"{_remedy(size, accumulated)}"
            ) from exception


def _remedy(size: int, accumulated: int) -> str:
    if size == 1:
        return "prepare smaller faces (size=), or open fewer layers (model.trainable_layers=)"
    parts = next((parts for parts in range(2, size) if size % parts == 0), size)
    smaller = size // parts
    return (
        f"set data.batch_size={smaller} and trainer.accumulate_grad_batches={accumulated * parts}, which "
        f"takes the same steps, except that open BatchNorm layers have the statistics of {smaller} clips"
    )
