"""Re-encode a video with H.264 as a platform does: coarser, and smaller where that is asked for."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from dfdc_lightning import atomic
from dfdc_lightning.video.frames import FrameError, decoded_upright

_KEYFRAME_EVERY = 250  # frames; x264's default
_USUAL_RATE = Fraction(30)  # frames per second where a file does not tell


def transcode(source: Path, target: Path, crf: int, short_side: int | None = None) -> None:
    """Decode every frame of a video and encode it again with x264 at a constant rate factor.

    The same file gives the same bytes every time: one thread, and no macroblock tree, which reads memory that
    nobody wrote.

    Args:
        source: Any video that FFmpeg decodes.
        target: The mp4 file to write; it appears whole or not at all.
        crf: Constant rate factor, 0 (lossless) to 51 (worst).
        short_side: Scale the picture down until its shorter side has this many pixels; None keeps the size.
            A picture that is smaller already keeps its size.

    Raises:
        FrameError: "unreadable" when the source cannot be decoded or the encoder fails.
    """
    try:
        with atomic.replacing(target) as temporary, av.open(str(temporary), "w", format="mp4") as container:
            stream: Any = None
            for image, rate in decoded_upright(source):
                image = _scaled(image, short_side)
                if stream is None:
                    stream = _stream(container, image, rate or _USUAL_RATE, crf)
                planes = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
            if stream is None:
                raise FrameError("unreadable", f"{source} holds no frame to encode")
            container.mux(stream.encode())
    except av.FFmpegError as error:
        reason = error.strerror or error
        raise FrameError("unreadable", f"{source} cannot be encoded again: {reason}") from None


def _stream(container: Any, image: np.ndarray, rate: Fraction, crf: int) -> Any:
    options = {
        "preset": "veryfast",
        "crf": str(crf),
        "g": str(_KEYFRAME_EVERY),
        "threads": "1",
        "mbtree": "0",
    }
    stream = container.add_stream("libx264", rate=rate, options=options)
    stream.height, stream.width = image.shape[:2]
    stream.pix_fmt = "yuv420p"
    return stream


def _scaled(image: np.ndarray, short_side: int | None) -> np.ndarray:
    """Scale the picture down to its new size; both sides are even, as 4:2:0 needs."""
    height, width = image.shape[:2]
    scale = 1.0 if short_side is None else min(1.0, short_side / min(height, width))
    size = tuple(max(2, 2 * round(side * scale / 2)) for side in (width, height))
    if size == (width, height):
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[no-any-return]
