"""The outline of a face from five landmarks: that of a mean face, turned as the landmarks show it."""

import numpy as np
from jaxtyping import Float32, Float64

# A mean adult face from the front: x to the right, y downwards, z towards the viewer, in distances between
# the eyes. The proportions are rounded means of anthropometry (Farkas, 1994): mouth 1.05 below the eyes, chin
# 1.8, face 2.05 wide at the height of the eyes.
_LANDMARKS = np.array(
    [[-0.5, 0, 0], [0.5, 0, 0], [0, 0.62, 0.45], [-0.38, 1.05, 0.05], [0.38, 1.05, 0.05]], np.float64
)
_LEFT_HALF = np.array(
    [
        [0, 1.82, 0.0], [-0.27, 1.77, -0.02], [-0.55, 1.58, -0.1], [-0.79, 1.28, -0.22],
        [-0.93, 0.88, -0.34], [-1.0, 0.44, -0.42], [-1.02, 0, -0.45], [-0.88, -0.3, -0.2],
        [-0.55, -0.44, 0.0], [-0.2, -0.38, 0.08],
    ],
    np.float64,
)  # fmt: skip
_OUTLINE = np.concatenate([_LEFT_HALF, _LEFT_HALF[:0:-1] * [-1, 1, 1]])


def _seen_through(points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 5"]:
    """What five landmarks weigh in the place of each point.

    An affine camera maps (x, y, z, 1) to the image; its eight numbers follow from the five landmarks by least
    squares, so a point's place is a fixed combination of theirs: a turned head shows its far side narrower.
    """
    ones = np.ones((1, 1))
    camera = np.linalg.pinv(np.hstack([_LANDMARKS, ones.repeat(len(_LANDMARKS), 0)]))
    return np.hstack([points, ones.repeat(len(points), 0)]) @ camera


_WEIGHTS = _seen_through(_OUTLINE)
N_POINTS = len(_OUTLINE)


def outlines(landmarks: Float32[np.ndarray, "t 5 2"]) -> Float32[np.ndarray, "t n 2"]:
    """Place the outline from brows to chin, a closed polygon that begins at the chin.

    Args:
        landmarks: Eyes, nose and corners of the mouth, as `FaceClip` has them.

    Returns:
        x, y of `N_POINTS` points per frame, in the same pixels.
    """
    return np.asarray(_WEIGHTS @ landmarks.astype(np.float64), np.float32)
