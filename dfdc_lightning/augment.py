"""The study's augmentation on uint8 clips: drawn once per clip, applied to all its frames, in OpenCV calls.

Each transform separates what is random (`draw`) from what is done (`apply`), so that a test can give
torchvision the same parameters. A frame is handled as (h, w, 3), the layout OpenCV is fast in and
channels-last networks want, and goes through the whole recipe before the next one, so that it stays in the
processor's cache.
"""

import math
import zlib
from collections.abc import Sequence
from itertools import repeat
from typing import Any, NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from dfdc_lightning import checks
from dfdc_lightning.errors import UserError

Frame = UInt8[np.ndarray, "h w 3"]
Range = Sequence[float]

_ATTEMPTS = 10  # tries at a box that fits, as many as torchvision's
_GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 luma, the grey of OpenCV and torchvision


class Box(NamedTuple):
    """A rectangle in pixels."""

    top: int
    left: int
    height: int
    width: int


@runtime_checkable
class Transform(Protocol):
    """One step of a recipe."""

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Any:
        """Draw the parameters of one clip; None leaves the clip as it is."""

    def apply(self, frame: Frame, params: Any) -> UInt8[np.ndarray, "h2 w2 3"]:
        """Change one frame as drawn; the frame itself may be changed."""


@runtime_checkable
class LandmarkTransform(Protocol):
    """A step that must know where eyes, nose and mouth are; it stands before steps that move them."""

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Any:
        """See `Transform.draw`."""

    def apply_at(self, frame: Frame, params: Any, landmarks: Float32[np.ndarray, "5 2"]) -> Frame:
        """Change one frame as drawn, given its landmarks; the frame itself may be changed."""


class Augment:
    """A recipe: transforms one after the other, in the order given.

    Each draws from a generator of its own, seeded with its name: a recipe with one more step draws everything
    else as before, so that two experiments differ in that step alone.

    Args:
        **steps: Transforms by a name of the caller's; None is a step left out, so that another configuration
            can put something in its place. No step at all leaves clips as they are. Steps that need landmarks
            come first.

    Raises:
        UserError: When such a step comes after another one.
    """

    def __init__(self, **steps: Transform | LandmarkTransform | None) -> None:
        given = {name: step for name, step in steps.items() if step is not None}
        self.at_landmarks = {
            name: step for name, step in given.items() if isinstance(step, LandmarkTransform)
        }
        self.steps: dict[str, Transform] = {
            name: step for name, step in given.items() if not isinstance(step, LandmarkTransform)
        }
        if list(given)[: len(self.at_landmarks)] != list(self.at_landmarks):
            raise UserError(
                f"the augmentation steps {', '.join(given)} must begin with {', '.join(self.at_landmarks)}, "
                "which needs the landmarks of faces that no other step has moved"
            )

    def __call__(
        self,
        faces: UInt8[np.ndarray, "t 3 h w"],
        seeds: Sequence[int],
        landmarks: Float32[np.ndarray, "t 5 2"] | None = None,
    ) -> UInt8[np.ndarray, "t 3 h2 w2"]:
        """Augment one clip. The result is a view with the channels last in memory.

        Args:
            faces: The clip.
            seeds: Whole numbers from which, with a step's name, all its draws follow.
            landmarks: Of the clip, for steps that need them.
        """
        if self.at_landmarks:
            assert landmarks is not None
            faces = self._at_landmarks(faces, seeds, landmarks)
        first = _channels_last(faces[0])
        plan = []
        for name, transform in self.steps.items():
            params = transform.draw(generator(seeds, name), *first.shape[:2])
            if params is not None:
                plan.append((transform, params))
                first = transform.apply(first, params)
        clip = np.empty((len(faces), *first.shape), np.uint8)
        clip[0] = first
        for index, planes in enumerate(faces[1:], start=1):
            frame = _channels_last(planes)
            for transform, params in plan:
                frame = transform.apply(frame, params)
            clip[index] = frame
        return clip.transpose(0, 3, 1, 2)

    def _at_landmarks(
        self,
        faces: UInt8[np.ndarray, "t 3 h w"],
        seeds: Sequence[int],
        landmarks: Float32[np.ndarray, "t 5 2"],
    ) -> UInt8[np.ndarray, "t 3 h w"]:
        frames = [_channels_last(planes) for planes in faces]
        for name, step in self.at_landmarks.items():
            params = step.draw(generator(seeds, name), *frames[0].shape[:2])
            if params is not None:
                frames = [
                    step.apply_at(*each) for each in zip(frames, repeat(params), landmarks, strict=False)
                ]
        return np.stack([frame.transpose(2, 0, 1) for frame in frames])


def generator(seeds: Sequence[int], step: str) -> np.random.Generator:
    """Make the generator that a step of a recipe draws one clip's parameters from."""
    return np.random.default_rng([*seeds, zlib.crc32(step.encode())])


class HorizontalFlip:
    """Mirror left and right.

    Args:
        p: Probability.
    """

    def __init__(self, p: float) -> None:
        self.p = checks.number("p", p, 0, 1)

    def draw(self, rng: np.random.Generator, height: int, width: int) -> bool | None:
        """Draw whether to mirror: True, or None to leave the clip as it is."""
        return True if rng.random() < self.p else None

    def apply(self, frame: Frame, params: bool) -> Frame:
        """Mirror a frame left to right."""
        return cv2.flip(frame, 1)  # type: ignore[no-any-return]


class GaussianBlur:
    """Blur with a Gaussian of random width.

    Args:
        kernel: Size of the kernel in pixels, odd.
        sigma: Lowest and highest standard deviation in pixels, uniform in between.
    """

    def __init__(self, kernel: int, sigma: Range) -> None:
        self.kernel = checks.whole("kernel", kernel, 1, odd=True)
        self.sigma = checks.between("sigma", sigma)

    def draw(self, rng: np.random.Generator, height: int, width: int) -> float:
        """Draw the standard deviation in pixels."""
        return float(rng.uniform(*self.sigma))

    def apply(self, frame: Frame, params: float) -> Frame:
        """Blur; the border is mirrored without repeating its last pixel, as in torchvision."""
        line = cv2.getGaussianKernel(self.kernel, params)
        return cv2.sepFilter2D(frame, -1, line, line, borderType=cv2.BORDER_REFLECT_101)  # type: ignore[no-any-return]


class Colour(NamedTuple):
    """Factors of one clip; 1 changes nothing."""

    brightness: float
    contrast: float
    saturation: float


class ColourJitter:
    """Change brightness, contrast and saturation by random factors around 1.

    torchvision shuffles the order of the three. Up to rounding and clipping the order does not matter:
    brightness scales, saturation keeps the grey value, contrast blends with the image's mean grey, so all six
    orders are the same affine map of a pixel, applied here in one step:
    b·c·(s·x + (1-s)·grey(x)) + b·(1-c)·mean(grey).

    Args:
        brightness: Widest deviation of the factor from 1, uniform on both sides.
        contrast: The same.
        saturation: The same.
    """

    def __init__(self, brightness: float, contrast: float, saturation: float) -> None:
        self.deviations = (
            checks.number("brightness", brightness, 0, 1),
            checks.number("contrast", contrast, 0, 1),
            checks.number("saturation", saturation, 0, 1),
        )

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Colour:
        """Draw one factor each for brightness, contrast and saturation."""
        return Colour(*(float(rng.uniform(1 - deviation, 1 + deviation)) for deviation in self.deviations))

    def apply(self, frame: Frame, params: Colour) -> Frame:
        """Apply one affine map per frame; the mean grey is each frame's own, as in torchvision."""
        b, c, s = params
        matrix = np.empty((3, 4))
        matrix[:, :3] = b * c * (s * np.eye(3) + (1 - s) * _GREY)
        matrix[:, 3] = b * (1 - c) * cv2.mean(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))[0]
        return cv2.transform(frame, matrix)  # type: ignore[no-any-return]


class RandomResizedCrop:
    """Cut out a random part and bring it to size.

    Args:
        size: Side of the square result in pixels.
        scale: Lowest and highest share of the area to keep.
        ratio: Lowest and highest width / height of the part, uniform on a logarithmic scale.
    """

    def __init__(self, size: int | None, scale: Range, ratio: Range) -> None:
        self.size = size
        self.scale, self.ratio = checks.between("scale", scale, 1.0), checks.between("ratio", ratio)

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Box:
        """Draw a part that lies inside; the whole image when ten tries do not fit."""
        box = _random_box(rng, height, width, self.scale, self.ratio, whole=True)
        return box or Box(0, 0, height, width)

    def apply(self, frame: Frame, params: Box) -> UInt8[np.ndarray, "h2 w2 3"]:
        """Cut and resize: bilinear upwards, by area downwards (no aliasing)."""
        size = self.size or frame.shape[0]
        how = cv2.INTER_AREA if min(params.height, params.width) > size else cv2.INTER_LINEAR
        part = np.s_[params.top : params.top + params.height, params.left : params.left + params.width]
        return cv2.resize(frame[part], (size, size), interpolation=how)  # type: ignore[no-any-return]


class Jpeg:
    """Compress as JPEG (4:2:0) and decompress.

    Args:
        quality: Lowest and highest quality, both included.
    """

    def __init__(self, quality: Sequence[int]) -> None:
        low, high = checks.between("quality", [float(value) for value in quality], 100.0)
        self.quality = (int(low), int(high))

    def draw(self, rng: np.random.Generator, height: int, width: int) -> int:
        """Draw the quality; both ends of the range are possible."""
        return int(rng.integers(self.quality[0], self.quality[1], endpoint=True))

    def apply(self, frame: Frame, params: int) -> Frame:
        """Compress a frame with libjpeg and decompress it again."""
        _, data = cv2.imencode(
            ".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, params]
        )
        return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)  # type: ignore[no-any-return]


class RandomErasing:
    """Black out a random rectangle, the same in every frame.

    Args:
        p: Probability.
        scale: Lowest and highest share of the area.
        ratio: Lowest and highest height / width, uniform on a logarithmic scale.
    """

    def __init__(self, p: float, scale: Range, ratio: Range) -> None:
        self.p = checks.number("p", p, 0, 1)
        self.scale, self.ratio = checks.between("scale", scale, 1.0), checks.between("ratio", ratio)

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Box | None:
        """Draw the rectangle, or None; also None when ten tries do not fit."""
        if rng.random() >= self.p:
            return None
        box = _random_box(rng, width, height, self.scale, self.ratio, whole=False)
        return box and Box(box.left, box.top, box.width, box.height)  # this ratio is height / width

    def apply(self, frame: Frame, params: Box) -> Frame:
        """Set to 0, before normalisation: black, not the mean colour."""
        frame[params.top : params.top + params.height, params.left : params.left + params.width] = 0
        return frame


def _random_box(
    rng: np.random.Generator,
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    whole: bool,
) -> Box | None:
    """Draw a box by area and width / height, or None; `whole` lets it reach from edge to edge."""
    for _ in range(_ATTEMPTS):
        area = height * width * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w < width + whole and 0 < h < height + whole:
            top = int(rng.integers(0, height - h, endpoint=True))
            left = int(rng.integers(0, width - w, endpoint=True))
            return Box(top, left, h, w)
    return None


def _channels_last(planes: UInt8[np.ndarray, "3 h w"]) -> Frame:
    return cv2.merge(list(planes))  # type: ignore[no-any-return]
