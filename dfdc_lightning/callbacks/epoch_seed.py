"""Makes dropout and every other draw of the training process depend on seed and epoch alone."""

import lightning as L
import numpy as np
import torch


class EpochSeed(L.Callback):
    """Seed torch anew before each epoch.

    Args:
        seed: Of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Seed with a mix of the run's seed and the epoch."""
        torch.manual_seed(
            int(np.random.SeedSequence([self.seed, trainer.current_epoch]).generate_state(1)[0])
        )
