"""A video of any length → windows: as many frames as the model takes, of one person, one after the other.

Frames come one at a time and only the last few are kept, so that memory does not grow with the video. A
window never reaches over a time in which its person is not seen, so never over a cut to somebody else.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from dfdc_lightning.faces.cache import FaceClip
from dfdc_lightning.faces.crop import crop_boxes, crops
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.tracks import Follower

_GAP = 2  # samples in a row in which a face may be missed: its box is then taken from its neighbours

Box = Float32[np.ndarray, " 4"]


class Window(NamedTuple):
    """One person's faces in successive samples; `first` is the number of the first sample."""

    person: int
    first: int
    clip: FaceClip


class Sample(NamedTuple):
    """One frame of the video that is looked at, and its number in the video."""

    frame: int
    image: UInt8[np.ndarray, "h w 3"]


class _Stretch:
    """A time in which one person is seen, and up to which sample its windows have been cut."""

    def __init__(self) -> None:
        self.boxes: dict[int, Box] = {}
        self.first = self.last = -1
        self.next = -1

    def see(self, sample: int, box: Box) -> None:
        if not self.boxes:
            self.first = self.next = sample
        self.last = sample
        self.boxes[sample] = box

    def starts(self, length: int, hop: int, ended: bool) -> Iterator[int]:
        """List where windows start that can be cut by now; the last one ends with the stretch."""
        covered = self.next - hop + length  # where the last window that was cut ended
        while self.next + length - 1 <= self.last:
            yield self.next
            covered = self.next + length
            self.next += hop
        if ended and covered <= self.last and self.last - self.first + 1 >= length:
            yield self.last - length + 1

    def forget(self, before: int) -> None:
        for sample in [sample for sample in self.boxes if sample < before]:
            del self.boxes[sample]


class Windows:
    """Cuts windows out of samples that come one after the other.

    Args:
        preparation: Finds and crops faces as for the training; a window has as many frames as a clip.
        hop: Samples from the start of one window to the start of the next.
    """

    def __init__(self, preparation: FacePreparation, hop: int) -> None:
        self._preparation, self._length, self._hop = preparation, preparation.frames, hop
        self._follower = Follower()
        self._stretches: dict[int, _Stretch] = {}
        self._kept: dict[int, Sample] = {}
        self._sample = -1
        self.boxes: dict[int, Box] = {}  # of the persons in the last frame

    def look(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Find and follow the faces of the next frame, whether it is a sample or not."""
        self.boxes = self._follower.see(image, self._preparation.face_detector.find(image))

    def add(self, sample: Sample) -> list[Window]:
        """Take the next sample, which was looked at just before, and return the windows that it completes."""
        self._sample += 1
        self._kept[self._sample] = sample
        self._kept.pop(self._sample - self._length - _GAP - 1, None)
        cut = bool(self.boxes.keys() - self._stretches.keys())  # somebody comes: who is not seen has gone
        for person, box in self.boxes.items():
            self._stretches.setdefault(person, _Stretch()).see(self._sample, box)
        patience = 0 if cut else _GAP
        return self._cut(lambda stretch: self._sample - stretch.last > patience)

    def end(self) -> list[Window]:
        """Return the windows that the end of the video completes."""
        return self._cut(lambda _: True)

    def _cut(self, ended: Callable[[_Stretch], bool]) -> list[Window]:
        windows = []
        for person, stretch in list(self._stretches.items()):
            over = ended(stretch)
            windows += [
                self._window(person, stretch, first)
                for first in stretch.starts(self._length, self._hop, over)
            ]
            stretch.forget(self._sample - self._length - _GAP)
            if over:
                del self._stretches[person]
        return windows

    def _window(self, person: int, stretch: _Stretch, first: int) -> Window:
        samples = np.arange(first, first + self._length)
        seen = sorted(stretch.boxes)
        known = np.stack([stretch.boxes[sample] for sample in seen])
        boxes = np.stack([np.interp(samples, seen, known[:, k]) for k in range(4)], axis=1)
        placed = crop_boxes(boxes.astype(np.float32), self._preparation.margin, self._preparation.smoothing)
        kept = [self._kept[int(sample)] for sample in samples]
        return Window(
            person,
            first,
            FaceClip(
                crops([sample.image for sample in kept], placed, self._preparation.size),
                placed.astype(np.float32),
                np.array([sample.frame for sample in kept], np.int64),
                np.array([int(sample) in stretch.boxes for sample in samples]),
            ),
        )
