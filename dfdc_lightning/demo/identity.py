"""Who is on screen and in which light: the traits of one invented person, read from Gaussian latents.

Every trait is a function of independent standard normal numbers. A person whose latents turn towards those of
another (`Person.turned`) is therefore drawn from exactly the same distribution as any person at each moment.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import ndtr

from dfdc_lightning.demo.drawing import Colour

# Anchors between which a colour is drawn, RGB 0-255.
_SKIN = ((250, 214, 190), (236, 188, 158), (214, 160, 124), (178, 122, 88), (148, 100, 72), (126, 84, 60))
_HAIR = (
    (28, 22, 20),
    (58, 38, 26),
    (96, 62, 36),
    (140, 100, 56),
    (186, 150, 92),
    (120, 52, 28),
    (132, 130, 128),
)
_IRIS = ((62, 40, 24), (86, 58, 30), (70, 100, 120), (74, 104, 70), (96, 96, 90))
_CLOTH = ((40, 52, 84), (110, 32, 40), (52, 88, 62), (200, 196, 186), (64, 64, 70), (170, 120, 60))


_LATENTS = 37  # one for each number that `Identity.read` and `Person.light` take


class _Reader:
    """Reads latents one after another, each as a number of the wanted distribution."""

    def __init__(self, latents: Float64[np.ndarray, " n"]) -> None:
        self._next = iter(latents.tolist())

    def normal(self, deviation: float) -> float:
        """Read a normal number with mean 0."""
        return float(deviation * next(self._next))

    def uniform(self, low: float, high: float) -> float:
        """Read a uniform number: the latent's own quantile."""
        return float(low + (high - low) * ndtr(next(self._next)))

    def colour(self, anchors: tuple[tuple[int, int, int], ...]) -> Colour:
        """Read a colour between two neighbouring anchors, and a little beside."""
        place = min(self.uniform(0, len(anchors) - 1), len(anchors) - 1 - 1e-9)
        low = int(place)
        here, there = np.array(anchors[low]), np.array(anchors[low + 1])
        noise = [self.normal(5) for _ in range(3)]
        red, green, blue = np.clip(here + (place - low) * (there - here) + noise, 8, 252)
        return float(red), float(green), float(blue)


class Identity(NamedTuple):
    """One person. Lengths are in face units: 1 is half the width of the face."""

    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    cloth: Colour
    chin: float
    taper: float
    eye_x: float
    eye_y: float
    eye_width: float
    eye_height: float
    brow_y: float
    brow_arch: float
    brow_thickness: float
    nose_length: float
    nose_width: float
    nose_height: float
    mouth_y: float
    mouth_width: float
    lip_thickness: float
    smile: float
    hairline: float
    hair_volume: float
    hair_length: float
    beard: float
    texture: int

    @classmethod
    def read(cls, latents: "_Reader", cloth: Colour, texture: int) -> "Identity":
        """Read a person; every latent is used whatever the others are, so that none changes its meaning."""
        skin, hair, iris = latents.colour(_SKIN), latents.colour(_HAIR), latents.colour(_IRIS)
        darker = min(1.0, 0.62 * sum(skin) / sum(hair))  # hair lighter than skin hides the face from Haar
        male, redness = latents.uniform(0, 1) < 0.5, latents.uniform(0, 1)
        red = 0.15 * redness if male else 0.1 + 0.4 * redness
        taper, thickness, length = (latents.uniform(0, 1) for _ in range(3))
        bearded, beard = latents.uniform(0, 1) < 0.4, latents.uniform(0.25, 0.75)
        return cls(
            skin=skin,
            hair=(hair[0] * darker, hair[1] * darker, hair[2] * darker),
            iris=iris,
            lips=(
                skin[0] * (0.86 - 0.02 * red) + 18 * red,
                skin[1] * (0.62 - 0.2 * red),
                skin[2] * (0.66 - 0.1 * red),
            ),
            cloth=cloth,
            chin=latents.uniform(1.22, 1.42),
            taper=0.08 + 0.16 * taper if male else 0.16 + 0.16 * taper,
            eye_x=latents.uniform(0.37, 0.43),
            eye_y=latents.uniform(-0.17, -0.09),
            eye_width=latents.uniform(0.18, 0.22),
            eye_height=latents.uniform(0.085, 0.115),
            brow_y=latents.uniform(-0.42, -0.35),
            brow_arch=latents.uniform(0.1, 0.6),
            brow_thickness=0.05 + 0.025 * thickness if male else 0.035 + 0.02 * thickness,
            nose_length=latents.uniform(0.34, 0.42),
            nose_width=latents.uniform(0.13, 0.19),
            nose_height=latents.uniform(0.16, 0.26),
            mouth_y=latents.uniform(0.71, 0.8),
            mouth_width=latents.uniform(0.30, 0.40),
            lip_thickness=latents.uniform(0.055, 0.09),
            smile=latents.uniform(-0.01, 0.06),
            hairline=latents.uniform(-0.98, -0.72),
            hair_volume=latents.uniform(0.06, 0.2),
            hair_length=-0.25 + 0.35 * length if male else 0.3 + 1.4 * length,
            beard=beard if male and bearded else 0.0,
            texture=texture,
        )


class Person(NamedTuple):
    """A face and the light on it as latents; clothes and the grain of the skin stay when the face turns."""

    latents: Float64[np.ndarray, " n"]
    cloth: Colour
    texture: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Person":
        """Invent a person from `rng`; equal generators invent equal people."""
        cloth = _Reader(rng.standard_normal(4)).colour(_CLOTH)
        return cls(rng.standard_normal(_LATENTS), cloth, int(rng.integers(2**31)))

    def turned(self, other: "Person", degrees: float) -> "Person":
        """Turn this person towards another: at 0 degrees this one's face and light, at 90 the other's.

        With independent normal latents, cos(a) x + sin(a) y has the distribution of x whatever a is.
        """
        angle = np.deg2rad(degrees)
        return self._replace(latents=np.cos(angle) * self.latents + np.sin(angle) * other.latents)

    def traits_and_light(self) -> tuple[Identity, tuple[float, float, float]]:
        """Read the traits and the direction towards the light (u, v, towards the camera) off the latents."""
        latents = _Reader(self.latents)
        who = Identity.read(latents, self.cloth, self.texture)
        side = latents.uniform(-1, 1)
        light = float(np.sign(side)) * (0.15 + 0.45 * abs(side)), latents.uniform(-0.6, -0.25), 1.0
        return who, light
