"""Boxes of single images → persons followed over time, and the frames in which they were not found."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

# Frames lie about a second apart, so overlap says little: a person's next box is near and looks alike.
_REACH = 1.5  # largest step of the centre from one frame to the next, in box sides
_GROWTH = 1.0  # largest change of size, in powers of two
_STRANGENESS = 0.3  # largest Hellinger distance of the colours in and around two boxes of one person
_NEARLY_AS_LONG = 0.8  # persons found in this share of the best one's frames compete by size


class Track(NamedTuple):
    """One person's face in every frame: what was found, or what lies between its neighbours in time."""

    boxes: Float32[np.ndarray, "t 4"]
    found: Bool[np.ndarray, " t"]
    landmarks: Float32[np.ndarray, "t 5 2"] | None = None


class _Person:
    """An unfinished track: when the person was seen, where, and with which colours last."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.boxes: list[Float32[np.ndarray, " 4"]] = []
        self.landmarks: list[Float32[np.ndarray, " 10"]] = []
        self.colours: Float32[np.ndarray, " k"] = np.zeros(0, np.float32)

    def see(self, time: int, box: Float32[np.ndarray, " 4"], colours: Float32[np.ndarray, " k"]) -> None:
        self.times.append(time)
        self.boxes.append(box)
        self.colours = colours

    def strangeness(
        self, time: int, box: Float32[np.ndarray, " 4"], colours: Float32[np.ndarray, " k"]
    ) -> float | None:
        """Measure how much a face differs from this person; None where it cannot be the same."""
        side, last = _side(box), _side(self.boxes[-1])
        step = float(np.hypot(*(_centre(box) - _centre(self.boxes[-1])))) / np.sqrt(side * last)
        parts = (
            step / (_REACH * np.sqrt(time - self.times[-1])),
            abs(np.log2(side / last)) / _GROWTH,
            _distance(colours, self.colours) / _STRANGENESS,
        )
        return float(sum(parts)) if max(parts) <= 1 else None

    def track(self, n: int) -> Track:
        found = np.zeros(n, bool)
        found[self.times] = True
        landmarks = self._everywhere(self.landmarks, n).reshape(n, 5, 2) if self.landmarks else None
        return Track(self._everywhere(self.boxes, n), found, landmarks)

    def _everywhere(self, seen: list[Float32[np.ndarray, " k"]], n: int) -> Float32[np.ndarray, "t k"]:
        columns = [np.interp(np.arange(n), self.times, column) for column in np.stack(seen).T]
        return np.stack(columns, axis=1).astype(np.float32)


def follow(
    images: Sequence[UInt8[np.ndarray, "h w 3"]],
    faces: Sequence[Float32[np.ndarray, "_ 5"]],
    landmarks: Sequence[Float32[np.ndarray, "_ 5 2"]] | None = None,
) -> list[Track]:
    """Link the boxes of successive frames into persons.

    Args:
        images: Frames in time order; colours tell persons apart after a cut.
        faces: For each frame what `FaceDetector.find` returned for it.
        landmarks: For each frame those of its faces, from a face detector that finds them.

    Returns:
        Every person, the one found longest first; of those found nearly as long the largest. May be empty.
    """
    follower = Follower()
    for time, (image, boxes) in enumerate(zip(images, faces, strict=True)):
        follower.see(image, boxes, None if landmarks is None else landmarks[time])
    return _ranked([person.track(len(images)) for person in follower.persons])


class Follower:
    """Links faces to the persons seen so far, one frame after the other, however many there are."""

    def __init__(self) -> None:
        self.persons: list[_Person] = []
        self._time = 0

    def see(
        self,
        image: UInt8[np.ndarray, "h w 3"],
        boxes: Float32[np.ndarray, "n 5"],
        landmarks: Float32[np.ndarray, "n 5 2"] | None = None,
    ) -> dict[int, Float32[np.ndarray, " 4"]]:
        """Link the faces of the next frame.

        Args:
            image: The frame.
            boxes: What `FaceDetector.find` returned for it.
            landmarks: Those of the same faces, where they were found.

        Returns:
            The box of every person who is seen in it, by the person's number in order of appearance.
        """
        real = [f for f, box in enumerate(boxes) if _side(box) > 0]
        seen = [(boxes[f, :4], _colours(image, boxes[f, :4])) for f in real]
        pairs = [
            (strangeness, p, f)
            for p, person in enumerate(self.persons)
            for f, (box, colours) in enumerate(seen)
            if (strangeness := person.strangeness(self._time, box, colours)) is not None
        ]
        taken: dict[int, int] = {}  # face → person
        for _, p, f in sorted(pairs):
            if f not in taken and p not in taken.values():
                taken[f] = p
        for f, (box, colours) in enumerate(seen):
            if f not in taken:
                taken[f] = len(self.persons)
                self.persons.append(_Person())
            self.persons[taken[f]].see(self._time, box, colours)
            if landmarks is not None:
                self.persons[taken[f]].landmarks.append(landmarks[real[f]].reshape(10))
        self._time += 1
        return {taken[f]: box for f, (box, _) in enumerate(seen)}


def _ranked(tracks: list[Track]) -> list[Track]:
    enough = _NEARLY_AS_LONG * max((int(track.found.sum()) for track in tracks), default=0)

    def rank(track: Track) -> tuple[float, float]:
        size = float(np.mean([_side(box) for box in track.boxes[track.found]]))
        return min(float(track.found.sum()), enough), size

    return sorted(tracks, key=rank, reverse=True)


def _colours(image: UInt8[np.ndarray, "h w 3"], box: Float32[np.ndarray, " 4"]) -> Float32[np.ndarray, " k"]:
    """Count the colours in and around a face: a movement changes them little, a cut much."""
    (x, y), reach = _centre(box), _side(box)
    height, width = image.shape[:2]
    left, right = (int(np.clip(edge, 0, width)) for edge in (x - reach, x + reach + 1))
    top, bottom = (int(np.clip(edge, 0, height)) for edge in (y - reach, y + reach + 1))
    if left >= right or top >= bottom:
        return np.full(48, 1 / 48, np.float32)
    small = cv2.resize(image[top:bottom, left:right], (32, 32), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    bins = [
        np.histogram(lab[:, c], bins=16, range=r)[0] for c, r in enumerate(((0, 256), (96, 160), (96, 160)))
    ]
    soft = cv2.GaussianBlur(np.stack(bins).astype(np.float32), (5, 1), 1.0)
    return np.asarray(soft / soft.sum(), np.float32).reshape(-1)


def _distance(a: Float32[np.ndarray, " k"], b: Float32[np.ndarray, " k"]) -> float:
    """Compute the Hellinger distance of two distributions, 0 to 1."""
    return float(np.sqrt(max(0.0, 1.0 - float(np.sqrt(a * b).sum()))))


def _centre(box: Float32[np.ndarray, " k"]) -> Float32[np.ndarray, " 2"]:
    return np.asarray((box[:2] + box[2:4]) / 2, np.float32)


def _side(box: Float32[np.ndarray, " k"]) -> float:
    return float(max(box[2] - box[0], box[3] - box[1]))
