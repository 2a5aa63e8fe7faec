"""What `prepare_faces.py check=` finds: planted shortcuts, planted copies, and how long copies take to find.

PYTHONPATH=. python benchmarks/check.py shortcuts --worlds 20
PYTHONPATH=. python benchmarks/check.py copies --videos VIDEOS --work FOLDER   # VIDEOS by dfdc_lightning.demo
PYTHONPATH=. python benchmarks/check.py copies --videos VIDEOS --work FOLDER --model YUNET_FILE
PYTHONPATH=. python benchmarks/check.py time --clips 10000
"""

import argparse
import resource
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from dfdc_lightning.audit.duplicates import near_duplicates
from dfdc_lightning.audit.facts import SIDE, measure_facts
from dfdc_lightning.audit.shortcuts import shortcuts
from dfdc_lightning.demo.encode import Codec, encoding
from dfdc_lightning.faces.build import prepare
from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache, Row
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.face_detector import Haar
from dfdc_lightning.faces.split import ByGroup
from dfdc_lightning.faces.yunet import YuNet
from dfdc_lightning.video.sources import FolderSource

THRESHOLDS = (0.75, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98)
CAMERAS = ((1920, 1080, 30.0), (1280, 720, 25.0), (1080, 1920, 29.97))


def world(seed: int, strength: float, groups: int = 150) -> tuple[list[Row], dict[str, dict[str, float]]]:
    """Videos of `groups` scenes, a REAL and one to three FAKE each; FAKE are re-encoded where `strength` > 0.

    A scene has its camera, length, light and bit rate; each video differs from it a little. Re-encoding takes
    the share `strength` of the bytes, sets keyframes every 250 frames in half of the files and softens the
    picture.
    """
    rng = np.random.default_rng([seed, round(strength * 1000)])
    rows, looks = [], {}
    for group in range(groups):
        width, height, fps = CAMERAS[rng.integers(len(CAMERAS))]
        seconds, rate = rng.uniform(8, 12), np.exp(rng.normal(14.5, 0.5))
        light, sharp, size = rng.normal(110, 25), np.exp(rng.normal(4, 0.6)), rng.uniform(100, 400)
        for number in range(1 + rng.integers(1, 4)):
            video, fake = f"g{group}v{number}", number > 0
            change = 1 - strength if fake else 1.0
            keyframes = int(seconds * fps / (250 if fake and strength and rng.random() < 0.5 else 30)) + 1
            n_bytes = int(seconds * rate / 8 * np.exp(rng.normal(0, 0.15)) * change)
            rows.append(
                Row(
                    video, FAKE if fake else REAL, f"g{group}v0" * fake, f"g{group}", "train", "ok", "", 10,
                    width, height, fps, int(seconds * fps), round(seconds, 2), codec="h264", bytes=n_bytes,
                    keyframes=keyframes,
                )
            )  # fmt: skip
            looks[video] = {
                "face_pixels": size * np.exp(rng.normal(0, 0.05)),
                "sharpness": sharp * np.exp(rng.normal(0, 0.15)) * (1 - 0.5 * strength * fake),
                "brightness": light + rng.normal(0, 3),
            }
    return rows, looks


def shortcut_worlds(n: int) -> None:
    """Print in how many worlds a shortcut is found, by how strong it was planted."""
    print(f"{'FAKE re-encoded to':24}{'found':>10}{'median AUROC':>15}")
    for strength in (0.0, 0.1, 0.2, 0.3):
        results = [shortcuts(*world(seed, strength)) for seed in range(n)]
        found = sum(result["found"] for result in results)
        middle = np.median([result["auroc"] for result in results])
        share = "not at all (clean)" if not strength else f"{1 - strength:.0%} of the bytes"
        print(f"{share:24}{found:>6} / {n}{middle:15.3f}", flush=True)


def _cropped(frames: np.ndarray) -> np.ndarray:
    height, width = frames.shape[1:3]
    return frames[:, height // 10 : -(height // 20), width // 20 : -(width // 10)]


def _resized(frames: np.ndarray) -> np.ndarray:
    return np.stack(
        [cv2.resize(frame, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA) for frame in frames]
    )


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "re-encoded": lambda frames: frames,
    "mirrored": lambda frames: frames[:, :, ::-1],
    "cropped": _cropped,
    "resized": _resized,
    "shortened": lambda frames: frames[: max(1, len(frames) * 2 // 3)],
}


def copies(videos: Path, work: Path, n: int, model: Path | None) -> None:
    """Plant n changed copies of REAL videos; print for several thresholds how many are found, and what else.

    Where there are fewer than n REAL videos, each is copied with several changes. Two videos made from one
    are a right pair, two clips of one person are not.
    """
    source = FolderSource(videos)
    originals = [video for stage in source.stages() for video in stage.videos if video.label == REAL][:n]
    made_from, change_of = {}, {}
    folders = {name: work / "videos" / name for name in ("originals", "copies")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        around, place = divmod(number, len(originals))
        video, change = originals[place], list(CHANGES)[(number + around) % len(CHANGES)]
        name, copied = f"{place}{Path(video.path).suffix}", f"{place}-{change}.mp4"
        made_from[f"original {place}"] = place
        made_from[Path(copied).stem], change_of[Path(copied).stem] = place, change
        if not (folders["originals"] / name).exists():
            (folders["originals"] / name).symlink_to(Path(video.path).resolve())
        if not (folders["copies"] / copied).exists():
            _rewrite(Path(video.path), folders["copies"] / copied, CHANGES[change])
    names, faces = [], []
    for name, folder in folders.items():
        listed = sorted(path.name for path in folder.iterdir() if path.suffix != ".csv")
        (folder / "labels.csv").write_text("\n".join(["video,label", *(f"{v},REAL" for v in listed)]) + "\n")
        detector = YuNet(model) if model else Haar(long_side=320)
        cache = FaceCache(work / name)
        preparation = FacePreparation(detector, frames=10, size=96)
        rows = prepare(FolderSource(folder), preparation, ByGroup(), cache.root, per_label=None, labels="any")
        facts = measure_facts(cache, [row.video for row in rows if row.status == "ok"])
        names += [f"original {video}" if name == "originals" else video for video in facts.videos]
        faces += facts.faces
    seen = set(names)
    there = [copy for copy in change_of if {copy, f"original {made_from[copy]}"} <= seen]
    print(f"{len(change_of)} planted, {len(change_of) - len(there)} of them without a face in one of the two")
    pairs = near_duplicates(faces, min(THRESHOLDS))
    found = {frozenset((names[pair.a], names[pair.b])): pair.similarity for pair in pairs}
    print(f"{'threshold':>9}{'recall':>9}{'precision':>11}", *(f"{change:>12}" for change in CHANGES))
    for alike in THRESHOLDS:
        kept = {pair for pair, similarity in found.items() if similarity >= alike}
        right = sum(len({made_from[name] for name in pair}) == 1 for pair in kept)
        hit = [copy for copy in there if frozenset((copy, f"original {made_from[copy]}")) in kept]
        count, of = Counter(change_of[copy] for copy in hit), Counter(change_of[copy] for copy in there)
        shares = (f"{count[change]} / {of[change]}" for change in CHANGES)
        line = f"{alike:9.2f}{len(hit) / len(there):9.3f}{right / max(1, len(kept)):11.3f}"
        print(line, *(f"{share:>12}" for share in shares))


def _rewrite(source: Path, target: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with av.open(str(source)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        rate = container.streams.video[0].average_rate or Fraction(25)
    frames = change(frames)
    height, width = (side // 4 * 4 for side in frames.shape[1:3])
    with encoding(target, (width, height), Codec(Fraction(rate), qp=34)) as encoder:
        for frame in frames[:, :height, :width]:
            encoder.write(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2YUV_I420))


def time_copies(n: int) -> None:
    """Print how long n clips of ten made-up faces are compared, all with all; a common face is in all."""
    rng = np.random.default_rng(0)
    common = rng.normal(0, 40, SIDE * SIDE)
    faces = [
        (128 + common + rng.normal(0, 30, SIDE * SIDE) + rng.normal(0, 10, (10, SIDE * SIDE)))
        .clip(0, 250)
        .astype(np.uint8)
        for _ in range(n)
    ]
    start = time.perf_counter()
    pairs = near_duplicates([*faces, *(clip + 5 for clip in faces[:100])])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{n} clips, 100 copies: {len(pairs)} pairs in {time.perf_counter() - start:.0f} s, {peak:.1f} GiB")


def main() -> None:
    """Run one of the three measurements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["shortcuts", "copies", "time"])
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--videos", type=Path, help="for copies: DFDC parts, or rendered ones")
    parser.add_argument("--work", type=Path, help="for copies: where copies and caches go")
    parser.add_argument("--model", type=Path, help="for copies: YuNet's file; without it Haar finds faces")
    parser.add_argument("--clips", type=int, default=10_000)
    options = parser.parse_args()
    start = time.perf_counter()
    if options.what == "shortcuts":
        shortcut_worlds(options.worlds)
    elif options.what == "time":
        time_copies(options.clips)
    elif options.videos is None or options.work is None:
        parser.error("copies needs --videos and --work")
    else:
        copies(options.videos, options.work, 200, options.model)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
