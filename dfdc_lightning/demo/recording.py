"""How a video was recorded and encoded: what varies from video to video, and equally for both labels."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from dfdc_lightning.demo.encode import Codec

_SIZES = ((320, 240), (352, 288), (426, 240), (480, 270), (270, 480), (288, 352))
_RATES = (Fraction(15), Fraction(24), Fraction(25), Fraction(30000, 1001))
_SECONDS = (1.4, 2.4)
_QUANTIZERS = (18, 34)
_KEYFRAMES = (3, 6)  # at least so many of them, and fewer than that


class Fixed(NamedTuple):
    """What all videos have in common; None varies. See `folder.render`."""

    size: tuple[int, int] | None = None
    seconds: float | int | None = None
    fps: float | int | None = None
    gop: int | None = None
    qp: int | None = None
    codec: str | None = None
    preset: str = "ultrafast"

    @property
    def fewest_frames(self) -> int:
        """How many frames the shortest video that may be drawn has."""
        seconds = _SECONDS[0] if self.seconds is None else self.seconds
        return round(seconds * float(min(_RATES) if self.fps is None else self.fps))


class Recording(NamedTuple):
    """What a REAL video and its FAKEs have in common: size in pixels, frames per second, number of frames."""

    size: tuple[int, int]
    fps: Fraction
    frames: int

    @classmethod
    def draw(cls, rng: np.random.Generator, fixed: Fixed) -> "Recording":
        """Choose what is not fixed."""
        size, fps = _SIZES[rng.integers(len(_SIZES))], _RATES[rng.integers(len(_RATES))]
        seconds = rng.uniform(*_SECONDS)
        fps = fps if fixed.fps is None else Fraction(fixed.fps).limit_denominator(1001)
        seconds = seconds if fixed.seconds is None else fixed.seconds
        return cls(size if fixed.size is None else fixed.size, fps, max(round(seconds * float(fps)), 1))

    def codec(self, rng: np.random.Generator, fixed: Fixed) -> Codec:
        """Choose how one of the videos is encoded; each is encoded for itself, as uploads are."""
        name = "libx264" if rng.random() < 0.75 else "mpeg4"
        qp, keyframes = int(rng.integers(*_QUANTIZERS)), int(rng.integers(*_KEYFRAMES))
        return Codec(
            self.fps,
            gop=max(1, -(-self.frames // keyframes)) if fixed.gop is None else fixed.gop,
            qp=qp if fixed.qp is None else fixed.qp,
            preset=fixed.preset,
            name=name if fixed.codec is None else fixed.codec,
        )
