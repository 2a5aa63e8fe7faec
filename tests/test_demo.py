"""Claims about rendered data: DFDC's layout, faces that are found, labels that only the inner face tells."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dfdc_lightning.demo import DemoError, read_swaps, render
from dfdc_lightning.demo.cues import CUES, Ellipse, read_cues
from dfdc_lightning.demo.identity import Person
from dfdc_lightning.demo.scene import Scene
from dfdc_lightning.errors import UserError

TINY = {"size": (160, 120), "seconds": 0.4, "fps": 10.0}
ALL = {"seam": 1.0, "texture": 1.0, "temporal": 1.0, "none": 1.0}


class Entry(NamedTuple):
    path: Path
    label: str
    original: str
    method: str


def entries(out: Path) -> dict[str, Entry]:
    """Every video listed in the metadata of every part, by id."""
    listed = {}
    for metadata in sorted(out.glob("dfdc_train_part_*/metadata.json")):
        for name, entry in json.loads(metadata.read_text()).items():
            assert entry["split"] == "train"
            original = entry.get("original", "").removesuffix(".mp4")
            listed[name.removesuffix(".mp4")] = Entry(
                metadata.parent / name, entry["label"], original, entry.get("method", "")
            )
    return listed


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)])


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 videos as the demo renders them, but with few frames of their two seconds."""
    return render(tmp_path_factory.mktemp("crowd"), videos=120, seconds=2, fps=3, seed=2024, workers=2)


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
    people = [Person.draw(np.random.default_rng([seed, 0, 0])).traits_and_light() for seed in (5, 6)]
    assert people[0] != people[1]


def test_a_video_is_h264_with_keyframes_as_asked(tmp_path: Path) -> None:
    out = render(tmp_path, videos=2, size=(160, 120), seconds=1.5, fps=10, gop=6, seed=3, codec="libx264")
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
            and 0.9 < width / self.region.radius_x < 4
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
        yunet.setInputSize(frame.shape[1::-1])
        found = yunet.detect(frame)[1]
        return np.empty((0, 4)) if found is None else found[:, :4]

    assert np.mean([seen.size > 0 for seen in sightings(crowd, boxes_in)]) >= 0.98


def test_face_size_does_not_tell_the_label(seen_by_haar: list[Sighting]) -> None:
    found = [seen for seen in seen_by_haar if seen.size]
    auroc = roc_auc_score([seen.label == "FAKE" for seen in found], [seen.size for seen in found])
    assert max(auroc, 1 - auroc) < 0.65


def shortcuts(entry: Entry, seen: list[Sighting]) -> list[float]:
    """What a detector should not need: facts of the file, figures of the whole frame, and the face's size."""
    with av.open(str(entry.path)) as container:
        stream = container.streams.video[0]
        rate = 8 * entry.path.stat().st_size / float(stream.duration * stream.time_base)
        facts = [
            stream.width, stream.height, float(stream.average_rate), stream.frames, np.log(rate),
            stream.codec_context.name == "h264",
        ]  # fmt: skip
    frames = decoded(entry.path)
    grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    sharpness = np.log(np.mean([cv2.Laplacian(image, cv2.CV_32F).var() for image in grey]))
    size = np.mean([sighting.size for sighting in seen])
    return [*facts, *frames.mean((0, 1, 2)), np.mean([image.std() for image in grey]), sharpness, size]


def test_no_fact_of_the_file_and_no_global_statistic_tells_the_label(
    crowd: Path, seen_by_haar: list[Sighting]
) -> None:
    listed = entries(crowd)
    facts = np.array(
        [
            shortcuts(entry, seen_by_haar[2 * index : 2 * index + 2])
            for index, entry in enumerate(listed.values())
        ]
    )
    fake = np.array([entry.label == "FAKE" for entry in listed.values()])
    groups = [entry.original or name for name, entry in listed.items()]
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    scores = cross_val_predict(
        classifier, facts, fake, groups=groups, cv=GroupKFold(10), method="decision_function"
    )
    assert roc_auc_score(fake, scores) < 0.6
    for column in facts.T:
        auroc = roc_auc_score(fake, column)
        assert max(auroc, 1 - auroc) < 0.6


class Take(NamedTuple):
    """Frames of a scene before encoding: those of the REAL video, of a FAKE, and where that is forged."""

    real: np.ndarray
    fake: np.ndarray
    regions: list[Ellipse | None]


def take(cue: str, strength: float = 1.0, seed: int = 1, frames: int = 12, gop: int = 4) -> Take:
    scene = Scene(np.random.default_rng([seed, 0]), (320, 240))
    real = scene.view(scene.person)
    forged = CUES[cue](np.random.default_rng([seed, 1]), scene, real, strength, gop)
    pictures, regions = [], []
    for index, pose in enumerate(scene.poses(frames, Fraction(10))):
        planes = (
            scene.frame(index, pose, real),
            scene.frame(index, pose, forged.view(index), forged.patch(pose)),
        )
        pictures.append([cv2.cvtColor(plane, cv2.COLOR_YUV2RGB_I420) for plane in planes])
        regions.append(forged.ellipse(pose))
    return Take(*np.swapaxes(np.array(pictures), 0, 1), regions)


@pytest.mark.parametrize("cue", ["seam", "texture"])
def test_only_the_listed_region_is_forged(cue: str) -> None:
    for real, fake, region in zip(*take(cue), strict=True):
        mask = np.zeros(real.shape[:2], np.uint8)
        centre, radii = (round(region.x), round(region.y)), (region.radius_x, region.radius_y)
        cv2.ellipse(mask, centre, tuple(round(r) + 3 for r in radii), region.degrees, 0, 360, 1, -1)
        assert np.array_equal(real[mask == 0], fake[mask == 0])
        assert (real != fake).any(-1)[mask == 1].mean() > 0.4


@pytest.mark.parametrize("cue", ["seam", "texture", "temporal"])
def test_a_stronger_cue_changes_more(cue: str) -> None:
    weak, strong = (
        np.abs(one.real.astype(int) - one.fake).mean() for one in (take(cue, 0.2), take(cue, 1.0))
    )
    assert 0 < weak < 0.9 * strong


def test_a_placebo_is_the_real_video_before_encoding() -> None:
    real, fake, regions = take("none")
    assert np.array_equal(real, fake)
    assert set(regions) == {None}


def test_a_temporal_fake_changes_at_keyframes_only() -> None:
    alone = take("temporal", gop=12)
    assert np.array_equal(alone.real, alone.fake)
    turned = take("temporal", gop=4)
    changes = np.abs(np.diff((turned.fake.astype(int) - turned.real), axis=0)).mean((1, 2, 3))
    assert changes[[3, 7]].min() > 2 * np.delete(changes, [3, 7]).max()


def test_each_frame_of_a_temporal_fake_is_a_frame_of_some_real_video_byte_for_byte() -> None:
    fake, frames, gop = take("temporal"), 12, 4
    forger = np.random.default_rng([1, 1])
    person = Scene(np.random.default_rng([1, 0]), (320, 240)).person
    for first in range(0, frames, gop):
        stranger = Scene(np.random.default_rng([1, 0]), (320, 240))  # the same room, camera and motion
        stranger.person = person = person.turned(Person.draw(forger), 90) if first else person
        real = stranger.view(stranger.person)
        for index, pose in enumerate(stranger.poses(frames, Fraction(10))):
            if first <= index < first + gop:
                frame = cv2.cvtColor(stranger.frame(index, pose, real), cv2.COLOR_YUV2RGB_I420)
                assert np.array_equal(frame, fake.fake[index])


def test_a_turned_person_has_the_distribution_of_any_person() -> None:
    rng = np.random.default_rng(0)
    people = [Person.draw(rng) for _ in range(1500)]
    for degrees in (30, 90):
        turned = [person.turned(Person.draw(rng), degrees) for person in people]
        one, other = (
            np.array(
                [np.concatenate([np.ravel(trait) for trait in (*who[:-1], light)]) for who, light in looks]
            )
            for looks in ([person.traits_and_light() for person in crowd] for crowd in (people, turned))
        )
        assert min(ks_2samp(*columns).pvalue for columns in zip(one.T, other.T, strict=True)) > 1e-4


def test_a_single_frame_cannot_tell_a_temporal_fake_and_frames_together_can() -> None:
    """As exchangeable as the persons are: 8 x 8 pixels of each frame, and their deviation over time."""
    pairs = [take("temporal", seed=seed, frames=4, gop=1) for seed in range(48)]
    small = np.array(
        [
            [cv2.resize(frame, (8, 8), interpolation=cv2.INTER_AREA).ravel() for frame in frames]
            for pair in pairs
            for frames in (pair.real, pair.fake)
        ],
        np.float64,
    )
    label, group = np.tile([0, 1], len(pairs)), np.repeat(np.arange(len(pairs)), 2)

    def auroc(features: np.ndarray, times: int) -> float:
        scores = cross_val_predict(
            make_pipeline(StandardScaler(), LogisticRegression(C=0.01)),
            features, label.repeat(times), groups=group.repeat(times), cv=GroupKFold(8),
            method="decision_function",
        )  # fmt: skip
        return float(roc_auc_score(label.repeat(times), scores))

    assert abs(auroc(small.reshape(-1, small.shape[-1]), 4) - 0.5) < 0.1
    assert auroc(np.log1p(small.std(1)), 1) > 0.9


def test_swaps_name_every_fake_and_every_frame(tiny: Path, tmp_path: Path) -> None:
    regions = read_swaps(tiny)
    assert regions.keys() == {name for name, entry in entries(tiny).items() if entry.method}
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
        ("qp", 52),
        ("codec", "theora"),
        ("placebo_parts", 2),
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
    with pytest.raises(UserError, match=f"^{setting} must be "):
        render(tmp_path / "out", **{setting: value})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("cues", "said"),
    [
        ({"blur": 1.0}, "cues must be one of seam, texture, temporal, none \\(got blur\\)"),
        ({"seam": 0}, r"cues: the strength of seam must be a number above 0 and at most 1 \(got 0\)"),
        ({"seam": 1.5}, "cues: the strength of seam must be a number above 0 and at most 1 .*1.5"),
        ({"none": 0.5}, "cues: none must be without a strength"),
        ({}, "cues must name at least one of seam"),
    ],
)
def test_an_impossible_cue_is_named(cues: dict[str, float], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{said}"):
        render(tmp_path / "out", cues=cues)


def test_cues_are_read_from_one_word() -> None:
    assert read_cues("seam=0.5,temporal,none") == {"seam": 0.5, "temporal": 1.0, "none": 1.0}
    with pytest.raises(UserError, match="cues: the strength of seam must be a number"):
        read_cues("seam=much")


def test_temporal_needs_two_keyframes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gop must be below the 4 frames of a video where cues has temporal"):
        render(tmp_path, videos=2, gop=4, cues=ALL, **TINY)


def test_every_fake_has_its_cue_and_the_placebo_stays_in_the_last_parts(tmp_path: Path) -> None:
    listed = entries(render(tmp_path, videos=48, parts=4, placebo_parts=1, cues=ALL, **TINY))
    by_part: dict[str, list[str]] = {}
    for entry in listed.values():
        assert bool(entry.method) == (entry.label == "FAKE")
        if entry.method:
            by_part.setdefault(entry.path.parent.name[-1], []).append(entry.method)
    assert {part: set(methods) for part, methods in by_part.items()} == {
        **{part: {"seam", "texture", "temporal"} for part in "012"},
        "3": {"seam", "texture", "temporal", "none"},
    }
    assert max(by_part["0"].count(cue) for cue in ("seam", "texture", "temporal")) == 2


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
        (["--qp", "99"], "error: qp must be a whole number from 0 to 51 (got 99)"),
        (
            ["--cues", "seam=x"],
            "error: cues: the strength of seam must be a number above 0 and at most 1 (got x)",
        ),
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
