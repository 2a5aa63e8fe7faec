"""File → n evenly spaced RGB frames of the whole video."""

from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from jaxtyping import Int64, UInt8

from dfdc_lightning.errors import UserError


class FrameError(UserError):
    """A video that does not give the frames asked for: a status for the manifest and a sentence."""

    def __init__(self, status: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.status, str(self))


class Frames(NamedTuple):
    """Frames of one video in time order, upright RGB."""

    images: list[UInt8[np.ndarray, "h w 3"]]
    indices: Int64[np.ndarray, " n"]
    width: int
    height: int
    fps: float
    n_frames: int
    seconds: float


def read_frames(path: Path, n: int = 10) -> Frames:
    """Read n evenly spaced frames, first and last included."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise FrameError("unreadable", f"{path} holds no video stream")
            stream = container.streams.video[0]
            total = sum(1 for _ in container.decode(stream))
            fps = float(stream.average_rate or 0)
        if total < n:
            raise FrameError("too_short", f"{path} has {total} frames, {n} are needed")
        indices = [(2 * i * (total - 1) + n - 1) // max(2 * (n - 1), 1) for i in range(n)]
        wanted = set(indices)
        with av.open(str(path)) as container:
            images = [
                f.to_ndarray(format="rgb24") for k, f in enumerate(container.decode(video=0)) if k in wanted
            ]
    except (av.FFmpegError, OSError) as error:
        raise FrameError("unreadable", f"{path} cannot be read as a video ({error})") from None
    height, width = images[0].shape[:2]
    return Frames(images, np.array(indices, np.int64), width, height, fps, total, total / fps if fps else 0.0)
