"""One person's boxes over time → square crops that neither jitter nor lose the face."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8


def crop_boxes(
    boxes: Float32[np.ndarray, "t 4"], margin: float, smoothing: float
) -> Int64[np.ndarray, "t 4"]:
    """Place square crops around one person's face, in whole source pixels; they may reach beyond the image.

    The square's side is the longer side of the box and `margin` of it on each side. Side and centre are
    averaged over time, the side three times as widely: a face moves, but hardly changes its size. Where the
    averaged square would cut off a part of the box it is moved back just as far as needed.

    Args:
        boxes: x0, y0, x1, y1 of the face in each frame, in time order.
        margin: Share of the box added on each side.
        smoothing: Standard deviation of the averaging in frames; 0 follows every box exactly.
    """
    corners = boxes.astype(np.float64)
    sides = np.maximum(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    side = np.maximum(_averaged(sides[:, None], 3 * smoothing)[:, 0] * (1 + 2 * margin), sides)
    side = np.maximum(np.round(side), 2)
    slack = (side[:, None] - (corners[:, 2:] - corners[:, :2])) / 2
    centres += np.clip(_averaged(centres, smoothing) - centres, -slack, slack)
    start = np.round(centres - side[:, None] / 2)
    return np.concatenate([start, start + side[:, None]], axis=1).astype(np.int64)


def crops(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]], boxes: Int64[np.ndarray, "t 4"], size: int
) -> UInt8[np.ndarray, "t 3 s s"]:
    """Cut out one square of each image and bring it to `size`, without aliasing.

    What lies outside the image repeats its border.
    """
    return np.stack([_crop(image, box, size) for image, box in zip(images, boxes, strict=True)])


def in_crops(
    points: Float32[np.ndarray, "t n 2"], boxes: Int64[np.ndarray, "t 4"], size: int
) -> Float32[np.ndarray, "t n 2"]:
    """Turn points of the source images into pixels of the crops that `crops` cuts out of them."""
    sides = (boxes[:, 2] - boxes[:, 0])[:, None, None]
    return np.asarray((points - boxes[:, None, :2]) * (size / sides), np.float32)


def _crop(
    image: UInt8[np.ndarray, "h w 3"], box: Int64[np.ndarray, " 4"], size: int
) -> UInt8[np.ndarray, "3 s s"]:
    height, width = image.shape[:2]
    x0, y0, x1, y1 = (int(edge) for edge in box)
    left, right = np.clip((x0, x1), 0, width)
    top, bottom = np.clip((y0, y1), 0, height)
    if left == right or top == bottom:  # wholly outside: only the nearest border is left to repeat
        left, right = min(left, width - 1), min(left, width - 1) + 1
        top, bottom = min(top, height - 1), min(top, height - 1) + 1
    square = cv2.copyMakeBorder(
        image[top:bottom, left:right],
        max(0, -y0), max(0, y1 - height), max(0, -x0), max(0, x1 - width),
        cv2.BORDER_REPLICATE,
    )  # fmt: skip
    way = cv2.INTER_AREA if square.shape[0] > size else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(square, (size, size), interpolation=way).transpose(2, 0, 1))


def _averaged(values: Float64[np.ndarray, "t k"], deviation: float) -> Float64[np.ndarray, "t k"]:
    """Average over time with Gaussian weights; at both ends over the frames that exist."""
    if deviation <= 0:
        return values
    time = np.arange(len(values))
    weights = np.exp(-0.5 * ((time[:, None] - time[None, :]) / deviation) ** 2)
    return np.asarray((weights / weights.sum(axis=1, keepdims=True)) @ values)
