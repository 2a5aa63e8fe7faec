"""One logit a clip: the faces are read in order of time, forwards and backwards."""

from typing import Any

from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dfdc_lightning.models.detector import Detector


class SequenceDetector(Detector):
    """A backbone, a bidirectional LSTM over the frames' features, and one linear layer on its mean output.

    The layer is linear, so a clip's logit is also the mean of what each frame adds to it (`frame_logits`).

    Args:
        backbone: Images (n, 3, h, w) → features (n, f).
        hidden: Size of the LSTM's state in each direction.
        **training: What `Detector` takes besides.
    """

    def __init__(self, backbone: nn.Module, hidden: int, **training: Any) -> None:
        super().__init__(backbone, **training)
        self.lstm = nn.LSTM(backbone.num_features, hidden, batch_first=True, bidirectional=True)  # type: ignore[arg-type]
        self.head = nn.Linear(2 * hidden, 1)

    def forward(self, faces: UInt8[Tensor, "b t 3 h w"]) -> Float[Tensor, "b 1"]:
        """One logit a clip."""
        return self.frame_logits(faces).mean(1, keepdim=True)

    def frame_logits(self, faces: UInt8[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t"]:
        """What each frame, seen among the others, adds to the clip's logit."""
        states, _ = self.lstm(self.features(faces))
        logits: Tensor = self.head(states)
        return logits.squeeze(-1)
