"""Frames to a real mp4 file: what cameras and DFDC give, keyframes as rare as asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av

from dfdc_lightning import atomic
from dfdc_lightning.demo.drawing import Planes

ENCODERS = ("libx264", "mpeg4")


class Codec(NamedTuple):
    """How a video is encoded.

    The quantizer is constant and a keyframe ends every reference to earlier frames, so that what a frame
    looks like after decoding depends on no other frames than those since the last keyframe.

    Attributes:
        fps: Frames per second.
        gop: Distance of keyframes in frames (DFDC: 250).
        qp: H.264's quantizer, 0 lossless to 51 worst; MPEG-4's is as coarse.
        preset: The speed of x264.
        name: FFmpeg's name of the encoder, one of `ENCODERS`.
    """

    fps: Fraction
    gop: int = 250
    qp: int = 24
    preset: str = "ultrafast"
    name: str = "libx264"

    def options(self) -> dict[str, str]:
        """Translate the settings into FFmpeg's options."""
        if self.name == "mpeg4":
            step = str(min(max(round(2 ** ((self.qp - 12) / 6)), 1), 31))  # H.264's doubles every 6
            return {"g": str(self.gop), "qmin": step, "qmax": step, "sc_threshold": "1000000000", "bf": "0"}
        # The bytes must depend neither on the number of cores nor on chance: x264's macroblock tree reads
        # memory nobody wrote, so that equal frames give other files from one time to the next.
        return {
            "preset": self.preset,
            "qp": str(self.qp),
            "g": str(self.gop),
            "keyint_min": str(min(self.gop, 25)),
            "sc_threshold": "0",
            "mbtree": "0",
        }


class Encoder:
    """An open mp4 file; see `encoding`."""

    def __init__(self, container: av.container.OutputContainer, size: tuple[int, int], codec: Codec) -> None:
        self._container = container
        options = {**codec.options(), "threads": "1"}
        self._stream = container.add_stream(codec.name, rate=codec.fps, options=options)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"

    def write(self, planes: Planes) -> None:
        """Append one frame."""
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))

    def flush(self) -> None:
        """Write what the encoder still holds back."""
        self._container.mux(self._stream.encode())


@contextmanager
def encoding(path: Path, size: tuple[int, int], codec: Codec) -> Iterator[Encoder]:
    """Open an mp4 file that appears whole when the block ends well, and not at all otherwise.

    Args:
        path: The file to make.
        size: Width and height in pixels, both even.
        codec: Rate and quality.
    """
    with atomic.replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        encoder = Encoder(container, size, codec)
        yield encoder
        encoder.flush()
