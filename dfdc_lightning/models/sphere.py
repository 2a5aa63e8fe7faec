"""A vision transformer of which only the LayerNorms and the head train, with features on the unit sphere."""

from typing import Any

import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from typing_extensions import override

from dfdc_lightning import checks
from dfdc_lightning.clips import Clip
from dfdc_lightning.errors import UserError
from dfdc_lightning.losses import alignment, uniformity
from dfdc_lightning.models.frame import FrameDetector


class SphereDetector(FrameDetector):
    """Judges every frame by the direction of its features (after GenD: Yermakov et al., WACV 2026).

    What it minimises is the loss and, in training, two terms of the features: those of one label shall be
    near each other (alignment) and all together spread over the sphere (uniformity).

    Args:
        backbone: Images (n, 3, h, w) → features (n, f), with LayerNorms.
        align: Weight of the alignment.
        uniform: Weight of the uniformity.
        **training: What `Detector` takes besides.

    Raises:
        UserError: When the backbone has no LayerNorm.
    """

    def __init__(self, backbone: nn.Module, align: float, uniform: float, **training: Any) -> None:
        self.norms = {name for name, module in backbone.named_modules() if isinstance(module, nn.LayerNorm)}
        if not self.norms:
            raise UserError(
                "model.backbone.name must be a network with LayerNorms, as vit_tiny_patch16_224, for its "
                "LayerNorms alone to train"
            )
        super().__init__(backbone, **training)
        self.align = checks.number("model.align", align, 0)
        self.uniform = checks.number("model.uniform", uniform, 0)

    @override
    def open_layers(self, n: int) -> None:
        super().open_layers(n)
        for layer in self.layers:
            if layer.name not in self.norms:
                for parameter in layer.parameters:
                    parameter.requires_grad_(False)
        self.train(self.training)

    @override
    def features(self, faces: UInt8[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t f"]:
        self._seen = F.normalize(super().features(faces).float(), dim=-1)
        return self._seen

    @override
    def _step(self, batch: Clip, split: str) -> tuple[Tensor, Float[Tensor, "b k"]]:
        loss, logits = super()._step(batch, split)
        if split == "train":
            seen = self._seen.flatten(0, 1)
            label = batch.label.repeat_interleave(self._seen.shape[1])
            loss = loss + self.align * alignment(seen, label) + self.uniform * uniformity(seen)
        return loss, logits
