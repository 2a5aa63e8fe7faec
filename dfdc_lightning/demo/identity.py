"""Who is on screen: the traits of one invented person, drawn from a random generator."""

from typing import NamedTuple

import numpy as np

from dfdc_lightning.demo.brush import Colour

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


def _between(rng: np.random.Generator, anchors: tuple[tuple[int, int, int], ...]) -> Colour:
    place = rng.uniform(0, len(anchors) - 1)
    low = int(place)
    colour = np.array(anchors[low]) + (place - low) * (np.array(anchors[low + 1]) - np.array(anchors[low]))
    red, green, blue = np.clip(colour + rng.normal(0, 5, 3), 8, 252)
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
    def draw(cls, rng: np.random.Generator) -> "Identity":
        """Invent a person from `rng`; equal generators invent equal people."""
        skin = _between(rng, _SKIN)
        hair = _between(rng, _HAIR)
        darker = min(1.0, 0.62 * sum(skin) / sum(hair))  # hair lighter than skin hides the face from Haar
        male = bool(rng.random() < 0.5)
        red = rng.uniform(0.1, 0.5) if not male else rng.uniform(0.0, 0.15)
        return cls(
            skin=skin,
            hair=(hair[0] * darker, hair[1] * darker, hair[2] * darker),
            iris=_between(rng, _IRIS),
            lips=(
                skin[0] * (0.86 - 0.02 * red) + 18 * red,
                skin[1] * (0.62 - 0.2 * red),
                skin[2] * (0.66 - 0.1 * red),
            ),
            cloth=_between(rng, _CLOTH),
            chin=rng.uniform(1.22, 1.42),
            taper=rng.uniform(0.16, 0.32) if not male else rng.uniform(0.08, 0.24),
            eye_x=rng.uniform(0.37, 0.43),
            eye_y=rng.uniform(-0.17, -0.09),
            eye_width=rng.uniform(0.18, 0.22),
            eye_height=rng.uniform(0.085, 0.115),
            brow_y=rng.uniform(-0.42, -0.35),
            brow_arch=rng.uniform(0.1, 0.6),
            brow_thickness=rng.uniform(0.05, 0.075) if male else rng.uniform(0.035, 0.055),
            nose_length=rng.uniform(0.34, 0.42),
            nose_width=rng.uniform(0.13, 0.19),
            nose_height=rng.uniform(0.16, 0.26),
            mouth_y=rng.uniform(0.71, 0.8),
            mouth_width=rng.uniform(0.30, 0.40),
            lip_thickness=rng.uniform(0.055, 0.09),
            smile=rng.uniform(-0.01, 0.06),
            hairline=rng.uniform(-0.98, -0.72),
            hair_volume=rng.uniform(0.06, 0.2),
            hair_length=rng.uniform(-0.25, 0.1) if male else rng.uniform(0.3, 1.7),
            beard=rng.uniform(0.25, 0.75) if male and rng.random() < 0.4 else 0.0,
            texture=int(rng.integers(2**31)),
        )
