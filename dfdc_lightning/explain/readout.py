"""Readings of clip and frames from one pass of the backbone, which is nearly all the work."""

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from dfdc_lightning.explain.reading import Reading
from dfdc_lightning.models.detector import Detector


class Readout(nn.Module):
    """Faces → logits of the clips and of the frames.

    Args:
        detector: In evaluation mode.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, faces: UInt8[Tensor, "b t 3 h w"]) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b t"]]:
        """Logits of the clips and of their frames."""
        frame_logits = self.detector.frame_logits(faces)
        return self.detector.pooled(frame_logits), frame_logits


def read(detector: Detector, faces: UInt8[np.ndarray, "b t 3 h w"]) -> Reading:
    """Scores of clips, without maps and gradients."""
    with torch.inference_mode():
        batch = torch.from_numpy(np.ascontiguousarray(faces)).to(detector.device)
        logits, frame_logits = Readout(detector.eval())(batch)
    return Reading(array(logits), array(frame_logits))


def array(values: Float[Tensor, "b k"]) -> Float32[np.ndarray, "b k"]:
    """A tensor of any device and precision as a numpy array."""
    return values.detach().float().cpu().numpy()
