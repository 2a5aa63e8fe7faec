"""The check finds what was planted (shortcuts, copies in other splits, doubtful labels) and little else."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import draw_cache
from made_up import made_up

from dfdc_lightning.audit.check import check
from dfdc_lightning.audit.check_file import read_check, write_check
from dfdc_lightning.audit.contents import contents, dropped
from dfdc_lightning.audit.doubts import doubtful, runs_on
from dfdc_lightning.audit.duplicates import near_duplicates
from dfdc_lightning.audit.facts import measure_facts, small_faces
from dfdc_lightning.audit.shortcuts import shortcuts
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache, FaceClip, Row
from dfdc_lightning.faces.joined import joined_pairs
from dfdc_lightning.faces.quota import Quota
from dfdc_lightning.faces.split import ByGroup, Candidate, group_of
from dfdc_lightning.results.predictions import ScoredVideo, write_predictions
from dfdc_lightning.results.result import write_result
from dfdc_lightning.results.run_folder import RunFolder

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.check import world

SIDE, FRAMES = 64, 6


def test_a_planted_shortcut_is_found() -> None:
    for seed in range(2):
        found = shortcuts(*world(seed, 0.4, groups=100))
        assert found["found"]
        assert found["low"] > 0.5
        assert found["auroc"] > 0.75
        assert found["facts"][0]["name"] in (
            "keyframe_every",
            "bits_per_pixel",
            "bits_per_second",
            "sharpness",
        )


def test_clean_worlds_are_not_accused() -> None:
    clean = [shortcuts(*world(seed, 0.0, groups=60)) for seed in range(6)]
    assert sum(found["found"] for found in clean) <= 1  # 2 % of many worlds, says benchmarks/check.py
    assert 0.4 < np.mean([found["auroc"] for found in clean]) < 0.6


def test_facts_spread_evenly_over_both_labels_are_no_shortcut_though_below_half() -> None:
    """Four cameras, each used for equally many REAL and FAKE, so that folds mislead each other."""
    rng, rows, looks = np.random.default_rng(0), [], {}
    for label in (REAL, FAKE):
        for group, camera in enumerate(rng.permutation(np.arange(40) % 4)):
            video = f"g{group}{label[0]}"
            original = f"g{group}R" if label == FAKE else ""
            facts = {"width": 320, "height": 240, "fps": 15.0 + 5 * camera, "seconds": 2.0, "n_frames": 30}
            rows.append(Row(video, label, original, f"g{group}", "train", **facts, bytes=9999, keyframes=1))
            looks[video] = {"face_pixels": 100.0, "sharpness": 50.0, "brightness": 100.0}
    found = shortcuts(rows, looks)
    assert found["auroc"] < 0.4 and found["high"] < 0.5
    assert not found["found"]


def test_each_family_of_facts_is_judged_alone() -> None:
    rows, looks = world(0, 0.0, groups=100)
    for row in rows:
        looks[row.video]["sharpness"] *= 0.4 if row.label == FAKE else 1.0
    found = shortcuts(rows, looks)
    assert found["families"]["look"]["low"] > 0.5
    assert found["families"]["container"]["low"] < 0.5
    assert found["facts"][0]["name"] == "sharpness"


@pytest.mark.parametrize(
    "keep", [lambda row: row.label == FAKE, lambda row: row.group in ("g0", "g1"), lambda row: False]
)
def test_too_little_to_measure_gives_a_reason(keep: Callable[[Row], bool]) -> None:
    rows, looks = world(0, 0.0, groups=30)
    found = shortcuts([row for row in rows if keep(row)], looks)
    assert list(found) == ["reason"]
    assert "are too few: 20 of each are needed" in found["reason"]


def recording(seed: int) -> np.ndarray:
    """Frames (t h w 3) of a face on a ground of its own; light, place and mouth change with time."""
    rng = np.random.default_rng([5, seed])
    ground = cv2.resize(
        rng.uniform(0, 255, (5, 5, 3)).astype(np.float32), (96, 96), interpolation=cv2.INTER_CUBIC
    )
    skin, hair, eye, mouth = (
        rng.uniform(90, 220, 3),
        rng.uniform(20, 160, 3),
        rng.integers(5, 12),
        rng.integers(3, 9),
    )
    width, height, line = rng.integers(22, 32), rng.integers(30, 40), rng.integers(12, 26)
    frames = []
    for _ in range(FRAMES):
        image, (x, y) = ground.copy(), (48 + rng.integers(-3, 4, 2)).tolist()
        cv2.ellipse(image, (x, y - 6), (int(width) + 4, int(height)), 0, 0, 360, hair.tolist(), -1)
        cv2.ellipse(image, (x, y + 6), (int(width), int(height)), 0, 0, 360, skin.tolist(), -1)
        cv2.ellipse(
            image, (x - 8, y - int(line)), (20, int(eye)), 12, 0, 360, hair.tolist(), -1
        )  # no mirror image
        for side in (-11, 11):
            cv2.circle(image, (x + side, y), int(eye) // 2, (20, 20, 20), -1)
        cv2.ellipse(
            image, (x, y + 22), (11, int(mouth) // 2 + int(rng.integers(0, 3))), 0, 0, 360, (90, 40, 40), -1
        )
        frames.append(image + rng.normal(0, 4, image.shape))
    return np.clip(np.stack(frames), 0, 255).astype(np.uint8)


def encoded(frames: np.ndarray, quality: int = 30) -> np.ndarray:
    buffers = [cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for frame in frames]
    return np.stack([cv2.imdecode(buffer, cv2.IMREAD_COLOR) for buffer in buffers])


def resized(frames: np.ndarray) -> np.ndarray:
    small = [cv2.resize(frame, (40, 40), interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack([cv2.resize(frame, (96, 96), interpolation=cv2.INTER_LINEAR) for frame in small])


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "re-encoded": encoded,
    "mirrored": lambda frames: frames[:, :, ::-1],
    "cropped": lambda frames: frames[:, 2:-1, 1:-2],  # a detector frames its face a little otherwise
    "resized": resized,
    "shortened": lambda frames: frames[: FRAMES // 2],
    "mirrored and re-encoded": lambda frames: encoded(frames[:, :, ::-1]),
}


def clip(frames: np.ndarray) -> FaceClip:
    faces = np.stack([cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in frames])
    t = len(faces)
    boxes = np.tile(np.array([10, 10, 10 + SIDE, 10 + SIDE], np.float32), (t, 1))
    return FaceClip(np.ascontiguousarray(faces.transpose(0, 3, 1, 2)), boxes, np.arange(t), np.ones(t, bool))


def test_planted_copies_are_found_and_little_else() -> None:
    films = [recording(seed) for seed in range(200)]
    copies = [(number, list(CHANGES)[number % len(CHANGES)]) for number in range(0, 200, 2)]
    clips = [*films, *(CHANGES[change](films[number]) for number, change in copies)]
    planted = {(number, 200 + place): change for place, (number, change) in enumerate(copies)}
    found = near_duplicates([small_faces(clip(frames)) for frames in clips])
    right = {(pair.a, pair.b) for pair in found} & planted.keys()
    missed = sorted(planted[pair] for pair in planted.keys() - right)
    assert len(right) >= 0.95 * len(planted), missed
    assert len(right) >= 0.95 * len(found)
    assert all(
        pair.mirrored == ("mirrored" in planted[pair.a, pair.b])
        for pair in found
        if (pair.a, pair.b) in right
    )


def test_nothing_is_alike_where_there_is_nothing_to_compare() -> None:
    assert near_duplicates([]) == []
    assert near_duplicates([small_faces(clip(recording(0)))]) == []


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> FaceCache:
    """A cache whose test split holds a mirrored copy of a training video, under another name."""
    cache = FaceCache(tmp_path_factory.mktemp("leaky"))
    rows = []
    for number in range(30):
        split = "train" if number < 20 else "val" if number < 25 else "test"
        for label in (REAL, FAKE):
            video = f"v{number:02d}{label[0]}"
            frames = recording(number)
            if label == FAKE:
                frames[:, 60:80, 30:66] = 255 - frames[:, 60:80, 30:66]
            if number == 29:
                frames = recording(3)[:, :, ::-1]
            cache.write_clip(video, clip(frames))
            source = f"v{number:02d}R"
            rows.append(
                Row(
                    video,
                    label,
                    source if label == FAKE else "",
                    source,
                    split,
                    n_found=FRAMES,
                    n_frames=99,
                    seconds=4.0,
                )
            )
    rows.append(Row("w", REAL, group="w", status="no_face", detail="nobody <there>"))
    cache.write_rows(rows)
    return cache


def test_the_check_says_what_leaks_and_writes_it_down(
    leaky: FaceCache, capsys: pytest.CaptureFixture[str]
) -> None:
    check(leaky.root, leaky.root / "no studies")
    found = read_check(leaky.root)
    assert found is not None
    assert found["leaks"]["across"] >= 1
    pairs = {(one["a"], one["b"]): one for one in found["leaks"]["examples"]}
    assert pairs["v03R", "v29R"]["splits"] == ["test", "train"]
    assert pairs["v03R", "v29R"]["mirrored"]
    assert found["dropped"]["no_face"]["examples"] == [{"video": "w", "why": "nobody <there>"}]
    assert found["shortcuts"]["groups"] == 30
    said = capsys.readouterr().out
    assert f"join={leaky.root / 'check' / 'duplicates.csv'}" in said
    page = (leaky.root / "check" / "index.html").read_text(encoding="utf-8")
    assert "v03R and v29R" in page
    assert "nobody &lt;there&gt;" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert page.count('alt="REAL ') + page.count('alt="FAKE ') == 60


def test_joined_copies_share_a_split_and_stay_together(leaky: FaceCache, tmp_path: Path) -> None:
    check(leaky.root, tmp_path)
    rows = [row for row in leaky.rows() if row.split]
    listed = [Candidate(row.video, row.label, row.original) for row in rows]
    names = {row.video for row in rows}
    for join in (leaky.root / "check" / "duplicates.csv", None):  # the second time from memory
        pairs = joined_pairs(tmp_path, join, names)
        quota = Quota(listed, ByGroup(), None, joined=pairs)
        assert quota.group["v03R"] == quota.group["v29F"]
        assert quota.split["v03R"] == quota.split["v29R"]
    assert group_of(listed, [("v03R", "not listed")]) == group_of(listed)


@pytest.mark.parametrize("text", ["", "video,label\nx,REAL\n", "a,b\nonly\n", "a,b\nx,y\n", None])
def test_pairs_that_cannot_be_joined_are_refused(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"^join=.*pairs\.csv (cannot be read|has no pair)") as refused:
        joined_pairs(tmp_path / "cache", path, {"v"})
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "cache").exists()


def test_a_cache_of_one_label_is_looked_at(tmp_path: Path) -> None:
    cache = draw_cache(tmp_path, {"train": 3, "val": 1, "test": 1})
    cache.write_rows([row for row in cache.rows() if row.label == FAKE])
    check(tmp_path, tmp_path)
    found = read_check(tmp_path)
    assert found is not None
    assert "0 REAL" in found["shortcuts"]["reason"]
    assert found["contents"]["numbers"]["brightness"][REAL] == []
    assert "Not measured" in (tmp_path / "check" / "index.html").read_text(encoding="utf-8")


def test_a_cache_without_a_usable_video_is_looked_at(tmp_path: Path) -> None:
    FaceCache(tmp_path).write_rows([Row("a", REAL, status="no_face", detail="nobody there")])
    assert check(tmp_path, tmp_path) == 1
    found = read_check(tmp_path)
    assert found is not None
    assert found["dropped"]["no_face"]["n"] == 1


def test_a_damaged_clip_is_left_out_of_the_look(tmp_path: Path) -> None:
    cache = draw_cache(tmp_path, {"train": 2})
    cache.clip_path("train000").write_bytes(b"no zip")
    facts = measure_facts(cache, ["train000", "train001"])
    assert facts.videos == ["train001"]
    assert check(tmp_path, tmp_path) == 1


def test_what_was_written_is_read_back_and_nothing_else(tmp_path: Path) -> None:
    assert read_check(tmp_path) is None
    write_check(tmp_path, {"profile": "ü"})
    assert read_check(tmp_path) == {"version": 1, "profile": "ü"}
    path = tmp_path / "check" / "check.json"
    for text in ("[]", "{", json.dumps({"version": 2}), "\udcff"):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert read_check(tmp_path) is None


def test_contents_are_counted_by_label() -> None:
    rows, looks = world(1, 0.0, groups=40)
    found = contents(rows, looks)
    n = sum(row.label == FAKE for row in rows)
    assert sum(found["words"]["codec"][FAKE].values()) == n
    low, _, middle, _, high = found["numbers"]["seconds"][FAKE]
    assert 8 <= low <= middle <= high <= 12
    spare = [Row("s", REAL), Row("t", FAKE, status="timeout", detail="2 s")]
    assert {name: entry["n"] for name, entry in dropped(spare).items()} == {"spare": 1, "timeout": 1}


def finished_run(folder: Path, threshold: float, scores: dict[str, float], profile: str = "p") -> None:
    run = RunFolder(folder)
    folder.mkdir(parents=True)
    judged = [ScoredVideo("test", video, "g", video != "real", score) for video, score in scores.items()]
    write_predictions(run.predictions_file, judged)
    data = {"cache": "c", "profile": profile, "split_hash": "s", "counts": {}}
    write_result(run.result_file, made_up(threshold=threshold, data=data))


def test_a_label_is_in_doubt_where_every_run_on_this_cache_contradicts_it(tmp_path: Path) -> None:
    rows = [Row("real", REAL), Row("fake", FAKE), Row("split", FAKE), Row("once", FAKE)]
    finished_run(tmp_path / "s/e/0", 0.5, {"real": 0.9, "fake": 0.9, "split": 0.1, "once": 0.1})
    assert len(runs_on("p", "s", tmp_path)) == 1
    assert doubtful(rows, runs_on("p", "s", tmp_path)) == []  # one run may be wrong by chance
    finished_run(tmp_path / "s/e/1", 0.2, {"real": 0.3, "fake": 0.8, "split": 0.4})
    finished_run(tmp_path / "s/e/2", 0.5, {"real": 0.1, "fake": 0.9}, profile="of other clips")
    (tmp_path / "s/e/3").mkdir()
    (tmp_path / "s/e/3/result.json").write_text("{")
    assert doubtful(rows, runs_on("p", "s", tmp_path)) == [
        {"video": "real", "label": REAL, "scores": [0.9, 0.3]}
    ]
