"""CPU time of ten frames: ours over the peers' best, OpenCV grabbing every frame and retrieving ten.

    PYTHONPATH=. python benchmarks/frames.py --repeats 3

Prints a table and writes benchmarks/frames.json. Each figure is the least user + system time of this process
over the repeats, the ways taking turns; "equal" says that our pixels are those of decoding every frame with
PyAV.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np

from dfdc_lightning.demo.folder import render
from dfdc_lightning.machine import cores
from dfdc_lightning.video.frames import evenly_spaced, read_frames

N = 10


class Line(NamedTuple):
    """One video's figures; times in CPU seconds."""

    kind: str
    video: str
    frames: int
    floor: float
    all_frames: float
    ours: float
    ratio: float
    equal: bool


def grab_all_retrieve_ten(path: Path) -> list[np.ndarray]:
    """The floor: OpenCV decodes everything, ten frames become arrays."""
    capture = cv2.VideoCapture(str(path))
    wanted = set(evenly_spaced(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), N))
    images, number = [], 0
    while capture.grab():
        if number in wanted:
            images.append(capture.retrieve()[1])
        number += 1
    capture.release()
    return images


def decode_everything(path: Path) -> list[np.ndarray]:
    """The reference: PyAV decodes everything with one thread, ten frames become arrays."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = sum(1 for packet in container.demux(video=0) if packet.size)
    wanted = set(evenly_spaced(frames, N))
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        decoded = enumerate(container.decode(video=0))
        return [frame.to_ndarray(format="rgb24") for number, frame in decoded if number in wanted]


def cpu_seconds(work: Callable[[], Any]) -> float:
    """User and system time of this process, all threads."""
    before = time.process_time()
    work()
    return time.process_time() - before


def measure(kind: str, path: Path, repeats: int) -> Line:
    """Time the three ways on one video, one after the other, several times."""
    ways = (grab_all_retrieve_ten, decode_everything, read_frames)
    rounds = [[cpu_seconds(lambda way=way: way(path)) for way in ways] for _ in range(repeats)]  # type: ignore[misc]
    floor, everything, ours = (min(times) for times in zip(*rounds, strict=True))
    read, reference = read_frames(path, N), decode_everything(path)
    equal = all(np.array_equal(a, b) for a, b in zip(read.images, reference, strict=True))
    return Line(kind, path.name, read.n_frames, floor, everything, ours, ours / floor, equal)


def sets(shared: Path, folder: Path, quick: bool) -> dict[str, list[Path]]:
    """Videos by kind: rendered 1080p clips, and the samples where they are."""
    found = {}
    for preset in ("veryfast", "medium"):
        for gop in (250, 30):
            kind = f"rendered {preset} gop {gop}"
            size, seconds = ((640, 360), 2.0) if quick else ((1920, 1080), 10.0)
            out = render(folder / kind, 2, size, seconds, 30.0, gop, preset=preset)
            found[kind] = sorted(out.glob("*/*.mp4"))[: 1 if quick else 2]
    for kind, pattern in (
        ("DFDC sample", "dfdc_sample/*/*.mp4"),
        ("FF++ c40 sample", "ffpp_c40_sample/**/*.mp4"),
    ):
        found[kind] = sorted((shared / "data").glob(pattern))[: 1 if quick else None]
    return {kind: paths for kind, paths in found.items() if paths}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[1].parent / "shared")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small and few videos, to see that it works")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    lines = []
    print(f"{'kind':28} {'video':18} {'frames':>6} {'floor':>7} {'all':>7} {'ours':>7} {'ratio':>6}  equal")
    with tempfile.TemporaryDirectory() as folder:
        for kind, paths in sets(arguments.shared, Path(folder), arguments.quick).items():
            for path in paths:
                line = measure(kind, path, arguments.repeats)
                lines.append(line)
                times = f"{line.floor:6.2f}s {line.all_frames:6.2f}s {line.ours:6.2f}s {line.ratio:6.2f}"
                print(f"{line.kind:28} {line.video:18} {line.frames:6} {times}  {line.equal}", flush=True)
    ratios = {}
    for kind in dict.fromkeys(line.kind for line in lines):
        chosen = [line for line in lines if line.kind == kind]
        ratios[kind] = sum(line.ours for line in chosen) / sum(line.floor for line in chosen)
        print(f"{kind:28} ours / floor = {ratios[kind]:.2f}")
    versions = {"av": av.__version__, "opencv": cv2.__version__, "python": platform.python_version()}
    report: dict[str, Any] = {"ratios": ratios, "cores": cores(), "versions": versions}
    arguments.out.write_text(
        json.dumps({**report, "videos": [line._asdict() for line in lines]}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
