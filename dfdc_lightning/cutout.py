"""Blacks out parts of a face that its landmarks show: eyes, nose, mouth or one half."""

import cv2
import numpy as np
from jaxtyping import Float32

from dfdc_lightning import checks
from dfdc_lightning.augment import Frame

PARTS = ("eyes", "nose", "mouth", "left", "right", "upper", "lower")


class FaceCutout:
    """Blacks out one part, the same in all frames of a clip, wherever the head is (after Das et al., 2021).

    Args:
        p: Probability.
        parts: Those that are drawn from.
    """

    def __init__(self, p: float, parts: tuple[str, ...] = PARTS) -> None:
        self.p = checks.number("p", p, 0, 1)
        self.parts = [checks.one_of("parts", part, PARTS) for part in parts]

    def draw(self, rng: np.random.Generator, height: int, width: int) -> str | None:
        """Draw the part, or None to leave the clip as it is."""
        return self.parts[rng.integers(len(self.parts))] if rng.random() < self.p else None

    def apply_at(self, frame: Frame, params: str, landmarks: Float32[np.ndarray, "5 2"]) -> Frame:
        """Fill a rectangle along the face's own axes: right is from eye to eye, down is across it."""
        left_eye, right_eye = landmarks[0].astype(np.float64), landmarks[1].astype(np.float64)
        middle, right = (left_eye + right_eye) / 2, (right_eye - left_eye) / 2
        down = np.array([-right[1], right[0]])
        x0, y0, x1, y1 = _RECTANGLES[params]
        corners = [middle + x * right + y * down for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
        limit = 4 * max(frame.shape)  # a face on its side may have eyes far apart: OpenCV counts in 32 bits
        cv2.fillConvexPoly(frame, np.clip(np.round(corners), -limit, limit).astype(np.int32), (0, 0, 0))
        return frame


# x0, y0, x1, y1 from the middle between the eyes, in halves of the distance between them.
_RECTANGLES = {
    "eyes": (-1.7, -0.5, 1.7, 0.5),
    "nose": (-0.65, 0.3, 0.65, 1.6),
    "mouth": (-1.1, 1.6, 1.1, 2.7),
    "left": (-2.4, -2.0, 0.0, 4.0),
    "right": (0.0, -2.0, 2.4, 4.0),
    "upper": (-2.4, -2.0, 2.4, 0.9),
    "lower": (-2.4, 0.9, 2.4, 4.0),
}
