"""Near-duplicates: one video twice, re-encoded, cropped, mirrored, resized or shortened, found by its faces.

Faces are compared as small grey pictures after what all faces share (their mean, and how much each pixel
varies) is taken out. Two videos are alike when nearly every frame of the shorter one looks like some frame of
the other, mirrored or not. First the means over time are compared, all with all; only pairs that are near by
that are compared frame by frame.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Int64

from dfdc_lightning.audit.facts import SIDE

_NEAR = 0.7  # correlation of the means over time from which frames are compared
_DOUBT = 0.75  # similarity from which a pair is compared once more, one of them shifted and zoomed
ALIKE = (
    0.95  # mean over frames of the best correlation from which two videos count as one (benchmarks/check.py)
)
_BLOCK = 1024
_ZOOMS, _SHIFTS = (0.9, 1.0, 1.1), (-1.0, 0.0, 1.0)  # a cropped video's faces are framed a little otherwise


class Pair(NamedTuple):
    """Two videos that show the same, by their places in the list that was compared."""

    a: int
    b: int
    similarity: float
    mirrored: bool


def near_duplicates(faces: Sequence[Float32[np.ndarray, "_ d"]], alike: float = ALIKE) -> list[Pair]:
    """Find all pairs of videos that show the same, the most similar first.

    Args:
        faces: For each video the small pictures of its frames (`facts.small_faces`).
        alike: The least similarity of a pair.
    """
    if len(faces) < 2:
        return []
    frames, means = _normalised(faces)
    found: dict[tuple[int, int], Pair] = {}
    for mirrored in (False, True):
        for a, b in _near(means, _flipped(means) if mirrored else means):
            similarity = _similarity(frames, a, b, mirrored)
            for i, j, value in zip(a.tolist(), b.tolist(), similarity.tolist(), strict=True):
                if _DOUBT <= value < alike:
                    value = max(value, _reframed(frames[i], frames[j], mirrored))
                if value >= max(alike, found[i, j].similarity if (i, j) in found else 0):
                    found[i, j] = Pair(i, j, value, mirrored)
    return sorted(found.values(), key=lambda pair: -pair.similarity)


def _normalised(
    faces: Sequence[Float32[np.ndarray, "_ d"]],
) -> tuple[Float32[np.ndarray, "v t d"], Float32[np.ndarray, "v d"]]:
    """Bring frames, and means over time, to length 1 and take out what all faces share."""
    t = min(len(clip) for clip in faces)
    stack = np.stack([clip[np.linspace(0, len(clip) - 1, t).round().astype(int)] for clip in faces])
    stack = _unit(stack - stack.mean(axis=2, keepdims=True))  # light and contrast of the frame
    both = np.concatenate([stack, _flipped(stack)]).mean(axis=1)  # a common face that has no side
    stack = (stack - both.mean(axis=0)) / (both.std(axis=0) + 1e-3)
    return _unit(stack), _unit(stack.mean(axis=1))


def _near(
    means: Float32[np.ndarray, "v d"], others: Float32[np.ndarray, "v d"]
) -> Iterator[tuple[Int64[np.ndarray, " p"], Int64[np.ndarray, " p"]]]:
    for start in range(0, len(means), _BLOCK):
        rows, columns = np.nonzero(means[start : start + _BLOCK] @ others.T >= _NEAR)
        rows += start
        keep = rows < columns
        rows, columns = rows[keep], columns[keep]
        for first in range(0, len(rows), _BLOCK):
            yield rows[first : first + _BLOCK], columns[first : first + _BLOCK]


def _similarity(
    frames: Float32[np.ndarray, "v t d"],
    a: Int64[np.ndarray, " p"],
    b: Int64[np.ndarray, " p"],
    mirrored: bool,
) -> Float32[np.ndarray, " p"]:
    """Measure how well the frames of the shorter video find their like: the better of both directions."""
    others = _flipped(frames[b]) if mirrored else frames[b]
    alike = frames[a] @ others.transpose(0, 2, 1)
    best: np.ndarray = np.maximum(alike.max(axis=2).mean(axis=1), alike.max(axis=1).mean(axis=1))
    return best


def _reframed(a: Float32[np.ndarray, "t d"], b: Float32[np.ndarray, "t d"], mirrored: bool) -> float:
    """Compare two videos under several shifts and zooms of one of them; the best similarity counts."""
    b = _flipped(b) if mirrored else b
    pictures = a.reshape(len(a), SIDE, SIDE)
    best, middle = 0.0, (SIDE - 1) / 2
    for zoom, x, y in itertools.product(_ZOOMS, _SHIFTS, _SHIFTS):
        matrix = np.array([[zoom, 0, middle * (1 - zoom) + x], [0, zoom, middle * (1 - zoom) + y]])
        moved = [
            cv2.warpAffine(face, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE) for face in pictures
        ]
        alike = _unit(np.stack(moved).reshape(a.shape)) @ b.T
        best = max(best, float(alike.max(axis=1).mean()), float(alike.max(axis=0).mean()))
    return best


def _flipped(pictures: np.ndarray) -> np.ndarray:
    square = pictures.reshape(*pictures.shape[:-1], SIDE, SIDE)
    return np.ascontiguousarray(square[..., ::-1]).reshape(pictures.shape)


def _unit(vectors: np.ndarray) -> np.ndarray:
    length: np.ndarray = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: np.ndarray = vectors / np.maximum(length, 1e-6)
    return unit
