"""A third face detector, as anybody could add it, and the one clip that a cache gets of a video."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from dfdc_lightning.faces.cache import FaceClip
from dfdc_lightning.faces.extract import FacePreparation


class Middle:
    """Sees a face in the middle of every image, and takes a while if told to."""

    name = "middle"
    settings: dict[str, Any] = {}

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def find(self, image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "n 5"]:
        time.sleep(self.seconds)
        height, width = image.shape[:2]
        if min(height, width) < 32 or image.std() < 10:  # nobody in a tiny or an empty picture
            return np.zeros((0, 5), np.float32)
        return np.array([[width * 0.4, height * 0.4, width * 0.6, height * 0.6, 1]], np.float32)


def first_clip(preparation: FacePreparation, path: Path) -> FaceClip:
    """The clip that a cache gets of a video: the person found longest."""
    frames = preparation.read(path)
    return preparation.clip(frames, preparation.persons(frames, path)[0])
