"""Claims about rendered data: DFDC's layout, faces that are found, labels that only the inner face tells."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dfdc_lightning.demo import DemoError, read_swaps, render
from dfdc_lightning.demo.identity import Identity
from dfdc_lightning.demo.scene import Scene
from dfdc_lightning.demo.swap import Ellipse, Swap
from dfdc_lightning.errors import UserError

TINY = {"size": (160, 120), "seconds": 0.4, "fps": 10.0}


class Entry(NamedTuple):
    path: Path
    label: str
    original: str


def entries(out: Path) -> dict[str, Entry]:
    """Every video listed in the metadata of every part, by id."""
    listed = {}
    for metadata in sorted(out.glob("dfdc_train_part_*/metadata.json")):
        for name, entry in json.loads(metadata.read_text()).items():
            assert entry["split"] == "train"
            original = entry.get("original", "").removesuffix(".mp4")
            listed[name.removesuffix(".mp4")] = Entry(metadata.parent / name, entry["label"], original)
    return listed


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)])


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 videos as the demo renders them, but with few frames of their two seconds."""
    return render(tmp_path_factory.mktemp("crowd"), videos=120, fps=3, seed=2024, workers=2)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("tiny"), videos=10, parts=2, seed=5, workers=2, **TINY)


def test_the_layout_is_that_of_dfdc(tiny: Path) -> None:
    listed = entries(tiny)
    assert sorted(path.name for path in tiny.iterdir()) == [
        "dfdc_train_part_0",
        "dfdc_train_part_1",
        "swaps.json",
    ]
    assert {entry.path for entry in listed.values()} == set(tiny.glob("*/*.mp4"))
    assert all(re.fullmatch("[a-z]{10}", name) for name in listed)
    assert [entry.label for entry in listed.values()].count("FAKE") == len(listed) / 2 == 5
    for entry in listed.values():
        assert (entry.original != "") == (entry.label == "FAKE")
        if entry.original:
            assert listed[entry.original].label == "REAL"
            assert listed[entry.original].path.parent == entry.path.parent


def test_several_fakes_of_one_real_differ(tmp_path: Path) -> None:
    listed = entries(render(tmp_path, videos=4, fakes_per_real=3, seed=1, **TINY))
    fakes = [entry for entry in listed.values() if entry.label == "FAKE"]
    assert len(fakes) == 3
    assert len({entry.original for entry in fakes}) == 1
    first, second = (decoded(entry.path).astype(int) for entry in fakes[:2])
    assert np.abs(first - second).max() > 30


def test_files_depend_on_neither_number_nor_workers(tiny: Path, tmp_path: Path) -> None:
    fewer = entries(render(tmp_path, videos=4, parts=1, seed=5, workers=1, **TINY))
    more = entries(tiny)
    assert len(fewer) == 4
    for name, entry in fewer.items():
        assert entry.path.read_bytes() == more[name].path.read_bytes()


def test_the_same_command_gives_the_same_bytes_every_time(tmp_path: Path) -> None:
    once, *again = (render(tmp_path / str(run), videos=2, seed=8, **TINY) for run in range(8))
    for name, entry in entries(once).items():
        assert {entries(out)[name].path.read_bytes() for out in again} == {entry.path.read_bytes()}


def test_another_seed_shows_other_people(tiny: Path, tmp_path: Path) -> None:
    other = render(tmp_path, videos=10, seed=6, **TINY)
    assert not entries(other).keys() & entries(tiny).keys()
    people = [Identity.draw(np.random.default_rng([seed, 0, 0])) for seed in (5, 6)]
    assert people[0] != people[1]


def test_a_video_is_h264_with_keyframes_as_asked(tmp_path: Path) -> None:
    out = render(tmp_path, videos=2, size=(160, 120), seconds=1.5, fps=10, gop=6, seed=3)
    path = next(iter(entries(out).values())).path
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 160, 120)
        assert (stream.average_rate, stream.frames, stream.codec_context.pix_fmt) == (10, 15, "yuv420p")
        keys = [index for index, frame in enumerate(container.decode(video=0)) if frame.key_frame]
    assert keys == [0, 6, 12]


def test_a_finished_folder_is_left_alone_and_a_cut_off_one_completed(tmp_path: Path) -> None:
    out = render(tmp_path, videos=2, seed=8, **TINY)
    (first, second) = (entry.path for entry in entries(out).values())
    written, bytes_before = first.stat().st_mtime_ns, second.read_bytes()
    render(out, videos=2, seed=8, **TINY)
    assert first.stat().st_mtime_ns == written
    (out / "swaps.json").unlink()
    second.unlink()
    render(out, videos=2, seed=8, **TINY)
    assert second.read_bytes() == bytes_before
    assert read_swaps(out)


class Sighting(NamedTuple):
    """What a detector saw in one frame: boxes (x, y, width, height), and where the inner face really is."""

    label: str
    boxes: np.ndarray
    region: Ellipse

    @property
    def size(self) -> float:
        """Width of the box over the face, or 0 where there is none."""
        fitting = [
            width
            for x, y, width, height in self.boxes
            if np.hypot(x + width / 2 - self.region.x, y + height / 2 - self.region.y)
            < 0.6 * self.region.radius_x
            and 1.2 < width / self.region.radius_x < 4
        ]
        return float(max(fitting, default=0))


def sightings(out: Path, boxes_in: Callable[[np.ndarray], np.ndarray]) -> list[Sighting]:
    """Run a detector on two frames of every video, which lie apart by a second."""
    listed, regions = entries(out), read_swaps(out)
    fake_of = {entry.original: name for name, entry in listed.items() if entry.original}
    seen = []
    for name, entry in listed.items():
        frames = zip(decoded(entry.path), regions[fake_of.get(name, name)], strict=True)
        seen += [Sighting(entry.label, boxes_in(frame), region) for frame, region in list(frames)[1::3]]
    assert len(seen) == 240
    return seen


@pytest.fixture(scope="module")
def seen_by_haar(crowd: Path) -> list[Sighting]:
    haar = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    grey = cv2.COLOR_BGR2GRAY
    return sightings(
        crowd,
        lambda frame: np.asarray(haar.detectMultiScale(cv2.cvtColor(frame, grey), 1.1, 5)).reshape(-1, 4),
    )


def test_haar_finds_the_face_in_98_of_100_frames(seen_by_haar: list[Sighting]) -> None:
    assert np.mean([seen.size > 0 for seen in seen_by_haar]) >= 0.98


def test_yunet_finds_the_face_in_98_of_100_frames(crowd: Path, shared: Path) -> None:
    model = shared / "models" / "face_detection_yunet_2023mar.onnx"
    yunet = cv2.FaceDetectorYN.create(str(model), "", (320, 240), score_threshold=0.6)

    def boxes_in(frame: np.ndarray) -> np.ndarray:
        found = yunet.detect(frame)[1]
        return np.empty((0, 4)) if found is None else found[:, :4]

    assert np.mean([seen.size > 0 for seen in sightings(crowd, boxes_in)]) >= 0.98


def test_face_size_does_not_tell_the_label(seen_by_haar: list[Sighting]) -> None:
    found = [seen for seen in seen_by_haar if seen.size]
    auroc = roc_auc_score([seen.label == "FAKE" for seen in found], [seen.size for seen in found])
    assert max(auroc, 1 - auroc) < 0.65


def global_statistics(path: Path) -> dict[str, float]:
    """What a detector should not need: figures of the whole frame and of the file."""
    frames = decoded(path)
    grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    blue, green, red = frames.mean((0, 1, 2))
    return {
        "red": red,
        "green": green,
        "blue": blue,
        "brightness": float(np.mean(grey)),
        "contrast": float(np.mean([image.std() for image in grey])),
        "sharpness": float(np.mean([cv2.Laplacian(image, cv2.CV_32F).var() for image in grey])),
        "file size": path.stat().st_size,
    }


def test_no_global_statistic_tells_the_label(crowd: Path) -> None:
    listed = list(entries(crowd).values())
    fake = [entry.label == "FAKE" for entry in listed]
    statistics = [global_statistics(entry.path) for entry in listed]
    for name in statistics[0]:
        auroc = roc_auc_score(fake, [values[name] for values in statistics])
        assert max(auroc, 1 - auroc) < 0.65, name


@pytest.fixture(scope="module")
def forgery() -> list[tuple[np.ndarray, np.ndarray, Ellipse, float]]:
    """Frames of one scene before and after the swap, not encoded, with the region and the head's middle."""
    scene = Scene(np.random.default_rng([1, 0]), (320, 240))
    swap = Swap(np.random.default_rng([1, 1]), scene)
    return [(frame, *swap.apply(frame, pose), pose.x) for pose, frame in scene.frames(20, 10)]


def test_only_the_listed_region_is_swapped(
    forgery: list[tuple[np.ndarray, np.ndarray, Ellipse, float]],
) -> None:
    for real, fake, region, _ in forgery:
        mask = np.zeros(real.shape[:2], np.uint8)
        centre, radii = (round(region.x), round(region.y)), (region.radius_x, region.radius_y)
        cv2.ellipse(mask, centre, tuple(round(r) + 2 for r in radii), region.degrees, 0, 360, 1, -1)
        assert np.array_equal(real[mask == 0], fake[mask == 0])
        cv2.ellipse(mask, centre, tuple(round(0.7 * r) for r in radii), region.degrees, 0, 360, 2, -1)
        assert (real[mask == 2] != fake[mask == 2]).any(-1).mean() > 0.8


def test_the_patch_slips_and_flickers_but_the_real_face_does_not(
    forgery: list[tuple[np.ndarray, np.ndarray, Ellipse, float]],
) -> None:
    slip = np.diff([region.x - middle for _, _, region, middle in forgery])
    assert 0.5 < slip.std() < 6  # pixels, of a face about a hundred wide
    level = np.array(
        [
            [
                image[int(r.y) - 20 : int(r.y) + 20, int(r.x) - 15 : int(r.x) + 15].mean()
                for image in (real, fake)
            ]
            for real, fake, r, _ in forgery
        ]
    )
    real_flicker, fake_flicker = np.abs(np.diff(np.log(level), axis=0)).mean(0)
    assert fake_flicker > 2 * real_flicker


def test_swaps_name_every_fake_and_every_frame(tiny: Path, tmp_path: Path) -> None:
    regions = read_swaps(tiny)
    assert regions.keys() == {name for name, entry in entries(tiny).items() if entry.label == "FAKE"}
    for ellipses in regions.values():
        assert len(ellipses) == 4
        assert all(0 < e.x < 160 and 0 < e.y < 120 and 5 < e.radius_x < e.radius_y for e in ellipses)
    with pytest.raises(DemoError, match=r"swaps\.json.*render it first"):
        read_swaps(tmp_path)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("size", (321, 240)),
        ("size", (64, 64)),
        ("videos", 1),
        ("gop", 0),
        ("crf", 52),
        ("fps", 0),
        ("seconds", 0),
        ("seconds", float("nan")),
        ("workers", 0),
        ("parts", 0),
        ("seed", -1),
        ("fakes_per_real", 0),
        ("preset", "fastest"),
    ],
)
def test_an_impossible_setting_is_named(setting: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{setting}(=| must be )"):
        render(tmp_path / "out", **{setting: value})
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_videos_is_refused(tiny: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(tiny, tmp_path / "copy"))
    with pytest.raises(DemoError, match="is not part of the data set"):
        render(out, videos=10, seed=77, **TINY)


def test_the_command_renders_and_turns_errors_into_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dfdc_lightning.demo", "--out", str(tmp_path)]
    wish = ["--videos", "2", "--size", "160x120", "--seconds", "0.2", "--fps", "10"]
    assert subprocess.run(
        [*command, *wish], capture_output=True, text=True, check=True
    ).stdout.strip() == str(tmp_path)
    assert len(entries(tmp_path)) == 2
    for more, said in (
        (["--crf", "99"], "error: crf=99"),
        (["--out", str(tmp_path / "swaps.json" / "out")], "error: --out "),
    ):
        failed = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
        assert (failed.returncode, failed.stderr.count("\n")) == (2, 1)
        assert failed.stderr.startswith(said)
    wrong = subprocess.run([*command, "--size", "320"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.endswith("320 is not of the form WxH: give 320x240 for example\n")


def test_a_damaged_list_of_swaps_is_named(tiny: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(tiny, tmp_path / "copy"))
    (out / "swaps.json").write_text("{")
    with pytest.raises(DemoError, match=r"swaps\.json is damaged .*delete it"):
        render(out, videos=10, parts=2, seed=5, **TINY)


def test_ctrl_c_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dfdc_lightning.demo", "--out", str(tmp_path), "--videos", "400"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not list(tmp_path.rglob("*.mp4")):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "stopped: the same command begins anew\n")
