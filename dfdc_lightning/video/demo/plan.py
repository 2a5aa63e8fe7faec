"""What is rendered: the settings of a demo data set, checked, and the names of its videos."""

import hashlib
import math
from typing import NamedTuple

from dfdc_lightning.errors import UserError

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_SMALLEST = 96  # pixels; below that no detector sees a face


class DemoError(UserError):
    """Settings or a folder that cannot be used, in one sentence."""


class Plan(NamedTuple):
    """Everything that decides which files are rendered and every pixel in them; see `folder.render`."""

    videos: int = 240
    size: tuple[int, int] = (320, 240)
    seconds: float | int = 2.0
    fps: float | int = 15.0
    gop: int = 250
    crf: int = 23
    preset: str = "veryfast"
    fakes_per_real: int = 1
    parts: int = 1
    seed: int = 0

    @property
    def frames(self) -> int:
        """Frames of each video."""
        return round(self.seconds * self.fps)

    def check(self) -> None:
        """Refuse what cannot be rendered.

        Raises:
            DemoError: Naming the setting, its value and what is possible.
        """
        width, height = self.size
        if width % 2 or height % 2 or min(self.size) < _SMALLEST:
            raise DemoError(
                f"size={width}x{height}: give even numbers from {_SMALLEST} on, 320x240 for example"
            )
        for name, least in {
            "videos": 2,
            "gop": 1,
            "fakes_per_real": 1,
            "parts": 1,
            "crf": 0,
            "seed": 0,
        }.items():
            if getattr(self, name) < least:
                raise DemoError(f"{name}={getattr(self, name)}: give {least} or more")
        if self.crf > 51:
            raise DemoError(f"crf={self.crf}: give 0 (lossless) to 51 (worst)")
        if self.preset not in _PRESETS:
            raise DemoError(f"preset={self.preset}: give one of {', '.join(_PRESETS)}")
        if not 1 <= self.fps <= 240:
            raise DemoError(f"fps={self.fps:g}: give 1 to 240")
        if not math.isfinite(self.seconds) or self.frames < 1:
            raise DemoError(
                f"seconds={self.seconds:g} at fps={self.fps:g} is not one frame: give more seconds"
            )

    def groups(self) -> list[list[str]]:
        """Names of the videos of every group: the REAL one, then its FAKEs.

        A REAL comes with `fakes_per_real` FAKEs; the last group has fewer where `videos` ends before.
        """
        each = 1 + self.fakes_per_real
        return [
            [self._name(group, member) for member in range(min(each, self.videos - group * each))]
            for group in range(-(-self.videos // each))
        ]

    def _name(self, group: int, member: int) -> str:
        """Ten letters like DFDC's, which tell nothing about the label."""
        digest = hashlib.sha256(f"{self.seed}/{group}/{member}".encode()).digest()
        return "".join(_LETTERS[byte % 26] for byte in digest[:10])
