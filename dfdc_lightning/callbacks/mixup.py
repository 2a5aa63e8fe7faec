"""Mixes pairs of training clips (Zhang et al., 2018), with one weight for all frames of a clip."""

import zlib
from typing import Any

import lightning as L
import numpy as np
import torch

from dfdc_lightning import checks
from dfdc_lightning.clips import Clip


class Mixup(L.Callback):
    """Turns each clip of a training batch into a weighted mean of itself and another one, label included.

    Args:
        alpha: Of the symmetrical beta distribution that a clip's weight follows; small ones hardly mix.
        seed: Of the run; with epoch, batch and device it determines every draw.
    """

    def __init__(self, alpha: float, seed: int) -> None:
        self.alpha, self.seed = checks.number("callbacks.mixup.alpha", alpha, above=0), seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Change the batch where it lies; faces stay uint8."""
        mix(
            batch,
            self.alpha,
            [self.seed, trainer.current_epoch, batch_idx, trainer.global_rank, zlib.crc32(b"mixup")],
        )


def mix(batch: Clip, alpha: float, seeds: list[int]) -> None:
    """Mix each clip with the one a random order puts beside it, with a weight of its own of at least 0.5."""
    rng = np.random.default_rng(seeds)
    n = len(batch.video)
    drawn = rng.beta(alpha, alpha, n)
    weight = torch.from_numpy(np.maximum(drawn, 1 - drawn)).to(batch.label)
    partner = torch.from_numpy(rng.permutation(n)).to(batch.label.device)
    own, other = batch.faces.float(), batch.faces[partner].float()
    batch.faces.copy_((other + weight[:, None, None, None, None] * (own - other)).round())
    batch.label.copy_(weight * batch.label + (1 - weight) * batch.label[partner])
