"""What every drawing here is made with: soft edges, bumps, opaque paint, and a texture laid into a frame."""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

Colour = tuple[float | int, float | int, float | int]
Plane = Float32[np.ndarray, "h w"]
Image = Float32[np.ndarray, "h w 3"]
Picture = UInt8[np.ndarray, "h w 3"]
Plane8 = UInt8[np.ndarray, "_ _"]
Planes = UInt8[np.ndarray, "_ _"]  # I420, as encoders take it: luma above, both chromas at half size below


def step(edge: Float[np.ndarray, "h w"], softness: float) -> Plane:
    """Rise from 0 where `edge` is negative to 1 where it is positive, over a ramp of width `softness`."""
    ramp: Plane = np.clip(edge / softness + 0.5, 0, 1).astype(np.float32)
    return ramp


def bump(u: Float[np.ndarray, "h w"], v: Float[np.ndarray, "h w"], radius_u: float, radius_v: float) -> Plane:
    """Draw a Gaussian hill of height 1."""
    hill: Plane = np.exp(-((u / radius_u) ** 2) - (v / radius_v) ** 2).astype(np.float32)
    return hill


def stroke(distance: Float[np.ndarray, "h w"], width: float | int, power: int = 2) -> Plane:
    """Draw a soft line where `distance` is 0; a higher power gives harder edges."""
    line: Plane = np.exp(-((distance / width) ** power)).astype(np.float32)
    return line


def paint(image: Image, colour: Colour | Float[np.ndarray, "h w 3"], cover: Float[np.ndarray, "h w"]) -> None:
    """Lay `colour` over `image` in place, as opaque as `cover` (0-1) says."""
    image += cover[..., None].astype(np.float32) * (np.asarray(colour, np.float32) - image)


def dimmed(colour: Colour, factor: float) -> Colour:
    """Darken a colour."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def paste(
    frame: Picture, texture: UInt8[np.ndarray, "a b 3"], alpha: Float32[np.ndarray, "a b"],
    matrix: Float32[np.ndarray, "2 3"], gain: Float32[np.ndarray, "3"],
) -> None:  # fmt: skip
    """Warp a texture into a frame and blend it there, in place.

    Args:
        frame: The RGB frame.
        texture: RGB.
        alpha: Opacity of the texture, 0-1.
        matrix: Affine map from pixels of the texture to pixels of the frame.
        gain: Factor of each channel.
    """
    x0, y0, x1, y1 = extent(matrix, texture.shape, frame.shape)
    local = matrix - np.array([[0, 0, x0], [0, 0, y0]], np.float32)
    size = x1 - x0, y1 - y0
    lit = cv2.multiply(texture, (*gain.tolist(), 0.0))
    warped = cv2.warpAffine(lit, local, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    opacity = cv2.warpAffine(alpha, local, size, flags=cv2.INTER_LINEAR)
    region = frame[y0:y1, x0:x1]
    region[:] = cv2.blendLinear(warped, np.ascontiguousarray(region), opacity, 1 - opacity)


def extent(
    matrix: Float32[np.ndarray, "2 3"], texture: tuple[int, ...], frame: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """Find the left, upper, right and lower end of a texture in a frame; shapes are (h, w, …)."""
    height, width = texture[:2]
    corners = matrix @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]], np.float32)
    x0, y0 = np.maximum(np.floor(corners.min(1)).astype(int), 0).tolist()
    x1, y1 = np.minimum(np.ceil(corners.max(1)).astype(int) + 1, (frame[1], frame[0])).tolist()
    return x0, y0, x1, y1


def split(planes: Planes) -> tuple[Plane8, Plane8, Plane8]:
    """View the luma and both chromas of a frame as pictures of their own."""
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    first, second = planes[height:].reshape(2, height // 2, width // 2)
    return planes[:height], first, second
