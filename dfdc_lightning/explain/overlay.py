"""Paints evidence over a face: orange speaks for FAKE, blue for REAL, lighter is stronger."""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

# Dark to light, so that strength is seen without colour too (after Okabe and Ito's palette, 2008).
_FAKE = np.array([[150, 50, 0], [213, 94, 0], [255, 226, 120]], np.float32)
_REAL = np.array([[0, 60, 120], [0, 114, 178], [170, 230, 255]], np.float32)
_OPACITY = 0.85
_BRIGHTEST = (
    99.5  # percentile of the evidence that gets the lightest colour: one hot place must not darken all others
)


def brightest(evidence: Float32[np.ndarray, "*n h w"]) -> float:
    """The evidence that gets the lightest colour, when these maps are shown side by side."""
    return float(max(np.percentile(evidence, _BRIGHTEST), 1e-12)) if evidence.size else 1.0


def overlay(
    face: UInt8[np.ndarray, "3 h w"], evidence: Float32[np.ndarray, "h2 w2"], full: float, fake: bool
) -> UInt8[np.ndarray, "h w 3"]:
    """Paint evidence over a face.

    Args:
        face: RGB crop.
        evidence: Non-negative map of any size; stretched over the face.
        full: The evidence that gets the lightest colour.
        fake: Whether it speaks for FAKE.
    """
    size = face.shape[2], face.shape[1]
    strength = np.clip(cv2.resize(evidence / np.float32(full), size, interpolation=cv2.INTER_CUBIC), 0, 1)[
        ..., None
    ]
    dark, middle, light = _FAKE if fake else _REAL
    colour = np.where(
        strength < 0.5, dark + (middle - dark) * 2 * strength, middle + (light - middle) * (2 * strength - 1)
    )
    image = face.transpose(1, 2, 0).astype(np.float32)
    grey = image.mean(axis=2, keepdims=True)
    opacity = _OPACITY * np.sqrt(strength)
    painted = (0.5 * image + 0.5 * grey) * (1 - opacity) + colour * opacity
    return np.asarray(painted.round(), np.uint8)


def row(images: list[UInt8[np.ndarray, "h w 3"]], gap: int = 4) -> UInt8[np.ndarray, "h w2 3"]:
    """Images of one size side by side on white."""
    space = np.full((images[0].shape[0], gap, 3), 255, np.uint8)
    return np.concatenate([part for image in images for part in (space, image)][1:], axis=1)
