"""Paints evidence over a grey face in one map of colours, from dark blue (none) to dark red (most)."""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

_OPACITY = 0.5
_GREY = 0.75  # how bright the face under the colours is
_BRIGHTEST = (
    99.5  # percentile of the evidence that gets the last colour: one hot place must not darken all others
)
FEWEST_PLACES = 5  # of a map: one of 2 × 2 places tints the whole face and says nothing


def brightest(evidence: Float32[np.ndarray, "*n h w"]) -> float:
    """Find the evidence that gets the last colour, when these maps are shown side by side."""
    return float(max(np.percentile(evidence, _BRIGHTEST), 1e-12)) if evidence.size else 1.0


def readable(maps: Float32[np.ndarray, "*n h w"]) -> bool:
    """Say whether maps have places enough to tell anything."""
    return bool(maps.shape[-1] * maps.shape[-2] >= FEWEST_PLACES)


def overlay(
    face: UInt8[np.ndarray, "3 h w"], evidence: Float32[np.ndarray, "h2 w2"], full: float
) -> UInt8[np.ndarray, "h w 3"]:
    """Paint evidence over a face.

    Args:
        face: RGB crop.
        evidence: Non-negative map of any size; stretched over the face.
        full: The evidence that gets the last colour.
    """
    size = face.shape[2], face.shape[1]
    strength = np.clip(cv2.resize(evidence / np.float32(full), size, interpolation=cv2.INTER_CUBIC), 0, 1)
    grey = _GREY * face.astype(np.float32).mean(axis=0)[..., None]
    painted = grey * (1 - _OPACITY) + colours(strength) * _OPACITY
    return np.asarray(painted.round(), np.uint8)


def colours(strength: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w 3"]:
    """Give strengths from 0 to 1 their colours, RGB (Turbo; Mikhailov, 2019)."""
    index = np.asarray((strength * 255).round(), np.uint8)
    return np.asarray(cv2.applyColorMap(index, cv2.COLORMAP_TURBO)[..., ::-1], np.float32)


def scale() -> list[str]:
    """List the colours from no evidence to most, as CSS writes them: a legend for painted faces."""
    steps = colours(np.linspace(0, 1, 9, dtype=np.float32)[None])[0]
    return ["#" + "".join(f"{round(float(value)):02x}" for value in colour) for colour in steps]


def row(images: list[UInt8[np.ndarray, "h w 3"]], gap: int = 4) -> UInt8[np.ndarray, "h w2 3"]:
    """Put images of one size side by side on white."""
    space = np.full((images[0].shape[0], gap, 3), 255, np.uint8)
    return np.concatenate([part for image in images for part in (space, image)][1:], axis=1)
