"""The parts of a face that move: eyes and mouth, painted over a bare head in any state of opening.

Coordinates are face units: (0, 0) is the middle of the face, 1 half its width, v grows downwards.
"""

import numpy as np

from dfdc_lightning.video.demo.brush import Image, Plane, bump, dimmed, paint, step, stroke
from dfdc_lightning.video.demo.identity import Identity


def paint_eyes(
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


def paint_mouth(
    image: Image, u: Plane, v: Plane, shade: Plane, who: Identity, opening: float, soft: float
) -> None:
    """Paint lips, and teeth where the mouth is open, in place; arguments as for `paint_eyes`."""
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
