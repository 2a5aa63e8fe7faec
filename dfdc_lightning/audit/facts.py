"""One pass over the clips of a cache: light, sharpness, size, and a small picture of every face."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from dfdc_lightning.faces.cache import CacheError, FaceCache, FaceClip
from dfdc_lightning.faces.conditions import NAMES, measure
from dfdc_lightning.machine import cores
from dfdc_lightning.progress import tally

SIDE = 16  # pixels of a face's small picture
_THUMBNAIL = 72


class Facts(NamedTuple):
    """What one pass tells of v videos: `NAMES` measured, grey faces of 16 × 16 pixels, a picture of each."""

    videos: list[str]
    measured: Float64[np.ndarray, "v k"]
    faces: list[Float32[np.ndarray, "t d"]]
    thumbnails: list[UInt8[np.ndarray, "s s 3"]]

    def of(self, name: str) -> Float64[np.ndarray, " v"]:
        """Take one of the measured values for every video."""
        return self.measured[:, NAMES.index(name)]


def measure_facts(cache: FaceCache, videos: Sequence[str]) -> Facts:
    """Read the clips of these videos; what is damaged is left out, as the proofs name it."""
    seen = []
    with tally("check", len(videos), "clips") as progress, ThreadPoolExecutor(cores()) as threads:
        for video, facts in zip(videos, threads.map(lambda name: _look(cache, name), videos), strict=True):
            progress.advance()
            if facts is not None:
                seen.append((video, *facts))
    measured = np.array([facts[1] for facts in seen], np.float64).reshape(-1, len(NAMES))
    return Facts([f[0] for f in seen], measured, [f[2] for f in seen], [f[3] for f in seen])


def _look(cache: FaceCache, video: str) -> tuple[list[float], np.ndarray, np.ndarray] | None:
    try:
        clip = cache.read_clip(video)
    except CacheError:
        return None
    values = measure(clip)
    middle = clip.faces[len(clip.faces) // 2].transpose(1, 2, 0)
    thumbnail = cv2.resize(
        np.ascontiguousarray(middle), (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA
    )
    return [values[name] for name in NAMES], small_faces(clip), thumbnail


def small_faces(clip: FaceClip) -> Float32[np.ndarray, "t d"]:
    """Reduce each face to 16 × 16 grey values, which compression, size and noise hardly change."""
    green = clip.faces[:, 1].transpose(1, 2, 0)  # the channel nearest to luminance, the frames as channels
    small = np.concatenate(
        [
            cv2.resize(
                np.ascontiguousarray(green[..., start : start + 4]),
                (SIDE, SIDE),
                interpolation=cv2.INTER_AREA,
            ).reshape(SIDE, SIDE, -1)
            for start in range(0, green.shape[2], 4)  # OpenCV takes four channels at once
        ],
        axis=2,
    )
    return small.transpose(2, 0, 1).reshape(len(clip.faces), -1).astype(np.float32)
