"""A head drawn once into a texture: skin on a height field under a light, hair, eyes and mouth in a few states.

Coordinates are face units: (0, 0) is the middle of the face, 1 half its width, v grows downwards.
"""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from dfdc_lightning.video.demo.identity import Colour, Identity

LEFT, TOP, RIGHT, BOTTOM = -1.5, -1.75, 1.5, 1.95  # what the texture shows
EYE_STATES = (1.0, 0.55, 0.08)  # open, half, shut
MOUTH_STATES = (0.0, 0.35, 0.7, 1.0)

Plane = Float32[np.ndarray, "h w"]
Image = Float32[np.ndarray, "h w 3"]


def _step(edge: Plane, softness: float) -> Plane:
    """1 where `edge` is positive, 0 where negative, a ramp of width `softness` between."""
    return np.clip(edge / softness + 0.5, 0, 1).astype(np.float32)


def _bump(u: Plane, v: Plane, radius_u: float, radius_v: float) -> Plane:
    return np.exp(-((u / radius_u) ** 2) - (v / radius_v) ** 2).astype(np.float32)


def _paint(image: Image, colour: Colour | Image, cover: Plane) -> None:
    """Lay `colour` over `image` in place, as opaque as `cover` (0-1) says."""
    image += cover[..., None] * (np.asarray(colour, np.float32) - image)


class Head:
    """Textures of one person's head under one light.

    Args:
        who: The person.
        light: Direction towards the light (u, v, towards the camera); need not be of length 1.
        unit: Pixels of the texture per face unit.
    """

    def __init__(self, who: Identity, light: tuple[float, float, float], unit: float) -> None:
        self.who, self.unit = who, unit
        height, width = round((BOTTOM - TOP) * unit), round((RIGHT - LEFT) * unit)
        self._u = (LEFT + (np.arange(width, dtype=np.float32) + 0.5) / unit)[None, :].repeat(height, 0)
        self._v = (TOP + (np.arange(height, dtype=np.float32) + 0.5) / unit)[:, None].repeat(width, 1)
        self._soft = 1.6 / unit
        self._noise = np.random.default_rng(who.texture)
        self._light = np.asarray(light, np.float32) / np.linalg.norm(light)
        self._bare, self._shade, self.alpha = self._draw_base()
        self._states: dict[tuple[int, int], UInt8[np.ndarray, "h w 3"]] = {}

    def image(self, eyes: int, mouth: int) -> UInt8[np.ndarray, "h w 3"]:
        """The RGB texture with the eyes and the mouth in the given states (indices of EYE_STATES, MOUTH_STATES).

        Where `alpha` is 0 the colour means nothing.
        """
        if (eyes, mouth) not in self._states:
            image = self._bare.copy()
            for (top, bottom), draw in (((-0.75, 0.3), self._draw_eyes), ((0.45, 1.2), self._draw_mouth)):
                rows = slice(round((top - TOP) * self.unit), round((bottom - TOP) * self.unit))
                state = EYE_STATES[eyes] if draw == self._draw_eyes else MOUTH_STATES[mouth]
                draw(image[rows], self._u[rows], self._v[rows], self._shade[rows], state)
            self._states[eyes, mouth] = np.clip(image, 0, 255).astype(np.uint8)
        return self._states[eyes, mouth]

    def _radius(self, grow: float) -> Plane:
        """Below 1 inside the outline of the face, grown by `grow` face units above the eyes."""
        who = self.who
        tall = np.where(self._v < 0, 1.28 + grow, who.chin)
        wide = 1 + grow - who.taper * np.clip(self._v / who.chin, 0, 1) ** 1.5
        return np.sqrt((self._u / wide) ** 2 + (self._v / tall) ** 2).astype(np.float32)

    def _relief(self, radius: Plane) -> Plane:
        """Height of the face towards the camera, in face units."""
        who, u, v, side = self.who, self._u, self._v, np.abs(self._u)
        relief = 0.9 * np.sqrt(np.clip(1 - radius**2, 0.02, 1))
        tip = who.nose_length
        ridge = np.clip((v - who.eye_y) / (tip - who.eye_y), 0, 1) * (v < tip + 0.02)
        relief += who.nose_height * 0.8 * np.exp(-((u / (0.75 * who.nose_width)) ** 2)) * ridge
        relief += who.nose_height * 0.7 * _bump(u, v - tip, 1.1 * who.nose_width, 0.12)
        relief += 0.05 * _bump(side - who.nose_width, v - tip - 0.03, 0.08, 0.08)
        relief -= 0.13 * _bump(side - who.eye_x, v - who.eye_y + 0.02, 0.25, 0.17)
        relief += 0.05 * _bump(side - who.eye_x, v - who.brow_y, 0.3, 0.1)
        relief += 0.07 * _bump(side - 0.52, v - 0.3, 0.22, 0.2)
        relief += 0.05 * _bump(u, v - who.mouth_y, 0.3, 0.16)
        relief += 0.07 * _bump(u, v - who.chin + 0.28, 0.22, 0.16)
        return relief.astype(np.float32)

    def _lit(self, relief: Plane) -> Plane:
        """Brightness of a matt surface (ambient and Lambert), 1 where it faces the camera."""
        relief = cv2.GaussianBlur(relief, (0, 0), max(0.02 * self.unit, 0.6))
        slope_v, slope_u = np.gradient(relief, 1 / self.unit)
        towards = self._light[2] - slope_u * self._light[0] - slope_v * self._light[1]
        facing = np.clip(towards / np.sqrt(1 + slope_u**2 + slope_v**2), 0, None)
        return ((0.42 + 0.58 * facing / self._light[2]) * (0.94 + 0.06 * np.clip(relief, 0, 1))).astype(
            np.float32
        )

    def _grain(self, grain_u: float, grain_v: float) -> Plane:
        """Smooth noise of unit deviation with blobs of the given size in face units."""
        height, width = self._u.shape
        cells = (max(int((BOTTOM - TOP) / grain_v), 2), max(int((RIGHT - LEFT) / grain_u), 2))
        noise = self._noise.standard_normal(cells).astype(np.float32)
        return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)

    def _draw_base(self) -> tuple[Image, Plane, Plane]:
        who, u, v, side = self.who, self._u, self._v, np.abs(self._u)
        radius = self._radius(0)
        shade = self._lit(self._relief(radius))
        image = np.empty((*u.shape, 3), np.float32)
        image[:] = who.skin
        image *= (1 + 0.02 * self._grain(0.12, 0.12) + 0.015 * self._grain(0.03, 0.03))[..., None]
        flush = 0.25 * _bump(side - 0.52, v - 0.32, 0.25, 0.2) + 0.2 * _bump(
            u, v - who.nose_length, 0.18, 0.12
        )
        _paint(image, (who.skin[0], who.skin[1] * 0.72, who.skin[2] * 0.72), flush)
        image *= (1 - 0.3 * _bump(side - who.eye_x + 0.05, v - who.eye_y, 0.24, 0.17))[..., None]
        nostrils = _bump(side - 0.55 * who.nose_width, v - who.nose_length - 0.09, 0.055, 0.035)
        image *= (1 - 0.55 * nostrils - 0.16 * _bump(u, v - who.nose_length - 0.15, 0.13, 0.05))[..., None]
        beard = (
            who.beard
            * _step(v - 0.5 + 0.45 * (side - 0.2).clip(0), 0.3)
            * (1 + 0.25 * self._grain(0.03, 0.06))
        )
        _paint(
            image,
            tuple(0.5 * (h + 0.35 * s) for h, s in zip(who.hair, who.skin, strict=True)),
            beard.clip(0, 0.9),
        )
        image *= shade[..., None]
        alpha = _step((1 - radius), self._soft)
        self._draw_ears(image, alpha, radius)
        self._draw_hair(image, alpha, radius)
        return image, shade, alpha

    def _draw_ears(self, image: Image, alpha: Plane, radius: Plane) -> None:
        ears = _step(1 - np.hypot((np.abs(self._u) - 0.98) / 0.13, (self._v - 0.08) / 0.27), self._soft * 5)
        behind = ears * (1 - alpha)
        _paint(image, tuple(0.72 * c for c in self.who.skin), behind)
        alpha += behind

    def _draw_hair(self, image: Image, alpha: Plane, radius: Plane) -> None:
        who, u, v, side = self.who, self._u, self._v, np.abs(self._u)
        crown = self._radius(who.hair_volume)
        line = who.hairline + 0.25 * u**2 + 2.2 * (side - 0.55).clip(0) ** 1.6 + 0.03 * self._grain(0.08, 0.5)
        line = np.minimum(line, who.hair_length)
        cap = _step(line - v, 0.07) * _step(1 - crown, 0.05)
        locks = (1 - alpha) * _step(1 + 1.3 * who.hair_volume - side, 0.08) * _step(who.hair_length - v, 0.12)
        locks *= _step(side - 0.55, 0.1) * (v > 0) if who.hair_length > 0.2 else 0
        temples = _step(side - 0.86 + 0.05 * self._grain(0.1, 0.4), 0.08) * _step(who.hair_length - v, 0.1)
        temples *= _step(1 - crown, 0.05) * (v > who.hairline)
        cover = np.maximum(np.maximum(cap, locks), temples)
        angle = np.arctan2(v + 1.0, u) * 40
        strands = np.interp(angle % 251, np.arange(251), self._noise.standard_normal(251)).astype(np.float32)
        volume = self._lit(0.8 * np.sqrt(np.clip(1 - (0.85 * crown) ** 2, 0.05, 1)))
        colour = np.asarray(who.hair, np.float32) * (volume * (1 + 0.16 * strands))[..., None]
        _paint(
            image, colour, np.maximum(cover, 1 - alpha)
        )  # no rim of skin shines through where hair thins out
        np.maximum(alpha, cover, out=alpha)

    def _draw_eyes(self, image: Image, u: Plane, v: Plane, shade: Plane, opening: float) -> None:
        who, side = self.who, np.abs(u)
        x = (side - who.eye_x) / who.eye_width
        bow = np.clip(1 - x**2, 0, None)
        upper = who.eye_y + 0.045 - (who.eye_height * 1.5) * bow * opening - 0.02 * x
        lower = who.eye_y + 0.045 + 0.045 * bow - 0.02 * x
        inside = _step(np.minimum(v - upper, lower - v), self._soft) * (np.abs(x) < 1)
        white = np.asarray((222, 214, 206), np.float32) * (shade * (0.9 - 0.3 * x**2))[..., None]
        _paint(image, white, inside)
        gaze = u - np.sign(u) * who.eye_x
        from_iris = np.hypot(gaze, v - who.eye_y + 0.01)
        _paint(image, who.iris, inside * _step(0.1 - from_iris, self._soft * 1.5))
        _paint(image, (12, 10, 10), inside * _step(0.048 - from_iris, self._soft * 1.5))
        _paint(image, (250, 250, 250), inside * _bump(gaze - 0.035, v - who.eye_y + 0.045, 0.022, 0.022))
        lashes = np.exp(-(((v - upper) / 0.026) ** 2)) * (np.abs(x) < 1.08) * 0.85
        crease = 0.3 * np.exp(-(((v - upper + 0.075) / 0.025) ** 2)) * (np.abs(x) < 1)
        under = 0.3 * np.exp(-(((v - lower) / 0.02) ** 2)) * (np.abs(x) < 1)
        _paint(image, (26, 18, 16), np.maximum(np.maximum(lashes, crease), under))
        self._draw_brows(image, u, v)

    def _draw_brows(self, image: Image, u: Plane, v: Plane) -> None:
        who, x = self.who, np.abs(u) - self.who.eye_x
        middle = who.brow_y + who.brow_arch * (x - 0.06) ** 2 - 0.03 * x
        thickness = who.brow_thickness * np.clip(1.1 - 1.2 * (x + 0.05), 0.4, 1)
        brows = np.exp(-(((v - middle) / thickness) ** 4)) * _step(0.27 - np.abs(x + 0.01), 0.1)
        _paint(image, tuple(0.6 * c for c in who.hair), 0.9 * brows)

    def _draw_mouth(self, image: Image, u: Plane, v: Plane, shade: Plane, opening: float) -> None:
        who = self.who
        x = u / (who.mouth_width * (1 - 0.12 * opening))
        bow = np.clip(1 - x**2, 0, None)
        middle = who.mouth_y - who.smile * x**2
        top = middle - who.lip_thickness * bow**0.7 * (1 - 0.25 * np.exp(-((x / 0.15) ** 2)))
        gap = 0.2 * opening * bow
        bottom = middle + gap + 1.3 * who.lip_thickness * bow**0.6
        inside = np.abs(x) < 1
        lips = _step(np.minimum(v - top, bottom - v), self._soft) * inside
        sheen = 0.95 + 0.2 * np.exp(-(((v - bottom + 0.6 * who.lip_thickness) / 0.03) ** 2))
        _paint(image, np.asarray(who.lips, np.float32) * (shade * sheen)[..., None], 0.85 * lips)
        hole = _step(np.minimum(v - middle, middle + gap - v), self._soft) * inside * (opening > 0)
        _paint(image, (52, 18, 20), hole)
        _paint(image, (225, 220, 210), hole * _step(middle + 0.07 - v, self._soft) * (np.abs(x) < 0.8))
        seam = np.exp(-(((v - middle) / 0.018) ** 2)) * inside * (0.75 if opening == 0 else 0.35)
        _paint(image, (60, 24, 24), seam)
        image *= (1 - 0.12 * _bump(u, v - bottom - 0.06, 0.2, 0.04))[..., None]
