"""Steps of a recipe that do to faces what videos have been through: fewer pixels, WebP, H.264."""

from collections.abc import Sequence
from typing import Any

import av
import cv2
import numpy as np
from jaxtyping import UInt8

from dfdc_lightning import checks
from dfdc_lightning.augment import Frame, Range, Transform
from dfdc_lightning.errors import UserError


class Downscale:
    """Reduce to a part of the pixels, compress, and enlarge again, as a face that was small in its video.

    Args:
        p: Probability of fewer pixels.
        scale: Lowest and highest share of the side that is left.
        codec: What compresses the reduced frame, or the whole one where it is not reduced.
    """

    def __init__(self, p: float, scale: Range, codec: Transform | None = None) -> None:
        self.p, self.scale = checks.number("p", p, 0, 1), checks.between("scale", scale, 1.0)
        self.codec = codec

    def draw(self, rng: np.random.Generator, height: int, width: int) -> tuple[float, Any]:
        """Draw the share, 1 where nothing is reduced, and the codec's own parameters."""
        share = float(rng.uniform(*self.scale)) if rng.random() < self.p else 1.0
        return share, self.codec and self.codec.draw(rng, height, width)

    def apply(self, frame: Frame, params: tuple[float, Any]) -> Frame:
        """Reduce by area, without aliasing, compress, and enlarge bilinearly."""
        share, compressed = params
        height, width = frame.shape[:2]
        if share < 1:
            size = (max(8, round(width * share)), max(8, round(height * share)))
            frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        if self.codec is not None and compressed is not None:
            frame = self.codec.apply(frame, compressed)
        return cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[no-any-return]


class WebP:
    """Compress as lossy WebP and decompress.

    Args:
        quality: Lowest and highest quality, both included.
    """

    def __init__(self, quality: Sequence[int]) -> None:
        low, high = checks.between("quality", [float(value) for value in quality], 100.0)
        self.quality = (int(low), int(high))

    def draw(self, rng: np.random.Generator, height: int, width: int) -> int:
        """Draw the quality of WebP from the whole range, ends included."""
        return int(rng.integers(self.quality[0], self.quality[1], endpoint=True))

    def apply(self, frame: Frame, params: int) -> Frame:
        """Compress a frame with libwebp and decompress it again."""
        data = _encoded(frame, "libwebp", {"quality": str(params), "compression_level": "0"})
        image = cv2.imdecode(np.frombuffer(b"".join(data), np.uint8), cv2.IMREAD_COLOR)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[: frame.shape[0], : frame.shape[1]]  # type: ignore[no-any-return]


class H264:
    """Compress with x264 and decompress; each frame is a keyframe, since a clip's frames lie a second apart.

    Args:
        crf: Lowest and highest constant rate factor, both included; 23 is x264's own, 40 that of c40 videos.
    """

    def __init__(self, crf: Sequence[int]) -> None:
        low, high = checks.between("crf", [float(value) for value in crf], 51.0)
        self.crf = (int(low), int(high))

    def draw(self, rng: np.random.Generator, height: int, width: int) -> int:
        """Draw the constant rate factor; both ends of the range are possible."""
        return int(rng.integers(self.crf[0], self.crf[1], endpoint=True))

    def apply(self, frame: Frame, params: int) -> Frame:
        """Encode a frame by itself and decode it again; sides become even, as 4:2:0 needs them."""
        data = _encoded(frame, "libx264", {"crf": str(params), "preset": "superfast", "tune": "zerolatency"})
        decoder: Any = av.CodecContext.create("h264", "r")
        decoder.thread_count = 1
        packets = [*(av.Packet(packet) for packet in data), None]
        pictures = [picture for packet in packets for picture in decoder.decode(packet)]
        image = pictures[0].to_ndarray(format="rgb24")
        return np.ascontiguousarray(image[: frame.shape[0], : frame.shape[1]])


def _encoded(frame: Frame, codec: str, options: dict[str, str]) -> list[bytes]:
    """Encode one frame by FFmpeg in 4:2:0, which needs even sides: an odd one repeats its last line."""
    height, width = frame.shape[:2]
    even = cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = even.shape[1], even.shape[0], "yuv420p"
    encoder.framerate, encoder.thread_count, encoder.options = 25, 1, options
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
    return [
        bytes(packet)
        for packet in (*encoder.encode(picture.reformat(format="yuv420p")), *encoder.encode(None))
    ]


class Choice:
    """One of several steps, drawn anew for each clip, each as likely as the others.

    Args:
        **steps: Transforms by a name of the caller's; None is a step left out.

    Raises:
        UserError: When no step is left.
    """

    def __init__(self, **steps: Transform | None) -> None:
        self.steps = {name: step for name, step in steps.items() if step is not None}
        if not self.steps:
            raise UserError("a choice of augmentation steps must have at least one that is not null")

    def draw(self, rng: np.random.Generator, height: int, width: int) -> tuple[str, Any] | None:
        """Draw a step and its parameters; None where that step leaves the clip as it is."""
        name = list(self.steps)[rng.integers(len(self.steps))]
        params = self.steps[name].draw(rng, height, width)
        return None if params is None else (name, params)

    def apply(self, frame: Frame, params: tuple[str, Any]) -> UInt8[np.ndarray, "h2 w2 3"]:
        """Apply the step that was drawn."""
        name, drawn = params
        return self.steps[name].apply(frame, drawn)
