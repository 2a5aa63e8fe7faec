"""A detector of whole clips: every frame attends to all others, with its place in time."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dfdc_lightning import checks
from dfdc_lightning.models.detector import Detector


class TemporalTransformerDetector(Detector):
    """A backbone, a transformer encoder over the frames' features, and one linear layer on its mean output.

    Layers normalise before they attend, which trains without a warm-up (Xiong et al., 2020). The last one
    is linear, so a clip's logit is also the mean of what each frame adds to it.

    Args:
        backbone: Images (n, 3, h, w) → features (n, f).
        width: Size of a frame's state.
        depth: How many encoder layers.
        heads: Of the attention; they share the width.
        dropout: Of the encoder.
        **training: What `Detector` takes besides.

    Raises:
        UserError: When the heads cannot share the width.
    """

    level = "clip"

    def __init__(
        self, backbone: nn.Module, width: int, depth: int, heads: int, dropout: float, **training: Any
    ) -> None:
        super().__init__(backbone, **training)
        self.width = checks.whole("model.width", width, 2)
        checks.multiple("model.width", width, "model.heads", checks.whole("model.heads", heads, 1))
        self.narrow = nn.Linear(self.n_features, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, nn.functional.gelu, batch_first=True, norm_first=True
        )
        depth = checks.whole("model.depth", depth, 1)
        self.encoder = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, 1)

    def head_logits(self, features: Float[Tensor, "b t f"]) -> Float[Tensor, "b t"]:
        """Attend over the frames and apply the linear layer to each."""
        states = self.narrow(features)
        logits: Tensor = self.head(self.encoder(states + places(states)))
        return logits.squeeze(-1)


def places(states: Float[Tensor, "b t w"]) -> Float[Tensor, "t w"]:
    """Compute sines and cosines of a frame's place in time (Vaswani et al., 2017, section 3.5)."""
    t, width = states.shape[1:]
    time = torch.arange(t, dtype=states.dtype, device=states.device)[:, None]
    steps = torch.arange(0, width, 2, dtype=states.dtype, device=states.device)
    angles = time * torch.exp(-steps * (math.log(10000.0) / width))
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :width]
