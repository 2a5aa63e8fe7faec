"""What a detector says of some clips, whichever engine computed it: scores, and maps of what speaks for them.

A map is signed Grad-CAM (Selvaraju et al., 2017, before its ReLU) on the backbone's last map: the sum over
channels of the activation times the mean gradient of the FAKE logit. Its positive part is *evidence for
FAKE*. The gradient of the negated logit has the same size and the other sign, so the negative part, negated,
is *evidence for REAL*: a video called FAKE is shown with its evidence for FAKE, a video called REAL with its
evidence for REAL.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from dfdc_lightning.models.detector import Detector


class Prediction(NamedTuple):
    """Logits of b clips (k each: t or 1) and of their t frames, what these look like, and maps if asked for.

    `appearance` is None where an export of an earlier version does not give it (see `models/appearance.py`).
    """

    logits: Float32[np.ndarray, "b k"]
    frame_logits: Float32[np.ndarray, "b t"]
    appearance: Float32[np.ndarray, "b t a"] | None = None
    maps: Float32[np.ndarray, "b t h w"] | None = None

    @property
    def scores(self) -> Float32[np.ndarray, " b"]:
        """Average the sigmoid over the k logits of a clip, the rule of `models/detector.py`."""
        return np.asarray(sigmoid(self.logits).mean(axis=1), np.float32)

    @property
    def frame_scores(self) -> Float32[np.ndarray, "b t"]:
        """Score each frame. A sequence detector's frame says what it adds to the clip's logit."""
        return sigmoid(self.frame_logits)


def predict(detector: "Detector", faces: UInt8[np.ndarray, "b t 3 h w"]) -> Prediction:
    """Score clips without maps and gradients.

    Args:
        detector: On any device; it is put into evaluation mode.
        faces: Crops as the cache holds them.
    """
    import torch

    from dfdc_lightning.models.appearance import logits_and_appearance

    with torch.inference_mode():
        batch = torch.from_numpy(np.ascontiguousarray(faces)).to(detector.device)
        outputs = logits_and_appearance(detector.eval(), batch)
    return Prediction(*map(array, outputs))


def array(values: "Float[Tensor, '*n']") -> Float32[np.ndarray, "*n"]:
    """Copy a tensor of any device and precision into a numpy array."""
    return values.detach().float().cpu().numpy()


def sigmoid(logits: Float32[np.ndarray, "*n"]) -> Float32[np.ndarray, "*n"]:
    """Compute 1 / (1 + e^-x) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), np.float32)


def evidence(maps: Float32[np.ndarray, "*n h w"], fake: bool) -> Float32[np.ndarray, "*n h w"]:
    """Keep the part of signed maps that speaks for FAKE, or for REAL; never negative."""
    return np.asarray(np.maximum(maps if fake else -maps, 0), np.float32)
