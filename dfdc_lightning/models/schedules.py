"""Schedules of the learning rate that torch has no class for."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

from dfdc_lightning import checks

_START = 0.1  # share of the rate that a warm-up begins with


def warmed_cosine(optimizer: Optimizer, T_max: int, warmup: float) -> LRScheduler:  # noqa: N803
    """Rise linearly from a tenth of the rate, then fall along a cosine to 0.

    Args:
        optimizer: Whose rate it is.
        T_max: Epochs in all, as torch's cosine names them.
        warmup: Share of them until the full rate, in whole epochs: a single epoch has no warm-up.

    Raises:
        UserError: When the share is not below 1.
    """
    rising = round(checks.number("model.scheduler.warmup", warmup, 0, below=1) * T_max)
    fall = CosineAnnealingLR(optimizer, T_max - rising)
    if not rising:
        return fall
    return SequentialLR(optimizer, [LinearLR(optimizer, _START, total_iters=rising), fall], [rising])
