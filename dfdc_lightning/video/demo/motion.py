"""Head motion, blinking and speech: where the head is and what eyes and mouth do, as functions of time."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from dfdc_lightning.video.demo.heads import LEFT, MOUTH_STATES, TOP


class Pose(NamedTuple):
    """The head in one frame.

    `x`, `y`: middle of the face in pixels; `unit`: pixels a face unit; `roll`: degrees; `turn`: the face's
    width as a part of its width from the front; `eyes`, `mouth`: indices of EYE_STATES and MOUTH_STATES.
    """

    x: float
    y: float
    unit: float
    roll: float
    turn: float
    eyes: int
    mouth: int

    def matrix(self, texture_unit: float) -> Float32[np.ndarray, "2 3"]:
        """Affine map from the pixels of a head's texture (`texture_unit` a face unit) to the frame's."""
        angle = np.deg2rad(self.roll)
        across = np.array([np.cos(angle), np.sin(angle)]) * self.turn
        down = np.array([-np.sin(angle), np.cos(angle)])
        turned = self.unit / texture_unit * np.column_stack([across, down])
        shift = np.array([self.x, self.y]) - turned @ (np.array([-LEFT, -TOP]) * texture_unit)
        return np.column_stack([turned, shift]).astype(np.float32)


class _Wave:
    """A smooth random function of time with deviation `size`: three sines with rates within `hertz`."""

    def __init__(self, rng: np.random.Generator, size: float, hertz: tuple[float, float]) -> None:
        self._rates = 2 * np.pi * rng.uniform(*hertz, 3)
        self._phases = rng.uniform(0, 2 * np.pi, 3)
        self._size = size * np.sqrt(2 / 3)

    def __call__(self, seconds: float) -> float:
        return float(self._size * np.sin(self._rates * seconds + self._phases).sum())


class Motion:
    """One person's way of moving in front of one camera.

    Args:
        rng: Where every choice comes from.
        size: Width and height of the frame in pixels.
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        width, height = size
        short = min(size)
        self._unit = rng.uniform(0.165, 0.215) * short
        self._x = width * 0.5 + rng.uniform(-0.12, 0.12) * short
        self._y = height * 0.5 + rng.uniform(-0.07, 0.03) * short
        slow, quick = (0.15, 0.6), (1.5, 4.0)
        self._sway = [_Wave(rng, amount, slow) for amount in (0.09, 0.05, 0.02, 2.5, 0.025)]
        self._voice, self._pause = _Wave(rng, 0.5, quick), _Wave(rng, 0.6, slow)
        self._blinks = np.cumsum(rng.uniform(1.2, 3.5, 400)) - rng.uniform(0, 2)

    def at(self, seconds: float) -> Pose:
        """The pose at a time."""
        x, y, zoom, roll, turn = (wave(seconds) for wave in self._sway)
        since_blink = float(np.abs(self._blinks - seconds).min())
        speaks = self._pause(seconds) > -0.35
        opening = min(max(0.45 + self._voice(seconds), 0), 1) if speaks else 0.0
        return Pose(
            x=self._x + x * self._unit,
            y=self._y + y * self._unit,
            unit=self._unit * (1 + zoom),
            roll=roll,
            turn=1 - abs(turn),
            eyes=2 if since_blink < 0.06 else 1 if since_blink < 0.12 else 0,
            mouth=int(np.abs(np.subtract(MOUTH_STATES, opening)).argmin()),
        )
