"""Where and how a head appears: room, clothes, light, camera grain, and where the head is in every frame."""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from dfdc_lightning.video.demo.heads import EYE_STATES, LEFT, MOUTH_STATES, TOP, Head
from dfdc_lightning.video.demo.identity import Identity

Frame = UInt8[np.ndarray, "h w 3"]


class Pose(NamedTuple):
    """The head in one frame: middle of the face and face unit in pixels, roll in degrees, states of eyes and mouth."""

    x: float
    y: float
    unit: float
    roll: float
    turn: float
    eyes: int
    mouth: int

    def matrix(self, texture_unit: float) -> Float32[np.ndarray, "2 3"]:
        """Affine map from the pixels of a head's texture to the pixels of the frame."""
        scale, angle = self.unit / texture_unit, np.deg2rad(self.roll)
        turned = np.array(
            [[np.cos(angle) * self.turn, -np.sin(angle)], [np.sin(angle) * self.turn, np.cos(angle)]]
        )
        middle = np.array([-LEFT, -TOP]) * texture_unit
        shift = np.array([self.x, self.y]) - scale * turned @ middle
        return np.column_stack([scale * turned, shift]).astype(np.float32)


class _Wave:
    """A smooth random function of time with deviation `size`: three sines with rates within `hertz`."""

    def __init__(self, rng: np.random.Generator, size: float, hertz: tuple[float, float]) -> None:
        self._rates = 2 * np.pi * rng.uniform(*hertz, 3)
        self._phases = rng.uniform(0, 2 * np.pi, 3)
        self._size = size * np.sqrt(2 / 3)

    def __call__(self, seconds: float) -> float:
        return float(self._size * np.sin(self._rates * seconds + self._phases).sum())


class Motion:
    """Head motion, blinking and speech as functions of time.

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
        since = float(np.abs(self._blinks - seconds).min())
        eyes = 2 if since < 0.06 else 1 if since < 0.12 else 0
        opening = np.clip(0.45 + self._voice(seconds), 0, 1) * (self._pause(seconds) > -0.35)
        return Pose(
            x=self._x + x * self._unit,
            y=self._y + y * self._unit,
            unit=self._unit * (1 + zoom),
            roll=roll,
            turn=1 - abs(turn),
            eyes=min(eyes, len(EYE_STATES) - 1),
            mouth=int(np.abs(np.subtract(MOUTH_STATES, opening)).argmin()),
        )


def _room(rng: np.random.Generator, size: tuple[int, int]) -> Float32[np.ndarray, "h w 3"]:
    """A wall with a gradient and a few things on it, out of focus."""
    width, height = size
    wall = rng.uniform(50, 200) + rng.normal(0, 10, 3)
    fall = np.linspace(rng.uniform(-30, 30), rng.uniform(-30, 30), width)[None, :, None]
    room = np.empty((height, width, 3), np.float32)
    room[:] = wall + fall + np.linspace(0, rng.uniform(-40, 20), height)[:, None, None]
    for _ in range(int(rng.integers(2, 8))):
        colour = np.clip(wall + rng.normal(0, 32) + rng.normal(0, 18, 3), 10, 245)
        wide, tall = rng.uniform(0.06, 0.4) * width, rng.uniform(0.1, 0.7) * height
        x, y = rng.uniform(-0.1, 1) * width, rng.uniform(-0.1, 0.9) * height
        corners = (round(x), round(y)), (round(x + wide), round(y + tall))
        cv2.rectangle(room, *corners, colour.tolist(), -1)
        if rng.random() < 0.5:
            cv2.rectangle(room, *corners, (colour * 0.7).tolist(), max(round(0.012 * width), 1))
    pattern = rng.standard_normal((height // 3 + 1, width // 3 + 1)).astype(np.float32) * np.exp(
        rng.uniform(np.log(1), np.log(14))
    )
    room += cv2.resize(pattern, size, interpolation=cv2.INTER_LINEAR)[..., None]
    return cv2.GaussianBlur(room, (0, 0), np.exp(rng.uniform(np.log(0.0008), np.log(0.008))) * width)


def _dress(room: Float32[np.ndarray, "h w 3"], who: Identity, pose: Pose, light_u: float) -> None:
    """Paint neck and shoulders of `who` into the room, in place."""
    height, width = room.shape[:2]
    u = ((np.arange(width, dtype=np.float32) - pose.x) / pose.unit)[None, :]
    v = ((np.arange(height, dtype=np.float32) - pose.y) / pose.unit)[:, None]
    side, soft = np.abs(u), 1.5 / pose.unit
    shade = 1 + 0.25 * np.sign(light_u) * np.clip(u / 2.4, -1, 1) - 0.2 * np.clip(side / 2.4, 0, 1) ** 2
    neck = np.clip((0.58 + 0.1 * (v - 1.4) ** 2 - side) / soft, 0, 1) * (v > 0.4)
    under = 0.55 + 0.25 * np.clip((v - who.chin + 0.1) / 0.7, 0, 1)
    room += neck[..., None] * ((shade * under)[..., None] * np.asarray(who.skin, np.float32) - room)
    collar = 1.62 + 0.05 * np.cos(u * 3) - 0.28 * np.exp(-((side / 0.75) ** 4)) * -1
    shoulders = collar + 0.28 * np.clip(side - 0.6, 0, None) ** 1.5
    cloth = np.clip((v - shoulders) / soft, 0, 1) * np.clip((2.55 + 0.1 * v - side) / soft, 0, 1)
    folds = 1 + 0.08 * np.sin(7 * u + 2 * v) * np.sin(3 * v + who.mouth_y * 20)
    room += cloth[..., None] * ((shade * folds)[..., None] * np.asarray(who.cloth, np.float32) - room)


class Scene:
    """One person talking in one room: everything that a REAL video and its FAKEs share.

    Args:
        rng: Where every choice comes from; equal generators make equal scenes.
        size: Width and height of the frame in pixels.
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.who = Identity.draw(rng)
        self.light = (rng.choice([-1, 1]) * rng.uniform(0.15, 0.6), rng.uniform(-0.6, -0.25), 1.0)
        self.motion = Motion(rng, size)
        start = self.motion.at(0)
        self.head = Head(self.who, self.light, 1.15 * start.unit)
        room = _room(rng, size)
        _dress(room, self.who, start, self.light[0])
        tint = rng.uniform(0.8, 1.12) * (1 + rng.normal(0, 0.04, 3))
        self.tint = np.asarray(tint, np.float32)
        self._room = np.clip(room * self.tint, 0, 255).astype(np.uint8)
        margin = 64
        shape = (size[1] + margin, size[0] + margin)
        self._grain = np.round(
            rng.standard_normal(shape) * np.exp(rng.uniform(np.log(0.7), np.log(6.0)))
        ).astype(np.int16)
        self._grain = cv2.merge([self._grain] * 3)
        self._offsets = rng.integers(0, margin, (997, 2))

    def frames(self, count: int, fps: float) -> Iterator[tuple[Pose, Frame]]:
        """The REAL video: `count` poses and RGB frames, in time order."""
        for index in range(count):
            pose = self.motion.at(index / fps)
            yield pose, self._frame(pose, self._offsets[index % len(self._offsets)])

    def _frame(self, pose: Pose, offset: np.ndarray) -> Frame:
        frame = self._room.copy()
        texture = self.head.image(pose.eyes, pose.mouth)
        matrix = pose.matrix(self.head.unit)
        paste(frame, texture, self.head.alpha, matrix, self.tint)
        height, width = frame.shape[:2]
        grain = self._grain[offset[0] : offset[0] + height, offset[1] : offset[1] + width]
        return cv2.add(frame, grain, dtype=cv2.CV_8U)


def paste(
    frame: Frame,
    texture: UInt8[np.ndarray, "a b 3"],
    alpha: Float32[np.ndarray, "a b"],
    matrix: Float32[np.ndarray, "2 3"],
    gain: Float32[np.ndarray, "3"],
) -> None:
    """Warp a texture into a frame and blend it there, in place.

    Args:
        frame: The RGB frame.
        texture: RGB.
        alpha: Opacity of the texture, 0-1.
        matrix: Affine map from texture to frame.
        gain: Factor a channel.
    """
    height, width = texture.shape[:2]
    corners = matrix @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]], np.float32)
    x0, y0 = np.maximum(np.floor(corners.min(1)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(1)).astype(int) + 1, (frame.shape[1], frame.shape[0]))
    if x1 <= x0 or y1 <= y0:
        return
    local = matrix - np.array([[0, 0, x0], [0, 0, y0]], np.float32)
    size = (int(x1 - x0), int(y1 - y0))
    lit = cv2.multiply(texture, (*gain.tolist(), 0.0))
    warped = cv2.warpAffine(lit, local, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    opacity = cv2.warpAffine(alpha, local, size, flags=cv2.INTER_LINEAR)
    region = frame[y0:y1, x0:x1]
    region[:] = cv2.blendLinear(warped, np.ascontiguousarray(region), opacity, 1 - opacity)
