"""Boxes of the faces in one image: what a finder is, YuNet (a small network), Haar (inside OpenCV)."""

from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.model_file import fetched, sha256_of

YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
YUNET_ADDRESS = (
    "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/"
    "models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
)
_SMALLEST_SIDE = 64  # pixels a finder is given; in 32 YuNet makes up faces of infinite size


@runtime_checkable
class FaceFinder(Protocol):
    """Finds faces in one image. A new one is a class with these three and a YAML in conf/detector."""

    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """Constructor arguments that change what is found, as JSON values; part of the cache's profile."""

    def find(self, image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "n 5"]:
        """Find faces in an upright RGB image.

        Returns:
            x0, y0, x1, y1 in the image's own pixels and a score, best first; n may be 0.
        """


class YuNet:
    """OpenCV's FaceDetectorYN with the YuNet model of March 2023 (233 KB).

    Args:
        model: The ONNX file; None takes it from the user's cache folder, where it is fetched to once.
        sha256: The file's sha256. With `model` given it is computed.
        long_side: Images are reduced to this many pixels on their long side.
        threshold: Faces with a lower score are not reported.
    """

    name = "yunet"

    def __init__(
        self,
        model: str | Path | None = None,
        sha256: str = YUNET_SHA256,
        long_side: int = 320,
        threshold: float = 0.5,
    ) -> None:
        _refuse_side(long_side)
        if type(threshold) not in (int, float) or not 0 <= threshold <= 1:
            raise UserError(f"detector.threshold={threshold} is impossible: give a number from 0 to 1")
        self.model = None if model is None else Path(model)
        self.sha256, self.long_side, self.threshold = sha256, long_side, threshold

    @property
    def settings(self) -> dict[str, Any]:
        """See `FaceFinder.settings`."""
        sha256 = self.sha256 if self.model is None else sha256_of(self._file())
        return {"sha256": sha256, "long_side": self.long_side, "threshold": self.threshold}

    def find(self, image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "n 5"]:
        """See `FaceFinder.find`."""
        small, scale = _reduced(image, self.long_side)
        small = _at_least(small, _SMALLEST_SIDE)
        network = _network(self._file(), self.threshold)
        network.setInputSize((small.shape[1], small.shape[0]))
        _, faces = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        if faces is None:
            return np.zeros((0, 5), np.float32)
        return _best_first(faces[:, :4], faces[:, 14], scale)

    def _file(self) -> Path:
        if self.model is None:
            return _fetched_once(self.sha256)
        if not self.model.is_file():
            raise UserError(
                f"detector.model={self.model} does not exist: give YuNet's ONNX file, or leave it out"
            )
        return self.model


class Haar:
    """OpenCV's frontal-face cascade. Needs no file, but is slower and finds fewer faces than YuNet.

    Args:
        long_side: Images are reduced to this many pixels on their long side.
        neighbours: How many overlapping hits make a face.
    """

    name = "haar"

    def __init__(self, long_side: int = 640, neighbours: int = 5) -> None:
        _refuse_side(long_side)
        if type(neighbours) is not int or neighbours < 1:
            raise UserError(f"detector.neighbours={neighbours} is impossible: give a whole number, 1 or more")
        self.long_side, self.neighbours = long_side, neighbours

    @property
    def settings(self) -> dict[str, Any]:
        """See `FaceFinder.settings`."""
        return {"long_side": self.long_side, "neighbours": self.neighbours}

    def find(self, image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "n 5"]:
        """See `FaceFinder.find`."""
        small, scale = _reduced(image, self.long_side)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
        smallest = max(24, max(grey.shape) // 16)
        boxes, _, weights = _cascade().detectMultiScale3(
            grey, 1.1, self.neighbours, minSize=(smallest, smallest), outputRejectLevels=True
        )
        if len(boxes) == 0:
            return np.zeros((0, 5), np.float32)
        return _best_first(np.asarray(boxes, np.float32), np.asarray(weights, np.float32).reshape(-1), scale)


def _refuse_side(pixels: int) -> None:
    if type(pixels) is not int or pixels < _SMALLEST_SIDE:
        raise UserError(
            f"detector.long_side={pixels} is impossible: give a whole number, {_SMALLEST_SIDE} or more"
        )


@cache
def _network(model: Path, threshold: float) -> Any:
    """One network a process: it is not part of the finder, so a finder can be sent to another process."""
    try:
        return cv2.FaceDetectorYN.create(str(model), "", (320, 320), threshold)
    except cv2.error as error:
        raise UserError(
            f"detector.model={model} is not a YuNet model OpenCV can read ({error.err}): give another file"
        ) from None


@cache
def _fetched_once(sha256: str) -> Path:
    return fetched(YUNET_ADDRESS, sha256)


@cache
def _cascade() -> Any:
    folder = Path(str(cv2.__file__)).parent / "data"
    return cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))


def _reduced(image: UInt8[np.ndarray, "h w 3"], long_side: int) -> tuple[UInt8[np.ndarray, "h2 w2 3"], float]:
    """The image with at most `long_side` pixels on its long side, and the factor back to its own pixels."""
    scale = max(image.shape) / long_side
    if scale <= 1:
        return image, 1.0
    size = (max(1, round(image.shape[1] / scale)), max(1, round(image.shape[0] / scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale


def _at_least(image: UInt8[np.ndarray, "h w 3"], side: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The image with black to its right and below where it has fewer pixels than `side`."""
    down, right = (max(0, side - pixels) for pixels in image.shape[:2])
    if not (down or right):
        return image
    padded = np.zeros((image.shape[0] + down, image.shape[1] + right, 3), np.uint8)
    padded[: image.shape[0], : image.shape[1]] = image
    return padded


def _best_first(
    corners_and_sizes: Float32[np.ndarray, "n 4"], scores: Float32[np.ndarray, " n"], scale: float
) -> Float32[np.ndarray, "n 5"]:
    x, y, width, height = corners_and_sizes.T * np.float32(scale)
    boxes = np.stack([x, y, x + width, y + height, scores], axis=1).astype(np.float32)
    return boxes[np.argsort(-scores, kind="stable")]
