"""Every kind of bad video costs its own row and nothing else."""

import csv
import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from dfdc_lightning.faces.cache import FaceCache

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "tests")}  # where face_detectors.py lies

Image = np.ndarray
Outcome = tuple[Path, "subprocess.CompletedProcess[str]"]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(arguments, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=90)


def frames_of(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def write(path: Path, images: list[Image]) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=15, options={"preset": "ultrafast"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image))))
        container.mux(stream.encode())


def write_sound(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000)
        wave = np.sin(np.arange(16000) / 20).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = 16000, Fraction(1, 16000), 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


# Name → status of its row, and how it is made of a good video's path and two persons' frames.
QUOTED = 'it\'s "a" näme, with 漢字'
EXPECTED = {
    "zero_bytes": "unreadable",
    "random_bytes": "unreadable",
    "truncated_10": "unreadable",
    "truncated_50": "unreadable",
    "truncated_90": "unreadable",
    "header_only": "unreadable",
    "audio_only": "unreadable",
    "text": "unreadable",
    "folder": "unreadable",
    "forbidden": "unreadable",
    "absent": "missing",
    "unlisted": "unlisted",
    "one_frame": "too_short",
    "nine_frames": "too_short",
    "tiny": "no_face",
    "nobody": "no_face",
    "huge": "ok",
    "several_faces": "ok",
    "two_cuts": "ok",
    QUOTED: "ok",
    "good_a": "ok",
    "good_b": "ok",
}


def make(folder: Path, good: Path, one: list[Image], other: list[Image]) -> None:
    """All of them, and a labels.csv that names all but one."""
    whole = good.read_bytes()
    for name in ("good_a", "good_b", QUOTED, "unlisted", "forbidden"):
        shutil.copy(good, folder / f"{name}.mp4")
    (folder / "forbidden.mp4").chmod(0)
    (folder / "folder.mp4").mkdir()
    contents = {
        "zero_bytes": b"",
        "random_bytes": os.urandom(4000),
        "text": b"this is no video\n",
        "header_only": whole[:40],
    }
    contents |= {f"truncated_{share}": whole[: len(whole) * share // 100] for share in (10, 50, 90)}
    for name, content in contents.items():
        (folder / f"{name}.mp4").write_bytes(content)
    write_sound(folder / "audio_only.mp4")
    films = {
        "one_frame": one[:1],
        "nine_frames": one[:9],
        "tiny": [image[:16, :16] for image in one],
        "nobody": [np.full_like(image, 90) for image in one],
        "huge": [cv2.resize(image, (3840, 2160)) for image in one[:10]],
        "several_faces": [np.concatenate([a, b], axis=1) for a, b in zip(one, other, strict=True)],
        "two_cuts": [*one[:4], *other[4:8], *one[8:]],
    }
    for name, images in films.items():
        write(folder / f"{name}.mp4", images)
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["video", "label"])
        named = [name for name in EXPECTED if name != "unlisted"]
        lines.writerows([f"{name}.mp4", ("REAL", "FAKE")[n % 2]] for n, name in enumerate(named))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    options = ["--videos=4", "--size=160x120", "--seconds=0.8", "--fps=15", "--codec=libx264"]
    done = run(sys.executable, "-m", "dfdc_lightning.demo", f"--out={out}", *options)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def outcome(
    demo: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """The cache of all the bad videos and what was said."""
    folder, out = tmp_path_factory.mktemp("bad"), tmp_path_factory.mktemp("bad_cache")
    entries = json.loads((demo / "dfdc_train_part_0" / "metadata.json").read_text())
    one, other = (
        demo / "dfdc_train_part_0" / name for name, entry in entries.items() if entry["label"] == "REAL"
    )
    make(folder, one, frames_of(one), frames_of(other))
    # Root may read everything: give that right away for the one file nobody may read.
    plain_user = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if plain_user and shutil.which("setpriv") is None:
        pytest.skip("run by root without setpriv: no file can be made unreadable")
    where = [
        f"source.path={folder}",
        f"out={out}",
        "face_detector=haar",
        "face_detector._target_=face_detectors.Middle",
    ]
    more = ["size=32", "per_label=null", "workers=2", "timeout=60"]
    return out, run(*plain_user, sys.executable, str(ROOT / "prepare_faces.py"), *where, *more)


def test_every_bad_video_has_a_row_with_its_reason_and_the_rest_goes_on(
    outcome: Outcome,
) -> None:
    out, done = outcome
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    rows = {row.video: row for row in FaceCache(out).rows()}
    assert {name: row.status for name, row in rows.items()} == EXPECTED
    for name, row in rows.items():
        assert (row.detail == "") == (row.status == "ok")
        assert "\n" not in row.detail
        assert name.split("_")[0] in row.detail or row.status == "ok", "the sentence does not name the file"
        assert row.split == "" or row.status == "ok"
    good = {path.stem for path in (out / "clips").iterdir()}
    assert good == {name for name, status in EXPECTED.items() if status == "ok"}
    assert (rows["huge"].width, rows["huge"].height, rows["nobody"].n_frames) == (3840, 2160, 12)
