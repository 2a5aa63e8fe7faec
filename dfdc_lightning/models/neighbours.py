"""A detector of whole clips: it compares each frame with the one before it."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dfdc_lightning.models.detector import Detector


class NeighbourDetector(Detector):
    """A backbone and a small head on a frame's features and their distance from both of its neighbours.

    Absolute differences, since a forgery's flicker has no direction. The first and the last frame have one
    neighbour each. The clip's logit is the mean over its frames.

    Args:
        backbone: Images (n, 3, h, w) → features (n, f).
        hidden: Units of the head.
        **training: What `Detector` takes besides.
    """

    level = "clip"

    def __init__(self, backbone: nn.Module, hidden: int, **training: Any) -> None:
        super().__init__(backbone, **training)
        self.hidden = nn.Linear(2 * self.n_features, hidden)
        self.head = nn.Linear(hidden, 1)

    def head_logits(self, features: Float[Tensor, "b t f"]) -> Float[Tensor, "b t"]:
        """Apply the head to each frame and its mean distance from the frames beside it."""
        distances = between_neighbours(features)
        logits: Tensor = self.head(self.hidden(torch.cat([features, distances], -1)).relu())
        return logits.squeeze(-1)


def between_neighbours(features: Float[Tensor, "b t f"]) -> Float[Tensor, "b t f"]:
    """Average each frame's absolute differences from the frames before and after it; 0 for a single frame."""
    if features.shape[1] == 1:
        return torch.zeros_like(features)
    steps = (features[:, 1:] - features[:, :-1]).abs()
    before, after = torch.cat([steps[:, :1], steps], 1), torch.cat([steps, steps[:, -1:]], 1)
    return (before + after) / 2
