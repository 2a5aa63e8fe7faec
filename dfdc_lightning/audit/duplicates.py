"""Near-duplicates: one video twice, re-encoded, cropped, mirrored, resized or shortened, found by its faces.

Faces are compared as small grey pictures after what all faces share (their mean, and how much each pixel
varies) is taken out. Two videos are alike when nearly every frame of the shorter one looks like some frame of
the other, mirrored or not. First the means over time are compared, all with all; only pairs that are near by
that are compared frame by frame. Faces stay uint8 until then, so that 119,000 clips fit in memory.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from dfdc_lightning.audit.facts import SIDE

_NEAR = 0.7  # correlation of the means over time from which frames are compared
_DOUBT = 0.75  # similarity from which a pair is compared once more, one of them shifted and zoomed
# Mean over frames of the best correlation from which two videos count as one. Chosen on rendered videos; on
# 200 copies of 200 others recall and precision are 0.965 (benchmarks/check.py prints both for other values).
ALIKE = 0.95
_BLOCK = 1024  # clips, or pairs, whose frames are held as float32 at once
_CELLS = 2**24  # correlations that are held at once
_ZOOMS, _SHIFTS = (0.9, 1.0, 1.1), (-1.0, 0.0, 1.0)  # a cropped video's faces are framed a little otherwise


class Pair(NamedTuple):
    """Two videos that show the same, by their places in the list that was compared."""

    a: int
    b: int
    similarity: float
    mirrored: bool


def near_duplicates(
    faces: Sequence[UInt8[np.ndarray, "_ d"]], alike: float = ALIKE, groups: Sequence[str] | None = None
) -> list[Pair]:
    """Find all pairs of videos that show the same, the most similar first.

    Args:
        faces: For each video the small pictures of its frames (`facts.small_faces`).
        alike: The least similarity of a pair.
        groups: For each video its group; pairs within a group are not compared. None compares all.
    """
    if len(faces) < 2:
        return []
    pictures = _Pictures(faces)
    kin = np.unique(groups, return_inverse=True)[1] if groups else np.arange(len(faces))
    found: dict[tuple[int, int], Pair] = {}
    for mirrored in (False, True):
        for a, b in _near(pictures.means, kin, mirrored):
            similarity = _similarity(pictures.of(a), pictures.of(b), mirrored)
            for i, j, value in zip(a.tolist(), b.tolist(), similarity.tolist(), strict=True):
                if _DOUBT <= value < alike:
                    both = pictures.of(np.array([i, j]))
                    value = max(value, _reframed(both[0], both[1], mirrored))
                if value >= max(alike, found[i, j].similarity if (i, j) in found else 0):
                    found[i, j] = Pair(i, j, value, mirrored)
    return sorted(found.values(), key=lambda pair: -pair.similarity)


class _Pictures:
    """The small faces of v videos; light, contrast and what all faces share are taken out when asked for.

    `means` holds each video's mean over time, of length 1.
    """

    def __init__(self, faces: Sequence[UInt8[np.ndarray, "_ d"]]) -> None:
        self.faces, self._t = faces, min(len(clip) for clip in faces)
        first = np.empty((len(faces), SIDE * SIDE), np.float32)
        squares = np.zeros(SIDE * SIDE)
        for start in range(0, len(faces), _BLOCK):
            block = self._even(range(start, min(start + _BLOCK, len(faces)))).mean(axis=1)
            first[start : start + _BLOCK] = block
            squares += (block.astype(np.float64) ** 2).sum(axis=0)
        # Over all videos and their mirror images: a common face that has no side.
        mean = first.mean(axis=0, dtype=np.float64)
        mean, squares = ((values + _flipped(values)) / 2 for values in (mean, squares / len(faces)))
        self._mean = mean.astype(np.float32)
        self._deviation = np.sqrt(np.maximum(squares - mean**2, 0)).astype(np.float32) + np.float32(1e-3)
        first -= self._mean
        first /= self._deviation
        self.means: Float32[np.ndarray, "v d"] = _unit(first)

    def of(self, videos: Int64[np.ndarray, " p"]) -> Float32[np.ndarray, "p t d"]:
        """Give the frames of these videos, each of length 1."""
        return _unit((self._even(videos.tolist()) - self._mean) / self._deviation)

    def _even(self, videos: Iterable[int]) -> Float32[np.ndarray, "p t d"]:
        """Take equally many frames of each video, without their light and contrast."""
        clips = [self.faces[video] for video in videos]
        chosen = [clip[np.linspace(0, len(clip) - 1, self._t).round().astype(int)] for clip in clips]
        stack = np.stack(chosen).astype(np.float32)
        return _unit(stack - stack.mean(axis=2, keepdims=True))


def _near(
    means: Float32[np.ndarray, "v d"], kin: Int64[np.ndarray, " v"], mirrored: bool
) -> Iterator[tuple[Int64[np.ndarray, " p"], Int64[np.ndarray, " p"]]]:
    """Yield the places of pairs of different kin whose means are near, the first place below the second."""
    height = max(1, _CELLS // len(means))
    for start in range(0, len(means), height):
        block = means[start : start + height]
        alike = (_flipped(block) if mirrored else block) @ means[start:].T
        rows, columns = (places + start for places in np.nonzero(alike >= _NEAR))
        keep = (rows < columns) & (kin[rows] != kin[columns])
        rows, columns = rows[keep], columns[keep]
        for first in range(0, len(rows), _BLOCK):
            yield rows[first : first + _BLOCK], columns[first : first + _BLOCK]


def _similarity(
    a: Float32[np.ndarray, "p t d"], b: Float32[np.ndarray, "p t d"], mirrored: bool
) -> Float32[np.ndarray, " p"]:
    """Measure how well the frames of the shorter video find their like: the better of both directions."""
    alike = a @ (_flipped(b) if mirrored else b).transpose(0, 2, 1)
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
