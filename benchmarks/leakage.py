"""What a leak between splits is worth: AUROC of split=by_video against split=by_group on the same videos.

    PYTHONPATH=. python benchmarks/leakage.py               # 3 rendered worlds, about 10 minutes on 2 cores
    PYTHONPATH=. python benchmarks/leakage.py --worlds 12   # goes on to 12

A split by video lets a network learn what it is tested on: which labels the other videos of a source have.
Whether that helps or misleads depends on what the sources are like, so two kinds are measured (see KINDS).
What is done already is not done again. The worlds are others than those of the demo and of
benchmarks/claims.py, and than those on which settings were chosen. Prints a table and writes
benchmarks/leakage.json.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import stdtrit

from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache, FaceClip, Row
from dfdc_lightning.faces.split import ByGroup, ByVideo, Candidate
from dfdc_lightning.faces.split_record import record_split
from dfdc_lightning.results.run_folder import RunFolder

ROOT = Path(__file__).parents[1]
FIRST = 50  # seed of the first world
FAKES_PER_REAL, CUES = 3, "seam=1,texture=1"
FRAMES = 16  # of a video; a clip has half of them
FRACTIONS = {"train": 0.6, "val": 0.1, "test": 0.3}
WAYS = {way.name: way for way in (ByGroup, ByVideo)}


class Kind(NamedTuple):
    """What the sources of a data set are like.

    Attributes:
        words: For the table.
        halves: Whether a video is two clips, its first and its second half, or one of every second frame.
        paired: Whether a source has its REAL video and three FAKEs; otherwise every second source has its
            REAL video alone, the others one FAKE.
    """

    words: str
    halves: bool
    paired: bool


KINDS = {
    "siblings": Kind("1 REAL, 3 FAKE per source, one clip per video", halves=False, paired=True),
    "clips": Kind("1 video per source, two clips per video", halves=True, paired=False),
}


def call(*words: str) -> None:
    """Run a command of the repository.

    Raises:
        SystemExit: When it fails; the same benchmark again goes on from there.
    """
    if status := subprocess.run([sys.executable, *words], cwd=ROOT, check=False).returncode:
        raise SystemExit(f"{' '.join(words)} failed with exit code {status}")


def clips_of(clip: FaceClip, halves: bool) -> dict[str, FaceClip]:
    """The clips that a video gives, by what is added to its name."""
    if not halves:
        return {"": FaceClip(*(array[::2] for array in clip))}
    middle = len(clip.frames) // 2
    return {"a": FaceClip(*(array[:middle] for array in clip)), "b": FaceClip(*(a[middle:] for a in clip))}


def chosen(rows: list[Row], paired: bool) -> Iterator[Row]:
    """Choose the videos of a kind of data set.

    Args:
        rows: All usable videos.
        paired: See `Kind`.
    """
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    for number, group in enumerate(sorted(groups)):
        wanted = (REAL, FAKE)[number % 2]
        yield from groups[group] if paired else [row for row in groups[group] if row.label == wanted][:1]


def divide(faces: FaceCache, folder: Path, kind: Kind, way: str, seed: int) -> None:
    """Write a cache of the clips of one kind, split in one way.

    Args:
        faces: The prepared videos.
        folder: The new cache.
        kind: Which videos, and how they become clips.
        way: A key of WAYS.
        seed: Another seed gives another split.
    """
    cache, rows = FaceCache(folder), []
    groups: dict[str, list[Candidate]] = defaultdict(list)
    for row in chosen([row for row in faces.rows() if row.status == "ok"], kind.paired):
        for part, clip in clips_of(faces.read_clip(row.video), kind.halves).items():
            name = row.video + part
            cache.write_clip(name, clip)
            rows.append(row._replace(video=name))
            groups[row.group].append(Candidate(name, row.label))
    splitter = WAYS[way](seed, FRACTIONS)
    split = splitter.assign(groups)
    rows = [row._replace(split=split.get(row.video, "")) for row in rows]
    record_split(folder, splitter, rows, "both")
    cache.write_rows(rows)


def names(world: int) -> list[str]:
    """The experiments on a world, which are named as their caches."""
    return [f"{world}_{kind}_{way}" for kind in KINDS for way in WAYS]


def prepare(world: int, data: Path, videos: int) -> None:
    """Render a world, find its faces and split them in all ways."""
    rendered, faces = data / f"{world}_videos", data / f"{world}_faces"
    if not rendered.with_suffix(".done").is_file():
        scene = ("--videos", str(videos), "--seed", str(world), "--cues", CUES)
        sources = ("--fakes-per-real", str(FAKES_PER_REAL), "--out", str(rendered))
        call("-m", "dfdc_lightning.demo", *scene, *sources)
        haar = ("face_detector=haar", "+face_detector.long_side=320", "size=64", f"frames={FRAMES}")
        paths = (f"source.path={rendered}", f"out={faces}")
        call("prepare_faces.py", *paths, *haar, "per_label=null", "labels=any")
        for kind in KINDS:
            for way in WAYS:
                divide(FaceCache(faces), data / f"{world}_{kind}_{way}", KINDS[kind], way, world)
        shutil.rmtree(rendered)
        rendered.with_suffix(".done").touch()


def interval(values: Float64[np.ndarray, " w"]) -> tuple[float, float]:
    """Student's 95 % interval of the mean over worlds, which are independent of each other."""
    half = stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def table(worlds: range, study: Path) -> dict[str, Any]:
    """Print a line for each kind of data set."""

    def aurocs(kind: str, way: str) -> Float64[np.ndarray, " w"]:
        folders = [study / f"{world}_{kind}_{way}" / "0" for world in worlds]
        return np.array([RunFolder(folder).result.test["auroc"] for folder in folders])

    found: dict[str, Any] = {}
    print("| data set | by_group | by_video | difference (95 %) |\n| --- | --- | --- | --- |")
    for kind, (words, *_) in KINDS.items():
        by_group, by_video = (aurocs(kind, way) for way in WAYS)
        difference = by_video - by_group
        low, high = interval(difference)
        gap = f"{difference.mean():+.3f} ({low:+.3f} to {high:+.3f})"
        print(f"| {words} | {by_group.mean():.3f} | {by_video.mean():.3f} | {gap} |")
        found[kind] = {"by_group": by_group.tolist(), "by_video": by_video.tolist(), "interval": [low, high]}
    return found


def main() -> None:
    """Make what is missing, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=3, help="at least 2")
    parser.add_argument(
        "--first", type=int, default=FIRST, help=f"seed of the first world (default: {FIRST})"
    )
    parser.add_argument("--videos", type=int, default=160, help="per world")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--study", default="leakage", help="folder below multirun/ (default: leakage)")
    parser.add_argument("--data", default="data/leakage", help="folder of videos and faces")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    worlds, data = range(options.first, options.first + options.worlds), ROOT / options.data
    for world in worlds:
        prepare(world, data, options.videos)
    runs = ",".join(name for world in worlds for name in names(world))
    where = (f"study={options.study}", f"data.cache={data}/${{name}}", "logger=none")
    call("train.py", "-m", f"name={runs}", "scale=demo", f"trainer.max_epochs={options.epochs}", *where)
    found = table(worlds, ROOT / "multirun" / options.study)
    report = {"worlds": list(worlds), "videos": options.videos, "epochs": options.epochs, "found": found}
    options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
