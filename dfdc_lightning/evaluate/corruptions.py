"""What happens to videos between a camera and a viewer: seven corruptions, five levels each.

A corruption changes a video before any face is looked for, so that a face that can no longer be found is part
of the result. Four work on the frames that are used; `h264` and `social` go through a real encoder, because
what a codec does to a frame depends on the frames before it. All are deterministic: what is random follows
from the video's name and the corruption's alone.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import UInt8

from dfdc_lightning.errors import UserError
from dfdc_lightning.evaluate.transcode import transcode
from dfdc_lightning.results.elsewhere import LEVELS

Images = list[UInt8[np.ndarray, "h w 3"]]


@runtime_checkable
class OfFrames(Protocol):
    """A corruption of single frames."""

    def corrupted(self, images: Images, level: int, rng: np.random.Generator) -> Images:
        """Change the frames as this level does; the originals stay as they are."""


@runtime_checkable
class OfFiles(Protocol):
    """A corruption of the whole video file."""

    def transcoded(self, source: Path, folder: Path, level: int) -> Path:
        """Make a new video file inside `folder`."""


class Jpeg(NamedTuple):
    """Every frame becomes a JPEG picture (4:2:0), as in screenshots and picture-based pipelines."""

    quality: Sequence[int] = (70, 50, 30, 20, 10)

    def corrupted(self, images: Images, level: int, rng: np.random.Generator) -> Images:
        """Compress each frame and decompress it."""
        options = [cv2.IMWRITE_JPEG_QUALITY, self.quality[level - 1]]
        return [_through_jpeg(image, options) for image in images]


class Resize(NamedTuple):
    """The picture is scaled down by area and up again (bilinear); the values are shares of its side."""

    share: Sequence[float] = (0.7, 0.5, 0.35, 0.25, 0.15)

    def corrupted(self, images: Images, level: int, rng: np.random.Generator) -> Images:
        """Scale each frame down and back to its size."""
        return [_small_and_back(image, self.share[level - 1]) for image in images]


class Blur(NamedTuple):
    """Gaussian blur as by a lens out of focus; standard deviations in thousandths of the shorter side."""

    sigma: Sequence[float] = (1.0, 2.0, 3.5, 5.5, 8.0)

    def corrupted(self, images: Images, level: int, rng: np.random.Generator) -> Images:
        """Convolve each frame with the Gaussian of this level."""
        return [
            cv2.GaussianBlur(image, (0, 0), self.sigma[level - 1] * min(image.shape[:2]) / 1000)
            for image in images
        ]


class Noise(NamedTuple):
    """Gaussian noise of a sensor, new in every frame and channel; standard deviations out of 255."""

    sigma: Sequence[float] = (4.0, 8.0, 15.0, 25.0, 40.0)

    def corrupted(self, images: Images, level: int, rng: np.random.Generator) -> Images:
        """Add draws of their own to each frame, rounded and clipped to 0 to 255."""
        return [_noisy(image, self.sigma[level - 1], rng) for image in images]


class Light(NamedTuple):
    """Wrong exposure, darker or brighter by half of the videos each; the values are photographic stops.

    Intensities are made linear with the sRGB transfer function (IEC 61966-2-1), scaled, clipped and encoded.
    """

    stops: Sequence[float] = (0.5, 1.0, 1.5, 2.0, 3.0)

    def corrupted(self, images: Images, level: int, rng: np.random.Generator) -> Images:
        """Draw the direction once and expose all frames alike."""
        sign = 1 if rng.random() < 0.5 else -1
        table = _exposure(sign * self.stops[level - 1])
        return [cv2.LUT(image, table) for image in images]


class H264(NamedTuple):
    """The file is encoded again with x264; the values are constant rate factors (0 lossless, 51 worst)."""

    crf: Sequence[int] = (23, 28, 33, 38, 43)

    def transcoded(self, source: Path, folder: Path, level: int) -> Path:
        """Write the one encoded copy."""
        target = folder / "h264.mp4"
        transcode(source, target, self.crf[level - 1])
        return target


class Social(NamedTuple):
    """Two uploads in a row: scaled down and encoded, then encoded again a little coarser.

    `short_side` in pixels and `crf` of the first upload; the second adds 2 to the rate factor.
    """

    short_side: Sequence[int] = (720, 540, 480, 360, 240)
    crf: Sequence[int] = (24, 27, 30, 33, 36)

    def transcoded(self, source: Path, folder: Path, level: int) -> Path:
        """Write both uploads; the second is what a viewer gets."""
        first, second = folder / "first.mp4", folder / "second.mp4"
        transcode(source, first, self.crf[level - 1], self.short_side[level - 1])
        transcode(first, second, self.crf[level - 1] + 2)
        return second


CORRUPTIONS: Mapping[str, OfFrames | OfFiles] = {
    "jpeg": Jpeg(),
    "h264": H264(),
    "resize": Resize(),
    "blur": Blur(),
    "noise": Noise(),
    "light": Light(),
    "social": Social(),
}


class Condition(NamedTuple):
    """One corruption at one level; written "jpeg-3"."""

    corruption: str
    level: int

    def __str__(self) -> str:
        return f"{self.corruption}-{self.level}"

    @property
    def of_files(self) -> bool:
        """Whether it goes through an encoder, so that `file` does the work and not `apply`."""
        return isinstance(CORRUPTIONS[self.corruption], OfFiles)

    def apply(self, images: Images, video: str) -> Images:
        """Corrupt the frames of a video; a corruption of files leaves them as they are.

        Args:
            images: Frames in time order, RGB.
            video: The video's name, from which every random draw follows.
        """
        kind = CORRUPTIONS[self.corruption]
        if not isinstance(kind, OfFrames):
            return images
        draws = np.random.default_rng([zlib.crc32(video.encode()), zlib.crc32(self.corruption.encode())])
        return kind.corrupted(images, self.level, draws)

    @contextmanager
    def file(self, path: Path) -> Iterator[Path]:
        """Give the corrupted video file, gone after the block; a corruption of frames gives `path` itself.

        Raises:
            FrameError: When the video cannot be decoded or encoded.
        """
        kind = CORRUPTIONS[self.corruption]
        if not isinstance(kind, OfFiles):
            yield path
            return
        with TemporaryDirectory(prefix="corrupted-") as folder:
            yield kind.transcoded(path, Path(folder), self.level)


def conditions(wanted: str | Sequence[str]) -> list[Condition]:
    """List the conditions that words name: "all", a corruption ("jpeg": all its levels), a level ("jpeg-3").

    Raises:
        UserError: When a word names no corruption or no level.
    """
    words = [wanted] if isinstance(wanted, str) else list(wanted)
    found: dict[Condition, None] = {}
    for word in words:
        name, _, level = str(word).partition("-")
        if name == "all" and not level:
            found |= {Condition(each, k): None for each in CORRUPTIONS for k in LEVELS}
        elif name not in CORRUPTIONS:
            raise UserError(f"corrupt={word}: the corruption must be one of all, {', '.join(CORRUPTIONS)}")
        elif not level:
            found |= {Condition(name, k): None for k in LEVELS}
        elif level not in map(str, LEVELS):
            raise UserError(f"corrupt={word}: the level of {name} must be {LEVELS[0]} to {LEVELS[-1]}")
        else:
            found[Condition(name, int(level))] = None
    return list(found)


def _through_jpeg(image: np.ndarray, options: list[int]) -> np.ndarray:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)  # type: ignore[no-any-return]


def _small_and_back(image: np.ndarray, share: float) -> np.ndarray:
    height, width = image.shape[:2]
    small = cv2.resize(
        image, (max(1, round(width * share)), max(1, round(height * share))), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[no-any-return]


def _noisy(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(image.shape, np.float32)
    return np.clip(np.rint(image + np.float32(sigma) * noise), 0, 255).astype(np.uint8)  # type: ignore[no-any-return]


def _exposure(stops: float) -> UInt8[np.ndarray, " 256"]:
    """Tabulate what each intensity becomes when the light is doubled `stops` times."""
    encoded = np.arange(256) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    scaled = np.clip(linear * 2.0**stops, 0, 1)
    back = np.where(scaled <= 0.0031308, 12.92 * scaled, 1.055 * scaled ** (1 / 2.4) - 0.055)
    return np.rint(255 * back).astype(np.uint8)  # type: ignore[no-any-return]
