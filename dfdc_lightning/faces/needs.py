"""What a preparation is going to take of the network and of the disk, said before it starts."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.video.sources import Video

_RATE = 10e6  # bytes per second, for the time that is said


def needs(videos: Sequence[Video], workers: int, preparation: FacePreparation, out: Path) -> str:
    """Say in one line what fetching these videos takes; say nothing where they are all on this machine.

    Args:
        videos: Those that are going to be opened.
        workers: How many are on this disk at once.
        preparation: Gives the size of a clip.
        out: The cache's folder, which exists.

    Raises:
        UserError: When the disk has no room for the clips.
    """
    clips = len(videos) * preparation.frames * 3 * preparation.size**2
    free = shutil.disk_usage(out).free
    if clips > free:
        raise UserError(
            f"out={out} has {_bytes(free)} free, but {len(videos)} clips take {_bytes(clips)}: make room, "
            "name another place, or ask for fewer with per_label="
        )
    fetched = sum(video.bytes for video in videos)
    if not fetched:
        return ""
    at_once = workers * max(video.bytes for video in videos)
    return (
        f"fetching {len(videos)} videos: {_bytes(fetched)} over the network, about "
        f"{_duration(fetched / _RATE)} at {_bytes(int(_RATE))}/s; on disk at once {_bytes(at_once)} "
        f"of videos, in the end {_bytes(clips)} of clips ({_bytes(free)} free)\n"
    )


def _bytes(n: int) -> str:
    return f"{n / 1e9:.1f} GB" if n >= 1e9 else f"{n / 1e6:.0f} MB"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{max(1, round(seconds / 60))} min"
