"""One pass over the clips of a cache: light, sharpness, size, and a small grey picture of every face."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from dfdc_lightning.faces.cache import CacheError, FaceCache, FaceClip
from dfdc_lightning.faces.conditions import NAMES, measure
from dfdc_lightning.machine import cores
from dfdc_lightning.progress import tally

SIDE = 16  # pixels of a face's small picture
_THUMBNAIL = 72
_AT_ONCE = 1024  # clips that wait for a thread or for their turn


class Facts(NamedTuple):
    """What one pass tells of v videos: `NAMES` measured, and grey faces of 16 × 16 pixels."""

    videos: list[str]
    measured: Float64[np.ndarray, "v k"]
    faces: list[UInt8[np.ndarray, "t d"]]


def measure_facts(cache: FaceCache, videos: Sequence[str]) -> Facts:
    """Read the clips of these videos; what is damaged is left out, as the proofs name it."""
    seen, measured = [], []
    with tally("check", len(videos), "clips") as progress, ThreadPoolExecutor(cores()) as threads:
        for start in range(0, len(videos), _AT_ONCE):
            names = videos[start : start + _AT_ONCE]
            for video, facts in zip(names, threads.map(partial(_look, cache), names), strict=True):
                progress.advance()
                if facts is not None:
                    measured.append(facts[0])
                    seen.append((video, facts[1]))
    table = np.array(measured, np.float64).reshape(-1, len(NAMES))
    return Facts([video for video, _ in seen], table, [faces for _, faces in seen])


def _look(cache: FaceCache, video: str) -> tuple[list[float], UInt8[np.ndarray, "t d"]] | None:
    try:
        clip = cache.read_clip(video)
    except CacheError:
        return None
    values = measure(clip)
    return [values[name] for name in NAMES], small_faces(clip)


def thumbnail(cache: FaceCache, video: str) -> UInt8[np.ndarray, "s s 3"] | None:
    """Reduce the middle face of a clip to a picture for the page; None where the clip is damaged."""
    try:
        clip = cache.read_clip(video)
    except CacheError:
        return None
    middle = np.ascontiguousarray(clip.faces[len(clip.faces) // 2].transpose(1, 2, 0))
    small: np.ndarray = cv2.resize(middle, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    return small


def small_faces(clip: FaceClip) -> UInt8[np.ndarray, "t d"]:
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
    return small.transpose(2, 0, 1).reshape(len(clip.faces), -1)
