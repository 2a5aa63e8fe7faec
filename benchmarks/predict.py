"""From the command to the verdict: a 10-second 1080p clip, a folder of twenty, and a scan of ten minutes.

    python benchmarks/predict.py --model face_detection_yunet_2023mar.onnx

Prints a table and writes benchmarks/predict.json. It renders the clips, trains the `baseline` network for one
epoch on rendered videos (its scores are worth nothing, its size and speed are the real ones), exports it, and
then times `predict.py` as whole processes: interpreter, imports, decoding, faces, network, output. Start is
what the same imports take alone.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import av

from dfdc_lightning.demo import render
from dfdc_lightning.demo.spliced import render_spliced
from dfdc_lightning.machine import cores

ROOT = Path(__file__).parents[1]
CLIPS = 20
IMPORTS = "import hydra, av, cv2, onnxruntime, dfdc_lightning.predict.session"


class Timing(NamedTuple):
    """One kind of command: the least and the median wall time of its repeats, and the least CPU time."""

    what: str
    least: float
    median: float
    cpu: float
    target: float | None


def timed(what: str, words: list[str], repeats: int, target: float | None = None, share: int = 1) -> Timing:
    """Time whole processes; `share` divides the figures, for a time a clip."""
    walls, cpus = [], []
    for _ in range(repeats):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        run(words)
        walls.append((time.perf_counter() - started) / share)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / share)
    return Timing(what, min(walls), sorted(walls)[len(walls) // 2], min(cpus), target)


def run(words: list[str]) -> None:
    """Run one command of ours; its output is shown when it fails."""
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")


def make_models(folder: Path, face_detector: list[str]) -> tuple[Path, Path]:
    """A run of the baseline's network at full size, and its export."""
    videos = render(folder / "videos", videos=40)
    trained, exported = folder / "run", folder / "export"
    cache = folder / "cache"
    run(["prepare_faces.py", f"source.path={videos}", f"out={cache}", *face_detector])
    run([
        "train.py", "study=benchmark", "scale=scratch", "augment=none", "trainer.max_epochs=1",
        "model.trainable_layers=1", f"data.cache={cache}", f"hydra.run.dir={trained}",
    ])  # fmt: skip
    run(["-m", "dfdc_lightning.export", f"run={trained}", f"out={exported}"])
    return trained, exported / "model.onnx"


def make_clips(folder: Path) -> tuple[Path, Path]:
    """One 10-second 1080p clip, and a folder with twenty (two contents under twenty names)."""
    rendered = render(folder / "clips", videos=2, size=(1920, 1080), seconds=10.0, fps=30.0)
    contents = sorted(rendered.glob("*/*.mp4"))
    many = folder / "many"
    many.mkdir()
    for number in range(CLIPS):
        (many / f"clip{number:02d}.mp4").symlink_to(contents[number % len(contents)])
    return contents[0], many


def make_long(folder: Path) -> tuple[Path, Path]:
    """Half a minute of 1080p, and ten minutes: the same packets twenty times."""
    once, long = folder / "once.mp4", folder / "long.mp4"
    render_spliced(once, 1, None, seconds=30.0, size=(1920, 1080), fps=30.0)
    with av.open(str(once)) as template, av.open(str(long), "w") as out:
        stream = out.add_stream_from_template(template.streams.video[0])
        shift = 0
        for _ in range(20):
            end = 0
            with av.open(str(once)) as source:
                for packet in (packet for packet in source.demux(source.streams.video[0]) if packet.size):
                    packet.stream, packet.pts, packet.dts = stream, packet.pts + shift, packet.dts + shift
                    end = max(end, packet.pts + packet.duration)
                    out.mux(packet)
            shift = end
    return once, long


def peak(words: list[str]) -> int:
    """The most memory that a command holds, in MiB."""
    script = (
        "import resource, subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return int(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--model", type=Path, help="YuNet's file; without it Haar finds the faces, which is slower"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it there, to measure again")
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        lines = measure(folder, options.model, options.repeats)
    width = max(len(line.what) for line in lines)
    print(f"{'':{width}}  least s  median s   CPU s  target s")
    for line in lines:
        target = "" if line.target is None else f"{line.target:8.1f}"
        print(f"{line.what:{width}}  {line.least:7.2f}  {line.median:8.2f}  {line.cpu:6.2f}  {target}")
    machine = {"processor": platform.machine(), "cores": cores(), "python": platform.python_version()}
    result = {"machine": machine, "load": os.getloadavg(), "timings": [line._asdict() for line in lines]}
    (ROOT / "benchmarks" / "predict.json").write_text(json.dumps(result, indent=2) + "\n")


def measure(folder: Path, model: Path | None, repeats: int) -> list[Timing]:
    """All timings."""
    preparing = ["face_detector=haar"] if model is None else [f"face_detector.model={model.absolute()}"]
    face_detector = [] if model is None else preparing
    models = (folder / "run", folder / "export" / "model.onnx")
    trained, exported = models if models[1].is_file() else make_models(folder, preparing)
    clips = (sorted(folder.glob("clips/*/*.mp4"))[:1], folder / "many")
    clip, many = (clips[0][0], clips[1]) if clips[1].is_dir() else make_clips(folder)
    command = ["predict.py", *face_detector]
    start = timed("start-up (imports alone)", ["-c", IMPORTS], repeats)
    onnx = timed("one clip, ONNX", [*command, f"video={clip}", f"run={exported}"], repeats, 2.5)
    once, long = (folder / "once.mp4", folder / "long.mp4")
    once, long = (once, long) if long.is_file() else make_long(folder)
    scans = [[*command, f"video={video}", f"run={exported}", "scan=true"] for video in (once, long)]
    print(f"memory of a scan: {peak(scans[0])} MiB for 30 seconds, {peak(scans[1])} MiB for ten minutes")
    page = [*command, f"video={clip}", f"run={exported}", f"html={folder / 'verdict.html'}"]
    return [
        start,
        onnx,
        Timing(
            "one clip, ONNX, beyond start-up",
            onnx.least - start.least,
            onnx.median - start.median,
            onnx.cpu - start.cpu,
            3.0,
        ),
        timed("one clip, ONNX, with the page", page, repeats),
        timed("one clip, torch", [*command, f"video={clip}", f"run={trained}"], repeats, 12.0),
        *(
            timed(
                f"a clip of {CLIPS}, {engine}",
                [*command, f"video={many}", f"run={predictor}"],
                max(1, repeats // 2),
                1.2,
                CLIPS,
            )
            for engine, predictor in (("ONNX", exported), ("torch", trained))
        ),
        timed("ten minutes of 1080p, scan, ONNX", scans[1], 1, 180.0),
    ]


if __name__ == "__main__":
    main()
