"""Open a backbone from the top, stage by stage: late layers learn the task before early ones move."""

from collections.abc import Sequence

import lightning as L

from dfdc_lightning.errors import UserError
from dfdc_lightning.models.detector import Detector


class GradualUnfreeze(L.Callback):
    """Before each epoch, open as many of the backbone's last layers as the schedule says.

    What is open follows from the epoch alone, so a resumed run is at the same stage. The optimiser has every
    parameter from the start; those of closed layers have no gradient and it leaves them alone.

    Args:
        stages: Pairs of an epoch and how many layers are open from then on; the first is for epoch 0.
    """

    def __init__(self, stages: Sequence[Sequence[int]]) -> None:
        self.stages = [(int(epoch), int(n)) for epoch, n in stages]
        epochs, open_layers = zip(*self.stages, strict=True)
        if epochs[0] != 0 or list(epochs) != sorted(set(epochs)) or list(open_layers) != sorted(open_layers):
            raise UserError(
                f"callbacks.gradual_unfreeze.stages={self.stages}: epochs must start at 0 and rise, "
                "numbers of layers must not fall"
            )

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compare the schedule with the detector.

        Raises:
            UserError: When it opens layers the optimiser does not have, or several devices would drift apart.
        """
        assert isinstance(pl_module, Detector)
        most = self.stages[-1][1]
        if most > pl_module.trainable_layers:
            raise UserError(
                f"callbacks.gradual_unfreeze.stages opens {most} layers but model.trainable_layers="
                f"{pl_module.trainable_layers}: raise the latter, it says what the optimiser is given"
            )
        if trainer.world_size > 1:  # DDP synchronises only what was open when it began
            raise UserError(
                f"gradual unfreezing runs on one device, not {trainer.world_size}: set trainer.devices=1"
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Be at the right stage before anything is said about it."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the layers of this epoch's stage."""
        assert isinstance(pl_module, Detector)
        pl_module.open_layers([n for epoch, n in self.stages if epoch <= trainer.current_epoch][-1])
