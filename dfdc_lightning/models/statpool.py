"""A detector of whole clips: it compares the frames by the mean and standard deviation of their features."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dfdc_lightning.models.detector import Detector

_LEAST = 1e-4  # variance below which a deviation is held, so that its gradient stays finite


class StatisticsPoolingDetector(Detector):
    """A backbone, mean and standard deviation over time of its features, and a small head on both.

    Statistics pooling as in x-vectors (Snyder et al., 2018). The order of the frames is of no consequence.

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
        """Compute the clip's logit and share it out to the frames.

        A frame gets the logit and the first-order change of it that the frame's weight in both statistics
        makes (its influence function; Hampel, 1974). These changes add up to 0, so the mean over the frames
        is the clip's logit, and so are the gradients.
        """
        mean = features.mean(1)
        apart = features - mean[:, None]
        variance = apart.square().mean(1)
        deviation = variance.clamp(min=_LEAST).sqrt()
        before = self.hidden(torch.cat([mean, deviation], 1))
        logit = self.head(before.relu())
        slope = (self.head.weight * (before > 0)) @ self.hidden.weight
        by_mean, by_deviation = slope.chunk(2, 1)
        by_variance = by_deviation / (2 * deviation) * (variance > _LEAST)
        changes = (by_mean[:, None] * apart).sum(-1)
        changes = changes + (by_variance[:, None] * (apart.square() - variance[:, None])).sum(-1)
        logits: Tensor = logit + changes
        return logits
