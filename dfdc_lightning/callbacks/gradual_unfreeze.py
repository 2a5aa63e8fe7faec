"""Open a backbone from the top, stage by stage: late layers learn the task before early ones move."""

from collections.abc import Sequence

import lightning as L

from dfdc_lightning.errors import UserError
from dfdc_lightning.models.detector import Detector


class GradualUnfreeze(L.Callback):
    """Open the detector's trainable layers in equal steps from the top, one step at each of some epochs.

    What is open follows from the epoch alone, so a resumed run is at the same stage. The optimiser has every
    parameter from the start; those of closed layers have no gradient and it leaves them alone.

    Args:
        epochs: When a step is taken, rising from 0: [0, 1, 2] with 18 trainable layers opens 6 for the first
            epoch, 12 for the second and all 18 from the third on.
    """

    def __init__(self, epochs: Sequence[int]) -> None:
        self.epochs = [int(epoch) for epoch in epochs]
        if self.epochs[:1] != [0] or self.epochs != sorted(set(self.epochs)):
            raise UserError(
                f"callbacks.gradual_unfreeze.epochs={self.epochs}: epochs must start at 0 and rise"
            )

    def open_at(self, epoch: int, trainable_layers: int) -> int:
        """Say how many layers are open in an epoch."""
        steps = sum(at <= epoch for at in self.epochs)
        return round(trainable_layers * steps / len(self.epochs))

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuse what would go wrong in silence.

        Raises:
            UserError: On several devices, which synchronise only what was open when training began.
        """
        if trainer.world_size > 1:
            raise UserError(
                f"gradual unfreezing runs on one device, not {trainer.world_size}: set trainer.devices=1"
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Be at the right stage before anything is said about it."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the layers of this epoch's stage."""
        assert isinstance(pl_module, Detector)
        pl_module.open_layers(self.open_at(trainer.current_epoch, pl_module.trainable_layers))
