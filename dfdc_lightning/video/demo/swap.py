"""The forgery: another person's inner face, colour-matched, resampled, blended in, and not quite still."""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from dfdc_lightning.video.demo.heads import BOTTOM, LEFT, RIGHT, TOP, Head
from dfdc_lightning.video.demo.identity import Identity
from dfdc_lightning.video.demo.scene import Frame, Pose, Scene, paste

_CENTRE = (0.0, 0.24)  # of the swapped ellipse, in face units
_RADII = (0.74, 0.86)


class Swap:
    """Puts a donor's inner face over the head of a scene, frame after frame.

    The still cue is spatial: fewer pixels of detail, the donor's own light, a residue of colour, a blended rim. The
    moving cue is temporal: the patch slips and its colour flickers from frame to frame.

    Args:
        rng: Where every choice comes from.
        scene: The REAL video's scene.
    """

    def __init__(self, rng: np.random.Generator, scene: Scene) -> None:
        self._rng = rng
        self._scene = scene
        away = -np.sign(scene.light[0]) * rng.uniform(0.35, 0.7), rng.uniform(-0.4, 0.1), 1.0
        donor = Identity.draw(rng)
        self._donor = Head(donor, away, scene.head.unit)
        self._detail = rng.uniform(11.0, 16.0)  # pixels of detail per face unit
        self._residue = rng.choice([-1, 1]) * rng.uniform(0.02, 0.06) + rng.normal(0, 0.025, 3)
        self._flicker, self._slip = rng.uniform(0.02, 0.045), rng.uniform(0.02, 0.04)
        self._mask = self._ellipse(scene.head)
        self._patches: dict[tuple[int, int], UInt8[np.ndarray, "h w 3"]] = {}

    def apply(self, frame: Frame, pose: Pose) -> tuple[Frame, list[float]]:
        """Forge one frame; call in time order.

        Returns:
            The forged copy of the frame, and the swapped ellipse in its pixels: x, y, radius, radius, degrees.
        """
        unit = self._scene.head.unit
        slip = self._rng.normal(0, self._slip, 2).clip(-0.1, 0.1) * pose.unit
        gain = (
            1 + self._residue + self._rng.normal(0, self._flicker) + self._rng.normal(0, self._flicker / 2, 3)
        )
        slipped = pose._replace(x=pose.x + slip[0], y=pose.y + slip[1])
        matrix = slipped.matrix(unit)
        forged = frame.copy()
        patch = self._patch(pose.eyes, pose.mouth)
        paste(forged, patch, self._mask, matrix, (self._scene.tint * gain).astype(np.float32))
        x, y = matrix @ np.array([(_CENTRE[0] - LEFT) * unit, (_CENTRE[1] - TOP) * unit, 1.0])
        radii = _RADII[0] * pose.unit * pose.turn, _RADII[1] * pose.unit
        return forged, [round(float(value), 2) for value in (x, y, *radii, pose.roll)]

    def _patch(self, eyes: int, mouth: int) -> UInt8[np.ndarray, "h w 3"]:
        if (eyes, mouth) not in self._patches:
            target = self._scene.head.image(eyes, mouth)
            patch = self._donor.image(eyes, mouth).astype(np.float32)
            inside = self._mask > 0.5
            mean, deviation = target[inside].mean(0), target[inside].std(0)
            own_mean, own_deviation = patch[inside].mean(0), patch[inside].std(0)
            matched = (patch - own_mean) * np.clip(deviation / own_deviation, 0.85, 1.15) + mean
            self._patches[eyes, mouth] = self._resampled(np.clip(matched, 0, 255)).astype(np.uint8)
        return self._patches[eyes, mouth]

    def _resampled(self, image: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
        """Down to what a generator of low resolution would give, and up again."""
        height, width = image.shape[:2]
        small = round((RIGHT - LEFT) * self._detail), round((BOTTOM - TOP) * self._detail)
        if small[0] >= width:
            return image
        reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        return cv2.resize(reduced, (width, height), interpolation=cv2.INTER_LINEAR)

    @staticmethod
    def _ellipse(head: Head) -> Float32[np.ndarray, "h w"]:
        height, width = head.alpha.shape
        u = LEFT + (np.arange(width, dtype=np.float32) + 0.5) / head.unit - _CENTRE[0]
        v = TOP + (np.arange(height, dtype=np.float32) + 0.5) / head.unit - _CENTRE[1]
        radius = np.hypot(u[None, :] / _RADII[0], v[:, None] / _RADII[1])
        return np.clip((1 - radius) / 0.14, 0, 1).astype(np.float32) * head.alpha
