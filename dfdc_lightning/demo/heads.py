"""A head drawn once into a texture: skin on a relief under a light, and hair; eyes and mouth in some states.

Coordinates are face units: (0, 0) is the middle of the face, 1 half its width, v grows downwards.
"""

import cv2
import numpy as np

from dfdc_lightning.demo.drawing import Image, Picture, Plane, bump, dimmed, paint, step, stroke
from dfdc_lightning.demo.identity import Identity

LEFT, TOP, RIGHT, BOTTOM = -1.5, -1.75, 1.5, 1.95  # what the texture shows
EYE_STATES = (1.0, 0.55, 0.08)  # open, half, shut
MOUTH_STATES = (0.0, 0.35, 0.7, 1.0)
_EYE_ROWS, _MOUTH_ROWS = (-0.75, 0.3), (0.45, 1.2)


class Head:
    """Textures of one person's head under one light.

    `alpha` is the texture's opacity (0-1) and `unit` its pixels per face unit.

    Args:
        who: The person.
        light: Direction towards the light (u, v, towards the camera), of any length.
        unit: Pixels of the texture per face unit.
        blur: Standard deviation of the camera's blur in pixels.
    """

    def __init__(
        self, who: Identity, light: tuple[float, float, float], unit: float, blur: float = 0.0
    ) -> None:
        self.who, self.unit, self._blur = who, unit, blur
        height, width = round((BOTTOM - TOP) * unit), round((RIGHT - LEFT) * unit)
        self._u = (LEFT + (np.arange(width, dtype=np.float32) + 0.5) / unit)[None, :].repeat(height, 0)
        self._v = (TOP + (np.arange(height, dtype=np.float32) + 0.5) / unit)[:, None].repeat(width, 1)
        self._soft = 1.6 / unit
        self._random = np.random.default_rng(who.texture)
        self._light = np.asarray(light, np.float32) / np.float32(np.linalg.norm(light))
        radius = self._radius(0.0)
        self._shade = self._lit(self._relief(radius))
        self._bare = self._skin() * self._shade[..., None]
        self.alpha = step(1 - radius, self._soft)
        self._add_ears()
        self._add_hair()
        self._states: dict[tuple[int, int], Picture] = {}

    def image(self, eyes: int, mouth: int) -> Picture:
        """Draw the RGB texture with eyes and mouth in these states (indices of EYE_STATES, MOUTH_STATES).

        Where `alpha` is 0 the colour means nothing.
        """
        if (eyes, mouth) not in self._states:
            image = self._bare.copy()
            for paint_part, (top, bottom), opening in (
                (_paint_eyes, _EYE_ROWS, EYE_STATES[eyes]),
                (_paint_mouth, _MOUTH_ROWS, MOUTH_STATES[mouth]),
            ):
                rows = slice(round((top - TOP) * self.unit), round((bottom - TOP) * self.unit))
                grid = self._u[rows], self._v[rows], self._shade[rows]
                paint_part(image[rows], *grid, self.who, opening, self._soft)
            seen = cv2.GaussianBlur(image, (0, 0), self._blur) if self._blur else image
            self._states[eyes, mouth] = np.clip(seen, 0, 255).astype(np.uint8)
        return self._states[eyes, mouth]

    def _radius(self, grow: float) -> Plane:
        """Measure from the middle of the face: below 1 inside its outline, grown by `grow` above the eyes."""
        who = self.who
        tall = np.where(self._v < 0, 1.28 + grow, who.chin)
        wide = 1 + grow - who.taper * np.clip(self._v / who.chin, 0, 1) ** 1.5
        radius: Plane = np.sqrt((self._u / wide) ** 2 + (self._v / tall) ** 2).astype(np.float32)
        return radius

    def _relief(self, radius: Plane) -> Plane:
        """Model the height of the face towards the camera, in face units."""
        who, u, v, side = self.who, self._u, self._v, np.abs(self._u)
        tip = who.nose_length
        ridge = np.clip((v - who.eye_y) / (tip - who.eye_y), 0, 1) * (v < tip + 0.02)
        relief: Plane = 0.9 * np.sqrt(np.clip(1 - radius**2, 0.02, 1))
        relief += who.nose_height * 0.8 * np.exp(-((u / (0.75 * who.nose_width)) ** 2)) * ridge
        relief += who.nose_height * 0.7 * bump(u, v - tip, 1.1 * who.nose_width, 0.12)
        relief += 0.05 * bump(side - who.nose_width, v - tip - 0.03, 0.08, 0.08)
        relief -= 0.13 * bump(side - who.eye_x, v - who.eye_y + 0.02, 0.25, 0.17)
        relief += 0.05 * bump(side - who.eye_x, v - who.brow_y, 0.3, 0.1)
        relief += 0.07 * bump(side - 0.52, v - 0.3, 0.22, 0.2)
        relief += 0.05 * bump(u, v - who.mouth_y, 0.3, 0.16)
        relief += 0.07 * bump(u, v - who.chin + 0.28, 0.22, 0.16)
        return relief

    def _lit(self, relief: Plane) -> Plane:
        """Light a matt surface (ambient and Lambert), about 1 where it faces the camera."""
        relief = cv2.GaussianBlur(relief, (0, 0), max(0.02 * self.unit, 0.6))
        slope_v, slope_u = np.gradient(relief, np.float32(1 / self.unit))
        towards = self._light[2] - slope_u * self._light[0] - slope_v * self._light[1]
        facing = np.clip(towards / np.sqrt(1 + slope_u**2 + slope_v**2), 0, None)
        lit: Plane = (0.42 + 0.58 * facing / self._light[2]) * (0.94 + 0.06 * np.clip(relief, 0, 1))
        return lit

    def _grain(self, grain_u: float, grain_v: float) -> Plane:
        """Draw smooth noise of about unit deviation with blobs of the given size in face units."""
        cells = int((BOTTOM - TOP) / grain_v), int((RIGHT - LEFT) / grain_u)
        noise = self._random.standard_normal(cells).astype(np.float32)
        smooth: Plane = cv2.resize(noise, self._u.shape[::-1], interpolation=cv2.INTER_CUBIC)
        return smooth

    def _skin(self) -> Image:
        """Colour the skin as it is before any light falls on it."""
        who, u, v, side = self.who, self._u, self._v, np.abs(self._u)
        image: Image = np.empty((*u.shape, 3), np.float32)
        image[:] = who.skin
        image *= (1 + 0.02 * self._grain(0.12, 0.12) + 0.015 * self._grain(0.03, 0.03))[..., None]
        flush = 0.25 * bump(side - 0.52, v - 0.32, 0.25, 0.2) + 0.2 * bump(u, v - who.nose_length, 0.18, 0.12)
        paint(image, (who.skin[0], who.skin[1] * 0.72, who.skin[2] * 0.72), flush)
        image *= (1 - 0.3 * bump(side - who.eye_x + 0.05, v - who.eye_y, 0.24, 0.17))[..., None]
        nostrils = bump(side - 0.55 * who.nose_width, v - who.nose_length - 0.09, 0.055, 0.035)
        image *= (1 - 0.55 * nostrils - 0.16 * bump(u, v - who.nose_length - 0.15, 0.13, 0.05))[..., None]
        stubble = step(v - 0.5 + 0.45 * (side - 0.2).clip(0), 0.3) * (1 + 0.25 * self._grain(0.03, 0.06))
        paint(image, dimmed(who.hair, 0.8), (who.beard * stubble).clip(0, 0.8))
        return image

    def _add_ears(self) -> None:
        ears = step(1 - np.hypot((np.abs(self._u) - 0.98) / 0.13, (self._v - 0.08) / 0.27), self._soft * 5)
        behind = ears * (1 - self.alpha)
        paint(self._bare, dimmed(self.who.skin, 0.72), behind)
        self.alpha += behind

    def _add_hair(self) -> None:
        who, u, v, side = self.who, self._u, self._v, np.abs(self._u)
        crown = self._radius(who.hair_volume)
        line = who.hairline + 0.25 * u**2 + 2.2 * (side - 0.55).clip(0) ** 1.6 + 0.03 * self._grain(0.08, 0.5)
        cap = step(np.minimum(line, who.hair_length) - v, 0.07) * step(1 - crown, 0.05)
        temples = step(side - 0.86 + 0.05 * self._grain(0.1, 0.4), 0.08) * step(who.hair_length - v, 0.1)
        cover = np.maximum(cap, temples * step(1 - crown, 0.05) * (v > who.hairline))
        if who.hair_length > 0.2:
            locks = step(1 + 1.3 * who.hair_volume - side, 0.08) * step(side - 0.55, 0.1)
            cover = np.maximum(cover, locks * step(who.hair_length - v, 0.12) * (1 - self.alpha) * (v > 0))
        around = (np.arctan2(v + 1, u) * 40) % 251
        strands = np.interp(around, np.arange(251), self._random.standard_normal(251)).astype(np.float32)
        volume = self._lit(0.8 * np.sqrt(np.clip(1 - (0.85 * crown) ** 2, 0.05, 1)))
        colour = np.asarray(who.hair, np.float32) * (volume * (1 + 0.16 * strands))[..., None]
        paint(self._bare, colour, np.maximum(cover, 1 - self.alpha))  # or skin shines through at the rim
        np.maximum(self.alpha, cover, out=self.alpha)


def _paint_eyes(
    image: Image, u: Plane, v: Plane, shade: Plane, who: Identity, opening: float, soft: float
) -> None:
    """Paint both eyes and the brows, in place.

    Args:
        image: Skin, RGB 0-255.
        u: Face units to the right of every pixel.
        v: Face units downwards.
        shade: Brightness of the light on the skin.
        who: Whose eyes.
        opening: 0 shut to 1 open.
        soft: Width of an edge in face units.
    """
    side = np.abs(u)
    x = (side - who.eye_x) / who.eye_width
    bow = np.clip(1 - x**2, 0, None)
    upper = who.eye_y + 0.045 - (who.eye_height * 1.5) * bow * opening - 0.02 * x
    lower = who.eye_y + 0.045 + 0.045 * bow - 0.02 * x
    inside = step(np.minimum(v - upper, lower - v), soft) * (np.abs(x) < 1)
    paint(image, np.asarray((222, 214, 206), np.float32) * (shade * (0.9 - 0.3 * x**2))[..., None], inside)
    gaze = u - np.sign(u) * who.eye_x
    from_iris = np.hypot(gaze, v - who.eye_y + 0.01)
    paint(image, who.iris, inside * step(0.1 - from_iris, soft * 1.5))
    paint(image, (12, 10, 10), inside * step(0.048 - from_iris, soft * 1.5))
    paint(image, (250, 250, 250), inside * bump(gaze - 0.035, v - who.eye_y + 0.045, 0.022, 0.022))
    lashes = 0.85 * stroke(v - upper, 0.026) * (np.abs(x) < 1.08)
    folds = 0.3 * np.maximum(stroke(v - upper + 0.075, 0.025), stroke(v - lower, 0.02)) * (np.abs(x) < 1)
    paint(image, (26, 18, 16), np.maximum(lashes, folds))
    along = side - who.eye_x
    middle = who.brow_y + who.brow_arch * (along - 0.06) ** 2 - 0.03 * along
    thickness = who.brow_thickness * np.clip(1.04 - 1.2 * along, 0.4, 1)
    brows = stroke((v - middle) / thickness, 1, power=4) * step(0.27 - np.abs(along + 0.01), 0.1)
    paint(image, dimmed(who.hair, 0.6), 0.9 * brows)


def _paint_mouth(
    image: Image, u: Plane, v: Plane, shade: Plane, who: Identity, opening: float, soft: float
) -> None:
    """Paint lips, and teeth where the mouth is open, in place; arguments as for `_paint_eyes`."""
    x = u / (who.mouth_width * (1 - 0.12 * opening))
    bow = np.clip(1 - x**2, 0, None)
    inside = np.abs(x) < 1
    middle = who.mouth_y - who.smile * x**2
    top = middle - who.lip_thickness * bow**0.7 * (1 - 0.25 * stroke(x, 0.15))
    gap = 0.2 * opening * bow
    bottom = middle + gap + 1.3 * who.lip_thickness * bow**0.6
    lips = step(np.minimum(v - top, bottom - v), soft) * inside
    sheen = 0.95 + 0.2 * stroke(v - bottom + 0.6 * who.lip_thickness, 0.03)
    paint(image, np.asarray(who.lips, np.float32) * (shade * sheen)[..., None], 0.85 * lips)
    hole = step(np.minimum(v - middle, middle + gap - v), soft) * inside * (opening > 0)
    paint(image, (52, 18, 20), hole)
    paint(image, (225, 220, 210), hole * step(middle + 0.07 - v, soft) * (np.abs(x) < 0.8))
    paint(image, (60, 24, 24), stroke(v - middle, 0.018) * inside * (0.75 if opening == 0 else 0.35))
    image *= (1 - 0.12 * bump(u, v - bottom - 0.06, 0.2, 0.04))[..., None]
