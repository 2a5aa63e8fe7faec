"""Self-blended images: the FAKE of a pair is made from its REAL, so that REAL videos alone are needed.

Two views of one frame differ a little in colour, sharpness and place; one is blended into the other through a
mask of the face, which leaves what every face swap leaves: a border, and two statistics in one picture
(Shiohara and Yamasaki, 2022). Here a clip is one draw: all its frames are blended alike, or drift from one
draw to a second one over time.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from dfdc_lightning import checks
from dfdc_lightning.augment import Frame, generator
from dfdc_lightning.faces.outline import N_POINTS, outlines

_GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 luma
_MASK_SIDE = (
    112  # pixels of a mask before it is brought to the size of the faces: its borders are soft anyway
)
_NODES = 6  # of the elastic grid, per side
_PARTS = ("face", "face", "lower", "middle")  # what of the outline is blended; the whole face twice as often


class _View(NamedTuple):
    """How a view differs from the frame it is made from."""

    colour: Float64[np.ndarray, "3 4"]
    reduction: float  # factor by which its pixels are reduced and enlarged again; 1 leaves them
    sharpening: float  # share of what a blur takes away that is added instead


class _Draw(NamedTuple):
    """All that is random in the blend of one clip."""

    changed: str  # "source" or "target": which of the two views is made
    views: tuple[_View, _View]  # at the clip's beginning and at its end
    shift: Float64[np.ndarray, "2 2"]  # of the source, in shares of the side: at the beginning and the end
    scale: float
    part: str
    points: Float64[np.ndarray, "n 2"]  # jitter of the outline, in shares of the face's height
    elastic: Float32[np.ndarray, "m m 2"]  # displacement of the mask, in pixels of the mask
    softness: tuple[int, int]  # kernels of the two blurs, odd
    strength: float


class SelfBlend:
    """Makes the two clips of a pair from one REAL clip: its target view (REAL) and the blend (FAKE).

    Args:
        strength: How much of the source is seen inside the mask; one of them is drawn per clip. 0 makes the
            FAKE a copy of its REAL: the control.
        colour: Widest shift of a channel (share of full intensity), and change of brightness, contrast and
            saturation around 1.
        reduction: Highest factor by which a view loses pixels; one in two views is sharpened instead.
        shift: Furthest that the source is moved, as a share of the side, and half of it vertically.
        scale: Widest deviation of the source's size from 1.
        elastic: Standard deviation of the mask's displacement, as a share of its side.
        drift: How far a clip's blend moves over time towards a second draw; 0 keeps one draw for all frames.
    """

    def __init__(
        self,
        strength: Sequence[float] = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0),
        colour: float = 0.08,
        reduction: float = 4.0,
        shift: float = 0.03,
        scale: float = 0.05,
        elastic: float = 0.03,
        drift: float = 0.0,
    ) -> None:
        self.strength = [checks.number("blend.strength", float(value), 0, 1) for value in strength]
        if not self.strength:
            checks.between("blend.strength", strength)
        self.colour = checks.number("blend.colour", colour, 0, 1)
        self.reduction = checks.number("blend.reduction", reduction, 1)
        self.shift = checks.number("blend.shift", shift, 0, 0.5)
        self.scale = checks.number("blend.scale", scale, 0, 0.5)
        self.elastic = checks.number("blend.elastic", elastic, 0, 0.5)
        self.drift = checks.number("blend.drift", drift, 0, 1)

    def real(self, faces: UInt8[np.ndarray, "t 3 h w"], seeds: Sequence[int]) -> UInt8[np.ndarray, "t 3 h w"]:
        """Make the REAL of a pair: the view that the blend is made into.

        Args:
            faces: The REAL clip.
            seeds: Whole numbers from which all draws of the pair follow.
        """
        draw = self._draw(generator(seeds, "blend"))
        if draw.changed != "target":
            return faces
        frames = [_changed(_channels_last(face), *_at(draw, t)) for t, face in self._times(faces)]
        return np.stack(frames).transpose(0, 3, 1, 2)

    def fake(
        self,
        faces: UInt8[np.ndarray, "t 3 h w"],
        landmarks: Float32[np.ndarray, "t 5 2"],
        seeds: Sequence[int],
    ) -> UInt8[np.ndarray, "t 3 h w"]:
        """Make the FAKE of a pair.

        Args:
            faces: The REAL clip.
            landmarks: Those of its frames, in pixels of the faces.
            seeds: The same as those of `real`.
        """
        draw = self._draw(generator(seeds, "blend"))
        side = faces.shape[-1]
        hulls = outlines(landmarks) * np.float32(_MASK_SIDE / side)
        fakes = np.empty((len(faces), side, side, 3), np.uint8)
        for index, (t, face) in enumerate(self._times(faces)):
            frame, shift = _channels_last(face), draw.shift[0] + t * (draw.shift[1] - draw.shift[0])
            other = _changed(frame, *_at(draw, t))
            target, source = (frame, other) if draw.changed == "source" else (other, frame)
            if draw.strength == 0:
                fakes[index] = target
                continue
            moved = cv2.warpAffine(
                source,
                _place(draw.scale, shift * side, side),
                (side, side),
                borderMode=cv2.BORDER_REFLECT_101,
            )
            weight = cv2.resize(_mask(hulls[index], draw), (side, side), interpolation=cv2.INTER_LINEAR)
            fakes[index] = cv2.blendLinear(moved, target, weight, 1 - weight)
        return fakes.transpose(0, 3, 1, 2)

    def mask(
        self, landmarks: Float32[np.ndarray, "5 2"], side: int, seeds: Sequence[int]
    ) -> Float32[np.ndarray, "s s"]:
        """Show where a frame of `fake` takes the source, 0 to 1."""
        hull = outlines(landmarks[None])[0] * np.float32(_MASK_SIDE / side)
        mask = _mask(hull, self._draw(generator(seeds, "blend")))
        return np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)

    def _times(self, faces: UInt8[np.ndarray, "t 3 h w"]) -> list[tuple[float, UInt8[np.ndarray, "3 h w"]]]:
        """Say for each frame how far between the clip's two draws it lies."""
        last = max(len(faces) - 1, 1)
        return [(self.drift * index / last, face) for index, face in enumerate(faces)]

    def _draw(self, rng: np.random.Generator) -> _Draw:
        views = (self._view(rng), self._view(rng))
        same_kind = views[1]._replace(reduction=views[0].reduction, sharpening=views[0].sharpening)
        kernels = rng.integers(2, 8, 2)
        grid = rng.normal(0, self.elastic * _MASK_SIDE, (_NODES, _NODES, 2)).astype(np.float32)
        return _Draw(
            changed=("source", "target")[rng.integers(2)],
            views=(views[0], same_kind),
            shift=rng.uniform(-1, 1, (2, 2)) * (self.shift, self.shift / 2),
            scale=float(rng.uniform(1 - self.scale, 1 + self.scale)),
            part=_PARTS[rng.integers(len(_PARTS))],
            points=rng.normal(0, 0.02, (N_POINTS, 2)),
            elastic=cv2.resize(grid, (_MASK_SIDE, _MASK_SIDE), interpolation=cv2.INTER_CUBIC),
            softness=(2 * int(kernels[0]) + 1, 2 * int(kernels[1]) + 1),
            strength=self.strength[rng.integers(len(self.strength))],
        )

    def _view(self, rng: np.random.Generator) -> _View:
        brightness, contrast, saturation = rng.uniform(1 - self.colour, 1 + self.colour, 3)
        shifts = 255 * rng.uniform(-self.colour, self.colour, 3)
        mixing = saturation * np.eye(3) + (1 - saturation) * _GREY
        matrix = np.empty((3, 4))
        matrix[:, :3] = brightness * contrast * mixing
        matrix[:, 3] = brightness * 128 * (1 - contrast) + shifts
        reduction, sharpening = float(rng.uniform(1, self.reduction)), float(rng.uniform(0.2, 0.8))
        return _View(matrix, reduction, 0.0) if rng.random() < 0.5 else _View(matrix, 1.0, sharpening)


def _at(draw: _Draw, t: float) -> tuple[Float64[np.ndarray, "3 4"], float, float]:
    """Compute the view of a moment, 0 at the first draw and 1 at the second."""
    first, second = draw.views
    return first.colour + t * (second.colour - first.colour), first.reduction, first.sharpening


def _changed(frame: Frame, colour: Float64[np.ndarray, "3 4"], reduction: float, sharpening: float) -> Frame:
    """Change colour, then sharpness: fewer pixels, or edges raised by what a blur takes away."""
    frame = cv2.transform(frame, colour)
    if reduction > 1:
        side = frame.shape[0]
        fewer = max(round(side / reduction), 8)
        small = cv2.resize(frame, (fewer, fewer), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)  # type: ignore[no-any-return]
    return cv2.addWeighted(frame, 1 + sharpening, cv2.GaussianBlur(frame, (3, 3), 0), -sharpening, 0)  # type: ignore[no-any-return]


def _place(scale: float, shift: Float64[np.ndarray, " 2"], side: int) -> Float64[np.ndarray, "2 3"]:
    """Write the map that scales around the middle and moves by `shift` pixels."""
    middle = side / 2 * (1 - scale)
    return np.array([[scale, 0, middle + shift[0]], [0, scale, middle + shift[1]]])


def _mask(hull: Float32[np.ndarray, "n 2"], draw: _Draw) -> Float32[np.ndarray, "m m"]:
    """Fill the drawn part of the outline, bend its border, and make it soft on the inner side alone."""
    top, bottom = hull[:, 1].min(), hull[:, 1].max()
    points = hull + draw.points * (bottom - top)
    if draw.part != "face":  # what lies above (and, of the middle part, below) is drawn in to a line
        above = top + (0.45 if draw.part == "lower" else 0.18) * (bottom - top)
        below = bottom if draw.part == "lower" else top + 0.72 * (bottom - top)
        points[:, 1] = np.clip(points[:, 1], above, below)
    mask = np.zeros((_MASK_SIDE, _MASK_SIDE), np.float32)
    corners = cv2.convexHull(np.clip(points, -_MASK_SIDE, 2 * _MASK_SIDE).astype(np.int32))
    cv2.fillConvexPoly(mask, corners, 1.0)
    mask = cv2.remap(mask, _PLACES + draw.elastic, None, cv2.INTER_LINEAR)
    first, second = draw.softness
    inner = np.clip(2 * cv2.blur(mask, (first, first)) - 1, 0, 1)
    return np.asarray(cv2.blur(inner, (second, second)) * draw.strength, np.float32)


_PLACES = np.stack(np.meshgrid(np.arange(_MASK_SIDE), np.arange(_MASK_SIDE)), -1).astype(np.float32)


def _channels_last(planes: UInt8[np.ndarray, "3 h w"]) -> Frame:
    return cv2.merge(list(planes))  # type: ignore[no-any-return]
