"""A detector of whole clips: it reads the frames in order of time, forwards and backwards."""

from typing import Any

from jaxtyping import Float
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

    level = "clip"

    def __init__(self, backbone: nn.Module, hidden: int, **training: Any) -> None:
        super().__init__(backbone, **training)
        self.lstm = nn.LSTM(self.n_features, hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * hidden, 1)

    def head_logits(self, features: Float[Tensor, "b t f"]) -> Float[Tensor, "b t"]:
        """Run the LSTM over the frames and apply the linear layer to its output at each."""
        states, _ = self.lstm(features)
        logits: Tensor = self.head(states)
        return logits.squeeze(-1)
