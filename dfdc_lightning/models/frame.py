"""A detector that judges every frame for itself."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from dfdc_lightning.models.detector import Detector


class FrameDetector(Detector):
    """A backbone and one linear layer on each frame's features.

    Args:
        backbone: Images (n, 3, h, w) → features (n, f).
        **training: What `Detector` takes besides.
    """

    level = "frame"

    def __init__(self, backbone: nn.Module, **training: Any) -> None:
        super().__init__(backbone, **training)
        self.head = nn.Linear(self.n_features, 1)

    def head_logits(self, features: Float[Tensor, "b t f"]) -> Float[Tensor, "b t"]:
        """Apply the linear layer to each frame by itself."""
        logits: Tensor = self.head(features)
        return logits.squeeze(-1)
