"""Where the faces of one image are: what a face detector is, and the one inside OpenCV, Haar."""

from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from dfdc_lightning import checks

_SMALLEST = 1 / 16
_CASCADE_SIDE = 24  # pixels of the images that the cascade was trained on
SMALLEST_SIDE = 64  # pixels of what a face detector is given: at 32 YuNet reports faces of infinite size


@runtime_checkable
class FaceDetector(Protocol):
    """Finds faces in one image. To add one, write a class with these three members and its YAML."""

    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """Constructor arguments that change what is found, as JSON values; part of the cache's profile."""

    def find(self, image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "n 5"]:
        """Find faces in an upright RGB image.

        Returns:
            x0, y0, x1, y1 in the image's own pixels and a score, best first; n may be 0.
        """


@runtime_checkable
class LandmarkDetector(FaceDetector, Protocol):
    """A face detector that also finds five points of each face."""

    def find_with_landmarks(
        self, image: UInt8[np.ndarray, "h w 3"]
    ) -> tuple[Float32[np.ndarray, "n 5"], Float32[np.ndarray, "n 5 2"]]:
        """Find faces in an upright RGB image, each with its landmarks.

        Returns:
            What `find` returns, and x, y of the eye on the image's left, the eye on its right, the tip of the
            nose, the corner of the mouth on the left and that on the right, in the image's own pixels.
        """


class Haar:
    """OpenCV's frontal-face cascade. Needs no file, but is slower and finds fewer faces than YuNet.

    Args:
        long_side: Images are reduced to this many pixels on their long side.
        neighbours: How many overlapping hits make a face.
        smallest: Side of the smallest face that is looked for, as a share of the long side. Most of the time
            goes into the smallest faces, so where all are large a larger share pays.
    """

    name = "haar"

    def __init__(self, long_side: int = 640, neighbours: int = 5, smallest: float = _SMALLEST) -> None:
        self.long_side = checks.whole("face_detector.long_side", long_side, SMALLEST_SIDE)
        self.neighbours = checks.whole("face_detector.neighbours", neighbours, 1)
        self.smallest = checks.number("face_detector.smallest", smallest, 0, 1)

    @property
    def settings(self) -> dict[str, Any]:
        """All arguments: each changes which faces are found."""
        chosen = {} if self.smallest == _SMALLEST else {"smallest": self.smallest}  # older caches name none
        return {"long_side": self.long_side, "neighbours": self.neighbours} | chosen

    def find(self, image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "n 5"]:
        """Run the cascade on the equalised grey image."""
        small, scale = reduced(image, self.long_side)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
        smallest = max(_CASCADE_SIDE, int(self.smallest * max(grey.shape)))
        boxes, _, weights = _cascade().detectMultiScale3(
            grey, 1.1, self.neighbours, minSize=(smallest, smallest), outputRejectLevels=True
        )
        if len(boxes) == 0:
            return np.zeros((0, 5), np.float32)
        return best_first(np.asarray(boxes, np.float32), np.asarray(weights, np.float32).reshape(-1), scale)


@cache
def _cascade() -> Any:
    folder = Path(str(cv2.__file__)).parent / "data"
    return cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))


def reduced(image: UInt8[np.ndarray, "h w 3"], long_side: int) -> tuple[UInt8[np.ndarray, "h2 w2 3"], float]:
    """Reduce an image to `long_side` pixels on its long side; also give the factor back to its own pixels."""
    scale = max(image.shape) / long_side
    if scale <= 1:
        return image, 1.0
    size = (max(1, round(image.shape[1] / scale)), max(1, round(image.shape[0] / scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale


def best_first(
    corners_and_sizes: Float32[np.ndarray, "n 4"], scores: Float32[np.ndarray, " n"], scale: float
) -> Float32[np.ndarray, "n 5"]:
    """Turn x, y, width, height in a reduced image into what `FaceDetector.find` returns."""
    x, y, width, height = corners_and_sizes.T * np.float32(scale)
    boxes = np.stack([x, y, x + width, y + height, scores], axis=1).astype(np.float32)
    ordered: Float32[np.ndarray, "n 5"] = boxes[order(scores)]
    return ordered


def order(scores: Float32[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Order faces by their scores, best first; equal ones stay as they come."""
    best: Int64[np.ndarray, " n"] = np.argsort(-scores, kind="stable")
    return best
