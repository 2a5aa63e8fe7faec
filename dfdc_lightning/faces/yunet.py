"""YuNet, a small network that detects faces, and how its file of 233 KB comes to this machine."""

import hashlib
import os
import sys
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from typing_extensions import override

from dfdc_lightning import atomic, checks
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.face_detector import SMALLEST_SIDE, best_first, order, reduced

YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
YUNET_ADDRESS = (
    "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/"
    "models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
)
_TIMEOUT_SECONDS = 30


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
        self.model = None if model is None else Path(model)
        self.sha256 = sha256
        self.long_side = checks.whole("face_detector.long_side", long_side, SMALLEST_SIDE)
        self.threshold = checks.number("face_detector.threshold", threshold, 0, 1)

    @property
    def settings(self) -> dict[str, Any]:
        """The network by its sha256, wherever its file lies, and both arguments."""
        sha256 = self.sha256 if self.model is None else sha256_of(self._file())
        return {"sha256": sha256, "long_side": self.long_side, "threshold": self.threshold}

    @override
    def find(self, image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "n 5"]:
        return self.find_with_landmarks(image)[0]

    def find_with_landmarks(
        self, image: UInt8[np.ndarray, "h w 3"]
    ) -> tuple[Float32[np.ndarray, "n 5"], Float32[np.ndarray, "n 5 2"]]:
        """Find faces and their landmarks by one pass of the network; see `LandmarkDetector`."""
        small, scale = reduced(image, self.long_side)
        small = _at_least(small, SMALLEST_SIDE)
        network = _network(self._file(), self.threshold)
        network.setInputSize((small.shape[1], small.shape[0]))
        _, faces = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        if faces is None:
            return np.zeros((0, 5), np.float32), np.zeros((0, 5, 2), np.float32)
        landmarks = (faces[:, 4:14] * np.float32(scale)).astype(np.float32).reshape(-1, 5, 2)
        return best_first(faces[:, :4], faces[:, 14], scale), landmarks[order(faces[:, 14])]

    def _file(self) -> Path:
        if self.model is None:
            return _fetched_once(self.sha256)
        if not self.model.is_file():
            raise UserError(
                f"face_detector.model={self.model} does not exist: give YuNet's ONNX file, or leave it out"
            )
        return self.model


@cache
def _network(model: Path, threshold: float) -> Any:
    """Load the network once per process; the object, which travels to workers, goes without it."""
    try:
        return cv2.FaceDetectorYN.create(str(model), "", (320, 320), threshold)
    except cv2.error as error:
        raise UserError(
            f"face_detector.model={model} is not a YuNet model that OpenCV can read ({error.err}): "
            "give another file"
        ) from None


@cache
def _fetched_once(sha256: str) -> Path:
    return fetched(YUNET_ADDRESS, sha256)


def _at_least(image: UInt8[np.ndarray, "h w 3"], side: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Put black to the right and below where the image has fewer pixels than `side`."""
    down, right = (max(0, side - pixels) for pixels in image.shape[:2])
    if not (down or right):
        return image
    padded = np.zeros((image.shape[0] + down, image.shape[1] + right, 3), np.uint8)
    padded[: image.shape[0], : image.shape[1]] = image
    return padded


def model_folder() -> Path:
    """Say where fetched models lie: $DFDC_LIGHTNING_MODELS, or a folder in the platform's cache folder."""
    if chosen := os.environ.get("DFDC_LIGHTNING_MODELS"):
        return Path(chosen)
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "dfdc_lightning"


def sha256_of(path: Path) -> str:
    """Compute the hexadecimal sha256 of a face detector's file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetched(address: str, sha256: str) -> Path:
    """Find the file with this sha256 in the user's cache folder; fetch it from `address` the first time.

    Raises:
        UserError: When it cannot be fetched, kept or is not the file it should be; names the ways to get it.
    """
    path = model_folder() / address.rsplit("/", 1)[-1]
    if path.is_file() and sha256_of(path) == sha256:
        return path
    remedy = f"fetch {address} by hand and give it as face_detector.model=PATH, or put it at {path}"
    try:
        with urllib.request.build_opener().open(address, timeout=_TIMEOUT_SECONDS) as answer:
            content = answer.read()
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"the face detector's model could not be fetched ({reason}): {remedy}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"what came from {address} is not the model with sha256 {sha256}: {remedy}")
    try:
        with atomic.replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): set DFDC_LIGHTNING_MODELS to another folder, or "
            f"fetch {address} by hand and give it as face_detector.model=PATH"
        ) from None
    return path
