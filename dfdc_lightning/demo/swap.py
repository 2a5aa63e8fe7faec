"""The forgery: another person's inner face, colour-matched, resampled, blended in, and not quite still."""

from typing import NamedTuple

import cv2
import numpy as np

from dfdc_lightning.demo.brush import Image, Picture, Plane, paste
from dfdc_lightning.demo.heads import BOTTOM, LEFT, RIGHT, TOP, Head
from dfdc_lightning.demo.identity import Identity
from dfdc_lightning.demo.scene import Pose, Scene

# The swapped ellipse: centre and radii in face units, width of its blended rim as a part of the radius.
_CENTRE, _RADII, _FEATHER = (0.0, 0.24), (0.74, 0.86), 0.12


class Ellipse(NamedTuple):
    """The swapped region in one frame: centre and radii in pixels, clockwise rotation in degrees."""

    x: float
    y: float
    radius_x: float
    radius_y: float
    degrees: float


class Swap:
    """Puts a donor's inner face over the head of a scene, frame after frame.

    The spatial cue: fewer pixels of detail, the donor's own light, a residue of colour, a blended rim, the
    donor's own grain. The temporal cue: the patch slips and its colour flickers from frame to frame.

    Args:
        rng: Where every choice comes from.
        scene: The REAL video's scene.
    """

    def __init__(self, rng: np.random.Generator, scene: Scene) -> None:
        self._rng = rng
        self._scene = scene
        light = float(-np.sign(scene.light[0]) * rng.uniform(0.35, 0.7)), rng.uniform(-0.4, 0.1), 1.0
        self._donor = Head(Identity.draw(rng), light, scene.head.unit)
        self._detail = rng.uniform(9.5, 14.0)  # pixels of detail per face unit
        cast = np.array([-1.0, 0.2, 1.0]) * rng.uniform(0.06, 0.11)  # a generator's colours lean to one side
        self._residue = cast + rng.normal(0, 0.03) + rng.normal(0, 0.02, 3)
        self._grain = rng.uniform(2.0, 7.0)
        self._flicker, self._slip = rng.uniform(0.02, 0.045), rng.uniform(0.02, 0.04)
        self._mask = _ellipse(scene.head)
        self._patches: dict[tuple[int, int], Picture] = {}

    def apply(self, frame: Picture, pose: Pose) -> tuple[Picture, Ellipse]:
        """Forge one frame of the scene; call in time order.

        Returns:
            The forged copy of the frame, and its swapped region.
        """
        unit = self._scene.head.unit
        slip = self._rng.normal(0, self._slip, 2).clip(-0.1, 0.1) * pose.unit
        flicker = self._rng.normal(0, self._flicker) + self._rng.normal(0, self._flicker / 2, 3)
        gain = self._scene.tint * (1 + self._residue + flicker).astype(np.float32)
        matrix = pose._replace(x=pose.x + slip[0], y=pose.y + slip[1]).matrix(unit)
        forged = frame.copy()
        paste(forged, self._patch(pose.eyes, pose.mouth), self._mask, matrix, gain)
        x, y = matrix @ np.array([(_CENTRE[0] - LEFT) * unit, (_CENTRE[1] - TOP) * unit, 1.0])
        region = (x, y, _RADII[0] * pose.unit * pose.turn, _RADII[1] * pose.unit, pose.roll)
        return forged, Ellipse(*(round(float(value), 2) for value in region))

    def _patch(self, eyes: int, mouth: int) -> Picture:
        """The donor with the given expression, in the colours of the head it goes over."""
        if (eyes, mouth) not in self._patches:
            target = self._scene.head.image(eyes, mouth)
            patch = self._donor.image(eyes, mouth)
            inside = self._mask > 0.5
            mean, deviation = target[inside].mean(0), target[inside].std(0)
            own_mean, own_deviation = patch[inside].mean(0), patch[inside].std(0)
            matched = (patch - own_mean) * np.clip(deviation / own_deviation, 0.85, 1.15) + mean
            coarse = _resampled(matched.astype(np.float32), self._detail)
            coarse += self._rng.normal(0, self._grain, (*coarse.shape[:2], 1))
            self._patches[eyes, mouth] = np.clip(coarse, 0, 255).astype(np.uint8)
        return self._patches[eyes, mouth]


def _resampled(image: Image, detail: float) -> Image:
    """Down to `detail` pixels a face unit, what a small generator would give, and up again."""
    small = round((RIGHT - LEFT) * detail), round((BOTTOM - TOP) * detail)
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    enlarged: Image = cv2.resize(reduced, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return enlarged


def _ellipse(head: Head) -> Plane:
    """Opacity of the patch over the head's texture: 1 inside, fading towards the rim."""
    height, width = head.alpha.shape
    u = LEFT + (np.arange(width, dtype=np.float32) + 0.5) / head.unit - _CENTRE[0]
    v = TOP + (np.arange(height, dtype=np.float32) + 0.5) / head.unit - _CENTRE[1]
    radius = np.hypot(u[None, :] / _RADII[0], v[:, None] / _RADII[1])
    mask: Plane = np.clip((1 - radius) / _FEATHER, 0, 1).astype(np.float32) * head.alpha
    return mask
