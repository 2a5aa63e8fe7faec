"""Frames to a real H.264 file: what cameras and DFDC give, keyframes as rare as asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2

from dfdc_lightning import atomic
from dfdc_lightning.demo.brush import Picture


class Codec(NamedTuple):
    """How a video is encoded.

    `gop` is the distance of keyframes in frames (DFDC: 250), `crf` the quality (0 lossless to 51 worst) and
    `preset` the speed of x264.
    """

    fps: Fraction
    gop: int = 250
    crf: int = 23
    preset: str = "veryfast"


class Encoder:
    """An open mp4 file; see `encoding`."""

    def __init__(self, container: av.container.OutputContainer, size: tuple[int, int], codec: Codec) -> None:
        options = {
            "preset": codec.preset,
            "crf": str(codec.crf),
            "g": str(codec.gop),
            "keyint_min": str(min(codec.gop, 25)),
            "sc_threshold": "0",
            # The bytes must depend neither on the number of cores nor on chance: x264's macroblock tree reads
            # memory nobody wrote, so that equal frames give other files from one time to the next.
            "threads": "1",
            "mbtree": "0",
        }
        self._container = container
        self._stream = container.add_stream("libx264", rate=codec.fps, options=options)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"

    def write(self, frame: Picture) -> None:
        """Append one RGB frame."""
        planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420)  # three times as fast as FFmpeg's own conversion
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))

    def flush(self) -> None:
        """Write what the encoder still holds back."""
        self._container.mux(self._stream.encode())


@contextmanager
def encoding(path: Path, size: tuple[int, int], codec: Codec) -> Iterator[Encoder]:
    """Open an H.264 mp4 file that appears whole when the block ends well, and not at all otherwise.

    Args:
        path: The file to make.
        size: Width and height in pixels, both even.
        codec: Rate and quality.
    """
    with atomic.replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        encoder = Encoder(container, size, codec)
        yield encoder
        encoder.flush()
