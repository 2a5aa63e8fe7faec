"""Schedules of the learning rate that torch has no class for."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

from dfdc_lightning.errors import UserError

_START = 0.1  # share of the rate that a warm-up begins with


def warmed_cosine(optimizer: Optimizer, T_max: int, warmup: int) -> LRScheduler:  # noqa: N803
    """Rise linearly from a tenth of the rate, then fall along a cosine to 0.

    Args:
        optimizer: Whose rate it is.
        T_max: Epochs in all, as torch's cosine names them.
        warmup: Epochs until the full rate.

    Raises:
        UserError: When the warm-up is not shorter than the training.
    """
    if not 0 < warmup < T_max:
        raise UserError(
            f"model.scheduler.warmup must be a whole number from 1 to trainer.max_epochs - 1 = {T_max - 1} "
            f"(got {warmup})"
        )
    rise = LinearLR(optimizer, _START, total_iters=warmup)
    return SequentialLR(optimizer, [rise, CosineAnnealingLR(optimizer, T_max - warmup)], [warmup])
