"""Whole preparation: CPU and wall time per video, faces found, a second run, and a worker's memory.

    PYTHONPATH=. python benchmarks/prepare.py --model face_detection_yunet_2023mar.onnx

Prints a table and writes benchmarks/prepare.json. The floor is OpenCV grabbing every frame and retrieving
ten, which alone gives no face yet. CPU figures are the least user + system time over the repeats, the ways
taking turns; wall figures are of whole `prepare` calls, start of the workers included.
"""

import argparse
import contextlib
import io
import json
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from benchmarks.frames import N, cpu_seconds, grab_all_retrieve_ten, sets
from dfdc_lightning.demo.folder import render
from dfdc_lightning.faces.build import prepare
from dfdc_lightning.faces.cache import FaceCache
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.face_detector import FaceDetector, Haar
from dfdc_lightning.faces.split import ByGroup
from dfdc_lightning.faces.worker import VideoTask
from dfdc_lightning.faces.yunet import YuNet
from dfdc_lightning.machine import cores
from dfdc_lightning.video.frames import read_frames
from dfdc_lightning.video.sources import FolderSource

ROOT = Path(__file__).parents[1]


class Line(NamedTuple):
    """One kind of video, in seconds per video."""

    kind: str
    videos: int
    floor: float  # CPU
    ours: float  # CPU: frames, faces, crops, clip file
    ratio: float
    wall: float  # of a run with two workers
    wall_ratio: float  # over the floor


def folder_of(paths: list[Path], n: int, out: Path) -> FolderSource:
    """A source of n videos that are links to these, half REAL and half FAKE."""
    out.mkdir(parents=True)
    names = [f"v{number:04d}.mp4" for number in range(n)]
    for number, name in enumerate(names):
        (out / name).symlink_to(paths[number % len(paths)].absolute())
    lines = [f"{name},{('REAL', 'FAKE')[number % 2]}" for number, name in enumerate(names)]
    (out / "labels.csv").write_text("\n".join(["video,label", *lines]) + "\n")
    return FolderSource(out)


def quietly(*arguments: Any, **settings: Any) -> float:
    """Wall time of `prepare` with its table kept from the screen."""
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        prepare(*arguments, **settings)
    return time.perf_counter() - began


def whole(kind: str, paths: list[Path], faces: FacePreparation, folder: Path, repeats: int, n: int) -> Line:
    """CPU of ours and of the floor, and the wall time of two workers, per video."""
    cache = FaceCache(folder / kind)
    floors, ours = [], []
    for path in paths:
        rounds = [
            (
                cpu_seconds(lambda path=path: grab_all_retrieve_ten(path)),  # type: ignore[misc]
                cpu_seconds(lambda path=path: cache.write_clip(path.stem, faces(path))),  # type: ignore[misc]
            )
            for _ in range(repeats)
        ]
        floors.append(min(floor for floor, _ in rounds))
        ours.append(min(own for _, own in rounds))
    n = max(n, len(paths))
    source = folder_of(paths, n, folder / f"{kind} links")
    splitter = ByGroup(fractions={"train": 1.0})
    wall = quietly(source, faces, splitter, folder / f"{kind} cache", per_label=None, workers=2) / n
    floor, own = sum(floors) / len(paths), sum(ours) / len(paths)
    return Line(kind, len(paths), floor, own, own / floor, wall, wall / floor)


def found(face_detector: FaceDetector, paths: list[Path]) -> tuple[int, int, float]:
    """Frames with a face, frames, and CPU milliseconds per frame."""
    images = [image for path in paths for image in read_frames(path, N).images]
    face_detector.find(images[0])
    n = 0

    def look() -> None:
        nonlocal n
        n = sum(len(face_detector.find(image)) > 0 for image in images)

    seconds = cpu_seconds(look)
    return n, len(images), 1000 * seconds / len(images)


def second_run(folder: Path, model: Path | None, n: int) -> dict[str, float]:
    """Seconds of the whole command over finished caches of n videos and of four."""
    films = sorted(render(folder / "films", 4, (160, 120), 0.8).glob("*/*.mp4"))
    seconds = {}
    for size in (4, n):
        source, out = folder_of(films, size, folder / f"{size} links"), folder / f"{size} cache"
        quietly(source, FacePreparation(YuNet(model), size=64), ByGroup(), out, per_label=None, workers=2)
        command = [sys.executable, ROOT / "prepare_faces.py", "size=64", "per_label=null"]
        command += [f"face_detector.model={model}"] if model else []
        times = []
        for _ in range(3):
            began = time.perf_counter()
            where = [f"source.path={source.path}", f"out={out}"]
            subprocess.run([*command, *where], check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - began)
        seconds[f"{size} videos"] = min(times)
    return seconds


def memory(source: FolderSource, faces: FacePreparation, out: Path) -> list[float]:
    """Peak memory of this process in MB after each video."""
    look = VideoTask(source, faces, out, faces.profile)
    peaks = []
    for video in next(source.stages()).videos:
        assert look(video).status == "ok"
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--model", type=Path, help="YuNet's ONNX file; left out, it is looked for in shared")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small and few videos, to see that it works")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    there = arguments.shared / "models" / "face_detection_yunet_2023mar.onnx"
    model = arguments.model or (there if there.is_file() else None)
    cv2.setNumThreads(1)
    faces, quick = FacePreparation(YuNet(model)), arguments.quick
    versions = {"opencv": cv2.__version__, "python": platform.python_version()}
    report: dict[str, Any] = {"cores": cores(), "versions": versions}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds = sets(arguments.shared, folder / "sets", quick)
        heads = f"{'floor':>7} {'ours':>7} {'ratio':>6} {'2 workers':>10} {'over floor':>10}"
        print(f"{'seconds per video':28} {heads}")
        report["whole"] = []
        for kind, paths in kinds.items():
            line = whole(kind, paths, faces, folder, arguments.repeats, 4 if quick else 20)
            report["whole"].append(line._asdict())
            print(
                f"{line.kind:28} {line.floor:7.2f} {line.ours:7.2f} {line.ratio:6.2f} "
                f"{line.wall:10.2f} {line.wall_ratio:10.2f}",
                flush=True,
            )
        report["faces"] = {}
        for kind in [kind for kind in kinds if "sample" in kind]:
            for by in (faces.face_detector, Haar()):
                n, total, milliseconds = found(by, kinds[kind])
                report["faces"][f"{kind}, {by.name}"] = {
                    "found": n,
                    "frames": total,
                    "ms": milliseconds,
                }
                print(f"{kind}: {by.name} finds a face in {n} of {total} frames, {milliseconds:.1f} ms each")
        n = 40 if quick else 1000
        report["second run"] = seconds = second_run(folder / "second", model, n)
        print("second run: " + ", ".join(f"{value:.2f} s over {what}" for what, value in seconds.items()))
        films = sorted(render(folder / "long", 2, (1920, 1080), 2.0, 30.0).glob("*/*.mp4"))
        mixed = 9 * films + [path for path in kinds.get("DFDC sample", []) if not quick]
        source = folder_of(mixed, 10 if quick else 200, folder / "long links")
        with ProcessPoolExecutor(1, get_context("forkserver")) as one_worker:
            peaks = one_worker.submit(memory, source, faces, folder / "long cache").result()
        first, last = peaks[min(25, len(peaks)) - 1], peaks[-1]
        report["memory MB"] = {"after 25": first, f"after {len(peaks)}": last}
        print(f"memory of a worker at 1080p: {first:.0f} MB after 25 videos, {last:.0f} after {len(peaks)}")
        shutil.rmtree(folder / "long cache")
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
