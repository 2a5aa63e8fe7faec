"""One logit a frame: every face is judged for itself."""

from typing import Any

from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dfdc_lightning.models.detector import Detector


class FrameDetector(Detector):
    """A backbone and one linear layer on each frame's features.

    Args:
        backbone: Images (n, 3, h, w) → features (n, f).
        **training: What `Detector` takes besides.
    """

    def __init__(self, backbone: nn.Module, **training: Any) -> None:
        super().__init__(backbone, **training)
        self.head = nn.Linear(backbone.num_features, 1)  # type: ignore[arg-type]

    def forward(self, faces: UInt8[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t"]:
        """One logit a frame."""
        logits: Tensor = self.head(self.features(faces))
        return logits.squeeze(-1)

    def frame_logits(self, faces: UInt8[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t"]:
        """The same as `forward`."""
        return self(faces)  # type: ignore[no-any-return]
