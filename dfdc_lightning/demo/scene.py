"""One person talking in one room, under one light, before one camera: what a REAL and its FAKEs share."""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32

from dfdc_lightning.demo.drawing import Image, Picture, Plane, Planes, extent, paint, paste, split, step
from dfdc_lightning.demo.heads import LEFT, MOUTH_STATES, TOP, Head
from dfdc_lightning.demo.identity import Identity, Person

_GRAIN_MARGIN = 64  # the camera's grain is one noise picture, larger than the frame, shifted in every frame


class Pose(NamedTuple):
    """The head in one frame.

    `x`, `y`: middle of the face in pixels; `unit`: pixels per face unit; `roll`: degrees; `turn`: the face's
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
        """Build the affine map from a head's texture (`texture_unit` pixels per face unit) to the frame."""
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
        """Compute the pose at a time."""
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


class View(NamedTuple):
    """What a person looks like in a scene: the head, and the room with neck and clothes, also as planes."""

    head: Head
    room: Picture
    planes: Planes


class Patch(NamedTuple):
    """What a forgery lays over a head: a texture as large as the head's, opacity, factor per channel."""

    texture: Picture
    alpha: Plane
    gain: Float32[np.ndarray, "3"]


class Scene:
    """A room, a camera, a way of moving, and the person whom the REAL video shows.

    All of these are drawn independently of each other. `unit` is the face's size in pixels, `tint` the
    camera's factor per channel.

    Args:
        rng: Where every choice comes from; equal generators make equal scenes.
        size: Width and height of the frame in pixels, both even.
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.person = Person.draw(rng)
        self.tint = (rng.uniform(0.8, 1.12) * (1 + rng.normal(0, 0.04, 3))).astype(np.float32)
        self._motion = Motion(rng, size)
        self._start = self._motion.at(0.0)
        self.unit = self._start.unit
        self._blur = _between(rng, 0.008, 0.035) * self.unit
        self._empty_room = _room(rng, size)
        self._weave = _between(rng, 0.02, 0.5)
        strength = _between(rng, 0.7, 6.0)
        grain = rng.standard_normal((size[1] + _GRAIN_MARGIN, size[0] + _GRAIN_MARGIN)) * strength
        self._brighter, self._darker = (
            np.clip(np.round(g), 0, 255).astype(np.uint8) for g in (grain, -grain)
        )
        self._shifts = rng.integers(0, _GRAIN_MARGIN, (997, 2))

    def view(self, person: Person) -> View:
        """Put a person into the scene, in front of its camera."""
        who, light = person.traits_and_light()
        room = self._empty_room.copy()
        _dress(room, who, self._start, light[0], self._weave)
        seen = cv2.GaussianBlur(room * self.tint, (0, 0), self._blur)
        picture: Picture = np.clip(seen, 0, 255).astype(np.uint8)
        return View(self.head(who, light), picture, cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420))

    def head(self, who: Identity, light: tuple[float, float, float]) -> Head:
        """Draw a head as this scene's camera sees it."""
        return Head(who, light, self.unit, self._blur)

    def poses(self, count: int, fps: Fraction) -> Iterator[Pose]:
        """List the poses of `count` frames, in time order."""
        return (self._motion.at(index / float(fps)) for index in range(count))

    def frame(self, index: int, pose: Pose, view: View, patch: Patch | None = None) -> Planes:
        """Draw one frame: the room, the head, what a forgery lays over it, and at last the camera's grain.

        Args:
            index: The frame's number, which the grain follows.
            pose: The head's pose.
            view: Who is in the scene.
            patch: What lies over the head.
        """
        matrix = pose.matrix(self.unit)
        x0, y0, x1, y1 = extent(matrix, view.head.alpha.shape, view.room.shape)
        x0, y0, x1, y1 = x0 & ~1, y0 & ~1, (x1 + 1) & ~1, (y1 + 1) & ~1  # chroma is for two by two pixels
        around = np.ascontiguousarray(view.room[y0:y1, x0:x1])
        matrix -= np.array([[0, 0, x0], [0, 0, y0]], np.float32)
        paste(around, view.head.image(pose.eyes, pose.mouth), view.head.alpha, matrix, self.tint)
        if patch is not None:
            paste(around, patch.texture, patch.alpha, matrix, self.tint * patch.gain)
        planes = view.planes.copy()
        changed = split(cv2.cvtColor(around, cv2.COLOR_RGB2YUV_I420))
        for plane, part, scale in zip(split(planes), changed, (1, 2, 2), strict=True):
            plane[y0 // scale : y1 // scale, x0 // scale : x1 // scale] = part
        height, width = view.room.shape[:2]
        down, right = self._shifts[index % len(self._shifts)]
        window = slice(down, down + height), slice(right, right + width)
        luma = planes[:height]
        cv2.subtract(cv2.add(luma, self._brighter[window], dst=luma), self._darker[window], dst=luma)
        return planes


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _room(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """Draw a wall with a gradient, wallpaper and a few things on it, more or less out of focus."""
    width, height = size
    wall = rng.uniform(50, 200) + rng.normal(0, 10, 3)
    across, down = (np.linspace(rng.uniform(-30, 30), rng.uniform(-30, 30), n) for n in size)
    room = (wall + across[None, :, None] + down[:, None, None]).astype(np.float32)
    for _ in range(int(rng.integers(2, 8))):
        colour = np.clip(wall + rng.normal(0, 32) + rng.normal(0, 18, 3), 10, 245)
        wide, tall = rng.uniform(0.06, 0.4) * width, rng.uniform(0.1, 0.7) * height
        x, y = rng.uniform(-0.1, 1) * width, rng.uniform(-0.1, 0.9) * height
        corners = (round(x), round(y)), (round(x + wide), round(y + tall))
        cv2.rectangle(room, *corners, colour.tolist(), -1)
        if rng.random() < 0.5:
            cv2.rectangle(room, *corners, (colour * 0.7).tolist(), max(round(0.012 * width), 1))
    wallpaper = rng.standard_normal((80, 80 * width // height)).astype(np.float32) * _between(rng, 1.0, 14.0)
    room += cv2.resize(wallpaper, size, interpolation=cv2.INTER_LINEAR)[..., None]
    blurred: Image = cv2.GaussianBlur(room, (0, 0), _between(rng, 0.0008, 0.008) * width)
    return blurred


def _dress(room: Image, who: Identity, pose: Pose, light_u: float, weave: float) -> None:
    """Paint neck and shoulders of `who` into the room, in place; `weave` is the contrast of stripes."""
    height, width = room.shape[:2]
    u = ((np.arange(width, dtype=np.float32) - pose.x) / pose.unit)[None, :].repeat(height, 0)
    v = ((np.arange(height, dtype=np.float32) - pose.y) / pose.unit)[:, None].repeat(width, 1)
    side, soft = np.abs(u), 1.5 / pose.unit
    shade = 1 + 0.25 * np.sign(light_u) * np.clip(u / 2.4, -1, 1) - 0.2 * np.clip(side / 2.4, 0, 1) ** 2
    under_chin = 0.55 + 0.25 * np.clip((v - who.chin + 0.1) / 0.7, 0, 1)
    neck = step(0.58 + 0.1 * (v - 1.4) ** 2 - side, soft) * (v > 0.4)
    paint(room, (shade * under_chin)[..., None] * np.asarray(who.skin, np.float32), neck)
    shoulders = 1.62 + 0.05 * np.cos(u * 3) + 0.28 * np.exp(-((side / 0.75) ** 4))
    shoulders += 0.28 * np.clip(side - 0.6, 0, None) ** 1.5
    cloth = step(v - shoulders, soft) * step(2.55 + 0.1 * v - side, soft)
    folds = 1 + 0.08 * np.sin(7 * u + 2 * v) * np.sin(3 * v + who.mouth_y * 20)
    stripes = 1 - weave * (np.sin(45 * (v - shoulders) + 0.3 * np.sin(5 * u)) > 0.3)
    paint(room, (shade * folds * stripes)[..., None] * np.asarray(who.cloth, np.float32), cloth)
