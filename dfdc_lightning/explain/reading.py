"""What a detector says of some clips, whichever engine computed it: scores, and maps of what speaks for them.

A map is signed Grad-CAM (Selvaraju et al., 2017, before its ReLU) on the last convolution: the sum over
channels of the activation times the mean gradient of the FAKE logit. Its positive part is *evidence for
FAKE*. The gradient of the negated logit has the same size and the other sign, so the negative part, negated,
is *evidence for REAL*: a video called FAKE is shown with its evidence for FAKE, a video called REAL with its
evidence for REAL.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32


class Reading(NamedTuple):
    """Of b clips of t faces: k logits a clip (t or 1), what each frame says, one map a frame if asked for."""

    logits: Float32[np.ndarray, "b k"]
    frame_logits: Float32[np.ndarray, "b t"]
    maps: Float32[np.ndarray, "b t h w"] | None = None

    @property
    def scores(self) -> Float32[np.ndarray, " b"]:
        """Scores of the clips: mean over k of the sigmoid, the rule of `models/detector.py`."""
        return np.asarray(sigmoid(self.logits).mean(axis=1), np.float32)

    @property
    def frame_scores(self) -> Float32[np.ndarray, "b t"]:
        """Scores of the frames. A sequence detector's frame says what it adds to the clip's logit."""
        return sigmoid(self.frame_logits)


def sigmoid(logits: Float32[np.ndarray, "*n"]) -> Float32[np.ndarray, "*n"]:
    """1 / (1 + e^-x), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), np.float32)


def evidence(maps: Float32[np.ndarray, "*n h w"], fake: bool) -> Float32[np.ndarray, "*n h w"]:
    """The part of signed maps that speaks for FAKE, or for REAL; never negative."""
    return np.asarray(np.maximum(maps if fake else -maps, 0), np.float32)
