"""What rendering costs: seconds on the clock and of processor per video, on one core.

    PYTHONPATH=. python benchmarks/render.py   # 10 seconds of 1080p, and videos as the demo has them
    PYTHONPATH=. python benchmarks/render.py --preset medium

Processor time includes the encoder's. Each row renders its videos into a folder of its own.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from dfdc_lightning.demo import render
from dfdc_lightning.demo.cues import CUES


class Cost(NamedTuple):
    """Per video."""

    seconds: float
    processor: float
    megabytes: float


def cost(cue: str, videos: int, **settings: Any) -> Cost:
    """Render videos, half of them FAKE with this cue, and measure."""
    with tempfile.TemporaryDirectory() as folder:
        begun, used = time.perf_counter(), time.process_time()
        render(Path(folder), videos, cues={cue: 1.0}, workers=1, **settings)
        taken = time.perf_counter() - begun, time.process_time() - used
        size = sum(path.stat().st_size for path in Path(folder).glob("*/*.mp4"))
    return Cost(taken[0] / videos, taken[1] / videos, size / videos / 1e6)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="ultrafast", help="x264's speed (default: ultrafast)")
    preset = parser.parse_args().preset
    cv2.setNumThreads(1)
    large = {"size": (1920, 1080), "seconds": 10, "fps": 30, "codec": "libx264", "preset": preset}
    kinds = {"10 s of 1080p": (2, large), "as in the demo": (20, {"preset": preset})}
    print(f"{'videos':15} {'cue':9} {'seconds':>8} {'processor':>10} {'megabytes':>10}")
    for kind, (videos, settings) in kinds.items():
        for cue in CUES:
            found = cost(cue, videos, **settings)
            print(
                f"{kind:15} {cue:9} {found.seconds:8.2f} {found.processor:10.2f} {found.megabytes:10.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
