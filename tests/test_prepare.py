"""Preparation end to end on real files: whatever is killed, hangs or breaks, the cache comes out the same."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from face_detectors import Middle, first_clip

from dfdc_lightning.audit.check import check
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.build import prepare
from dfdc_lightning.faces.cache import FaceCache, counts
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.pool import Pool
from dfdc_lightning.faces.profile import read_profile
from dfdc_lightning.faces.shard import Shard, journal_of, locked, noted_rows
from dfdc_lightning.faces.split import ByGroup, ByPart
from dfdc_lightning.video.sources import FolderSource, Stage, Video

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "tests")}  # where face_detectors.py lies
SETTINGS = (
    "face_detector=haar",
    "face_detector._target_=face_detectors.Middle",
    "size=32",
    "per_label=10",
    "workers=2",
)
HAAR = "face_detector._target_=dfdc_lightning.faces.face_detector.Haar"
YUNET = "face_detector._target_=dfdc_lightning.faces.yunet.YuNet"
FACES = FacePreparation(Middle(), size=32)


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three parts with 45 videos, two FAKEs from each REAL."""
    out = tmp_path_factory.mktemp("demo")
    options = [
        "--videos=45",
        "--fakes-per-real=2",
        "--parts=3",
        "--size=160x120",
        "--seconds=0.8",
        "--fps=15",
        "--codec=libx264",
    ]
    done = run(sys.executable, "-m", "dfdc_lightning.demo", f"--out={out}", *options)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def finished(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache that an undisturbed run makes of them."""
    out = tmp_path_factory.mktemp("finished") / "cache"
    prepare(FolderSource(videos), FACES, ByGroup(), out, per_label=10, workers=2)
    return out


def content(root: Path) -> dict[str, bytes]:
    """Everything in a cache that means something."""
    files = [root / "manifest.csv", root / "profile.json", *sorted((root / "clips").iterdir())]
    assert not (root / "journal").exists()
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def command(videos: Path, out: Path, *more: str) -> list[str]:
    where = (f"source.path={videos}", f"out={out}")
    return [sys.executable, str(ROOT / "prepare_faces.py"), *where, *SETTINGS, *more]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(arguments, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        arguments, cwd=ROOT, env=ENVIRONMENT, start_new_session=True, text=True, stderr=subprocess.PIPE
    )


def until(root: Path, n: int, process: "subprocess.Popen[str]") -> bool:
    """Wait until n videos are noted; False when the run ended before."""
    while process.poll() is None:
        if len(noted_rows(root)) >= n:
            return True
        time.sleep(0.005)
    return False


# What comes out


def test_a_folder_becomes_a_balanced_cache(finished: Path, videos: Path) -> None:
    cache = FaceCache(finished)
    rows = cache.rows()
    assert counts(rows) == {
        "train": {"REAL": 8, "FAKE": 8},
        "val": {"REAL": 1, "FAKE": 1},
        "test": {"REAL": 1, "FAKE": 1},
    }
    truth = {
        name.removesuffix(".mp4"): entry
        for part in videos.glob("dfdc_*")
        for name, entry in json.loads((part / "metadata.json").read_text()).items()
    }
    for row in rows:
        assert row.label == truth[row.video]["label"]
        assert row.method == truth[row.video].get("method", "")
        assert row.group == truth[row.video].get("original", f"{row.video}.mp4").removesuffix(".mp4")
        assert (row.width, row.height, row.n_frames, row.face_detector) == (160, 120, 12, "middle")
        clip = cache.read_clip(row.video)
        assert clip.faces.shape == (10, 3, 32, 32)
        assert (cache.read_faces(row.video) == clip.faces).all()
        assert row.n_found == clip.found.sum() > 0


def test_a_cache_tells_how_to_prepare_one_more_video_the_same_way(finished: Path, videos: Path) -> None:
    preparation = FacePreparation.from_settings(read_profile(finished))
    row = FaceCache(finished).rows()[0]
    assert preparation.profile == row.profile
    (path,) = videos.rglob(f"{row.video}.mp4")
    for ours, theirs in zip(
        first_clip(preparation, path), FaceCache(finished).read_clip(row.video), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_preparation_that_cannot_be_had_again_is_refused(finished: Path) -> None:
    with pytest.raises(UserError, match="revision"):
        FacePreparation.from_settings({**read_profile(finished), "revision": 0})


@dataclass(frozen=True)
class Shuffled(FolderSource):
    """A folder that lists its videos in another order."""

    seed: int = 0

    def stages(self) -> Iterator[Stage]:
        for stage in super().stages():
            videos = list(stage.videos)
            random.Random(self.seed).shuffle(videos)
            yield Stage(videos)


def test_neither_order_of_listing_nor_workers_change_a_byte(
    finished: Path, videos: Path, tmp_path: Path
) -> None:
    prepare(Shuffled(videos), FACES, ByGroup(), tmp_path, per_label=10, workers=1)
    assert content(tmp_path) == content(finished)


def test_shards_and_one_more_run_equal_one_run(finished: Path, videos: Path, tmp_path: Path) -> None:
    for number in range(3):
        prepare(
            FolderSource(videos), FACES, ByGroup(), tmp_path, per_label=10, workers=1, shard=Shard(number, 3)
        )
        assert not (tmp_path / "manifest.csv").exists()
    assert len(noted_rows(tmp_path)) == len(FaceCache(finished).rows())
    prepare(FolderSource(videos), FACES, ByGroup(), tmp_path, per_label=10, workers=1)
    assert content(tmp_path) == content(finished)


def test_parts_decide_the_split_where_asked_for(videos: Path, tmp_path: Path) -> None:
    splitter = ByPart(train="0", val="1", test="2")
    rows = prepare(FolderSource(videos), FACES, splitter, tmp_path, per_label=9, workers=2)
    part = {path.stem: path.parent.name[-1] for path in videos.rglob("*.mp4")}
    assert {(row.split, part[row.video]) for row in rows if row.split} == {
        ("train", "0"),
        ("val", "1"),
        ("test", "2"),
    }
    assert counts(rows)["test"] == {"REAL": 3, "FAKE": 3}


def test_a_larger_quota_goes_on_from_a_finished_cache(finished: Path, videos: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "cache")
    old = {path.name: path.stat().st_ino for path in (tmp_path / "cache" / "clips").iterdir()}
    prepare(FolderSource(videos), FACES, ByGroup(), tmp_path / "cache", per_label=15, workers=2)
    new = {path.name: path.stat().st_ino for path in (tmp_path / "cache" / "clips").iterdir()}
    assert len(new) > len(old)
    assert {name: new[name] for name in old} == old


def test_a_smaller_quota_uses_fewer_and_says_why(
    finished: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, tmp_path / "cache")
    rows = prepare(FolderSource(videos), FACES, ByGroup(), tmp_path / "cache", per_label=6)
    assert len(rows) == 20 and sum(bool(row.split) for row in rows) == 12
    assert "8 good but not used: per_label=6 asks for no more" in capsys.readouterr().out


# What goes wrong on the way


def test_killed_at_any_moment_it_ends_with_the_same_bytes(
    finished: Path, videos: Path, tmp_path: Path
) -> None:
    kept, kills = {}, 0
    for n in (1, 6, 13):
        with start(*command(videos, tmp_path, "+face_detector.seconds=0.01")) as process:
            kills += until(tmp_path, n, process)
            os.killpg(process.pid, signal.SIGKILL)
        assert not (tmp_path / "manifest.csv").exists()
        clips = {path.name: path.stat().st_ino for path in (tmp_path / "clips").glob("*.npz")}
        assert all(clips[name] == inode for name, inode in kept.items()), (
            "a clip that was done was done again"
        )
        kept = {f"{row.video}.npz": clips[f"{row.video}.npz"] for row in noted_rows(tmp_path)}
    assert kills == 3
    assert run(*command(videos, tmp_path)).returncode == 0
    assert content(tmp_path) == content(finished)
    assert not list(tmp_path.rglob("*.tmp"))


@dataclass(frozen=True)
class Dangerous(FolderSource):
    """A folder in which opening one video ends or holds up the process that does it."""

    name: str = ""
    marks: str = ""  # folder that remembers how often it happened
    times: int = 1
    hang: bool = False

    def open(self, video: Video) -> AbstractContextManager[Path]:
        if video.name == self.name:
            marks = Path(self.marks)
            n = len(list(marks.iterdir()))
            if n < self.times:
                (marks / str(n)).touch()
                if not self.hang:
                    os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)
        return super().open(video)


@pytest.fixture
def dangerous(finished: Path, videos: Path, tmp_path: Path) -> Dangerous:
    marks = tmp_path / "marks"
    marks.mkdir()
    return Dangerous(videos, FaceCache(finished).rows()[5].video, str(marks))


def test_a_killed_worker_costs_nothing(dangerous: Dangerous, finished: Path, tmp_path: Path) -> None:
    prepare(dangerous, FACES, ByGroup(), tmp_path / "cache", per_label=10, workers=2)
    assert len(list(Path(dangerous.marks).iterdir())) == 1
    assert content(tmp_path / "cache") == content(finished)


def test_a_video_that_always_kills_its_worker_becomes_a_row(dangerous: Dangerous, tmp_path: Path) -> None:
    source = Dangerous(dangerous.path, dangerous.name, dangerous.marks, times=99)
    rows = prepare(source, FACES, ByGroup(), tmp_path / "cache", per_label=10, workers=2)
    assert len(list(Path(dangerous.marks).iterdir())) == 3
    (bad,) = [row for row in rows if row.status != "ok"]
    assert (bad.video, bad.status, bad.split) == (dangerous.name, "crashed", "")
    assert sum(bool(row.split) for row in rows) == 20


def test_a_decoder_that_hangs_is_killed_and_becomes_a_row(dangerous: Dangerous, tmp_path: Path) -> None:
    source = Dangerous(dangerous.path, dangerous.name, dangerous.marks, times=99, hang=True)
    began = time.monotonic()
    rows = prepare(source, FACES, ByGroup(), tmp_path / "cache", per_label=10, workers=2, timeout=5.0)
    assert time.monotonic() - began < 25
    (bad,) = [row for row in rows if row.status != "ok"]
    assert (bad.video, bad.status) == (dangerous.name, "timeout")
    assert "5 seconds" in bad.detail
    assert sum(bool(row.split) for row in rows) == 20
    again = prepare(
        FolderSource(dangerous.path),
        FACES,
        ByGroup(),
        tmp_path / "cache",
        per_label=10,
        workers=2,
        redo=["timeout"],
    )
    assert {row.status for row in again} == {"ok"}


class SlowToBegin:
    """Work that a process needs two seconds to learn."""

    def __init__(self) -> None:
        self.learnt = True

    def __setstate__(self, state: dict[str, bool]) -> None:
        time.sleep(2)

    def __call__(self, task: int) -> int:
        return task + 1


def test_the_start_of_a_worker_is_no_part_of_a_videos_time() -> None:
    with Pool(SlowToBegin(), workers=1, timeout=1.0) as pool:
        assert list(pool.map([1, 2])) == [(1, 2), (2, 3)]


def test_ctrl_c_stops_within_two_seconds_and_leaves_no_process(videos: Path, tmp_path: Path) -> None:
    with start(*command(videos, tmp_path, "+face_detector.seconds=0.05")) as process:
        assert until(tmp_path, 2, process)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert time.monotonic() - began < 2
        assert process.returncode == 130
        assert said.strip().splitlines()[-1].startswith("stopped: ")
        assert "Traceback" not in said
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and _alive(process.pid):
            time.sleep(0.02)
        assert not _alive(process.pid)


def test_no_copy_of_an_archived_video_is_left_behind(videos: Path, tmp_path: Path) -> None:
    parts, out = tmp_path / "parts", tmp_path / "cache"
    scratch = Path(tempfile.mkdtemp())  # tmp_path is too long for what lies in TMPDIR
    for part in videos.glob("dfdc_*"):
        shutil.make_archive(str(parts / part.name), "zip", videos, part.name)
    words = command(parts, out, "source=zip", "per_label=4", "+face_detector.seconds=0.03")
    for end in (signal.SIGINT, None):  # by Ctrl-C, and by itself
        copies: list[Path] = []
        with subprocess.Popen(words, cwd=ROOT, env=ENVIRONMENT | {"TMPDIR": str(scratch)}) as process:
            while process.poll() is None and not copies:
                copies = list(scratch.rglob("*.mp4"))
                time.sleep(0.01)
            assert copies
            if end is not None:
                process.send_signal(end)
        assert process.returncode == (0 if end is None else 130)
        assert not list(scratch.rglob("*.mp4"))
    shutil.rmtree(scratch)


def test_a_temporary_folder_too_deep_for_a_socket_is_named(videos: Path, tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 20)
    deep.mkdir()
    words = command(videos, tmp_path / "cache")
    done = subprocess.run(
        words, cwd=ROOT, env=ENVIRONMENT | {"TMPDIR": str(deep)}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: TMPDIR={deep} is too long")


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_second_process_is_sent_away(videos: Path, finished: Path) -> None:
    before = content(finished)
    with locked(finished, Shard()):
        done = run(*command(videos, finished))
        assert done.returncode == 2
        assert "another process works on" in done.stderr
        with pytest.raises(UserError, match="another process"):
            prepare(FolderSource(videos), FACES, ByGroup(), finished, shard=Shard(0, 2))
    with (
        locked(finished, Shard(0, 2)),
        locked(finished, Shard(1, 2)),
        pytest.raises(UserError, match="another"),
    ):
        prepare(FolderSource(videos), FACES, ByGroup(), finished)
    assert content(finished) == before


def test_what_the_system_refuses_is_not_taken_for_another_process(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), locked(tmp_path, Shard()):
        raise BlockingIOError("no more processes")


def test_a_full_disk_damages_nothing(videos: Path, finished: Path, tmp_path: Path) -> None:
    limited = [
        "bash",
        "-c",
        'ulimit -f 16; exec "$@"',
        "-",
        *command(videos, tmp_path),
    ]  # KiB a file: no clip fits
    done = run(*limited)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "clips").glob("*.npz"))
    assert run(*command(videos, tmp_path)).returncode == 0
    assert content(tmp_path) == content(finished)


def test_a_folder_that_cannot_be_written_is_named(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        prepare(FolderSource(videos), FACES, ByGroup(), tmp_path / "file" / "cache")


def test_a_cache_of_another_profile_is_refused(videos: Path, finished: Path) -> None:
    before = content(finished)
    done = run(*command(videos, finished, "size=48"))
    assert done.returncode == 2
    assert "size: 32 there, 48 here" in done.stderr
    assert content(finished) == before


def test_a_line_cut_off_in_the_journal_is_as_if_never_begun(
    videos: Path, finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "cache")
    (tmp_path / "cache" / "manifest.csv").unlink()
    rows = FaceCache(finished).rows()
    folder = tmp_path / "cache" / "journal"
    folder.mkdir()
    whole = json.dumps(rows[0]._replace(split="", group=""))
    begun = [
        json.dumps(rows[1])[:40].encode(),
        b"\0\0\0\0",
        b"\xff\xfe[",
    ]  # cut off by a kill, or by a power cut
    (folder / "0-of-1.jsonl").write_bytes(b"\n".join([whole.encode(), *begun]))
    prepare(FolderSource(videos), FACES, ByGroup(), tmp_path / "cache", per_label=10, workers=2)
    assert content(tmp_path / "cache") == content(finished)


def test_a_lost_clip_is_made_again(videos: Path, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "cache")
    sorted((tmp_path / "cache" / "clips").iterdir())[3].unlink()
    prepare(FolderSource(videos), FACES, ByGroup(), tmp_path / "cache", per_label=10, workers=1)
    assert content(tmp_path / "cache") == content(finished)


def test_a_finished_cache_is_left_as_it_is(videos: Path, finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    prepare(FolderSource(videos), FACES, ByGroup(), finished, per_label=10)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("redo=no_fase", "redo must be one of unreadable"),
        ("redo=null", "redo must be"),
        ("frames=10.5", "frames must be a whole number of at least 1 (got 10.5)"),
        ("timeout=null", "timeout must be a number of seconds above 0 (got null)"),
        ("workers=0.5", "workers must be a whole number of at least 1, or auto (got 0.5)"),
        ("per_label=1.5", "per_label must be a whole number of at least 1, or null (got 1.5)"),
        ("split.fractions.train=abc", "abc"),
        (
            f"{HAAR} +face_detector.long_side=abc",
            "long_side must be a whole number of at least 64 (got abc)",
        ),
        (f"face_detector=yunet {YUNET} face_detector.model=nowhere.onnx", "nowhere.onnx"),
        ("split=by_part split.val=0-9", "val"),
        ("workers=many", "workers must be"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(
    override: str, word: str, videos: Path, tmp_path: Path
) -> None:
    done = run(*command(videos, tmp_path / "cache", *override.split()))
    assert done.returncode == 2
    assert word in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("out=cache", "error: source.path= is missing: give source.path=VALUE"),
        (
            "source.path=my_(1)_videos",
            "error: 'source.path=my_.1._videos' cannot be read as key=value: .*quotes",
        ),
        ("souce=folder", "error: Could not override 'souce'.*not in struct\\)"),
        ("source=foldr", "error: .*'source/foldr'.*folder kaggle .*wild_deepfake zip"),
        ("detector=haar", "error: the key detector is now called face_detector: give face_detector=VALUE"),
        (
            "+detector.long_side=320",
            "error: .*detector.long_side is now called face_detector.long_side: give",
        ),
    ],
)
def test_a_wrong_word_of_the_command_line_is_told_without_a_programmers_words(
    words: str, sentence: str
) -> None:
    done = run(sys.executable, str(ROOT / "prepare_faces.py"), *words.split())
    assert done.returncode == 2
    assert re.fullmatch(sentence + ".*\n", done.stderr)
    assert "object_type" not in done.stderr and "search path" not in done.stderr


def test_a_wrong_shard_or_number_is_named(videos: Path, tmp_path: Path) -> None:
    assert Shard.parse("1/3") == Shard.parse(1, 3) == Shard(1, 3)
    for shard, n in (("3/3", None), ("1", None), ("x", 3), ("-1/3", None)):
        with pytest.raises(UserError, match=rf"shard must be i/n .*\(got {shard}\)"):
            Shard.parse(shard, n)
    for name, value in (("workers", 0), ("per_label", 0), ("timeout", -1.0)):
        with pytest.raises(UserError, match=rf"{name} must be .*\(got {value}\)"):
            prepare(FolderSource(videos), FACES, ByGroup(), tmp_path, **{name: value})


def test_one_label_alone_is_refused(videos: Path, tmp_path: Path) -> None:
    part = tmp_path / "dfdc_train_part_0"
    shutil.copytree(videos / "dfdc_train_part_0", part)
    entries = json.loads((part / "metadata.json").read_text())
    (part / "metadata.json").write_text(
        json.dumps({k: v for k, v in entries.items() if v["label"] == "REAL"})
    )
    with pytest.raises(UserError, match="0 FAKE"):
        prepare(FolderSource(tmp_path), FACES, ByGroup(), tmp_path / "cache")


# What the check finds


def flip_a_bit(cache: FaceCache) -> None:
    path = cache.clip_path(cache.rows()[2].video)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def shrink_a_clip(cache: FaceCache) -> None:
    clip = cache.read_clip(cache.rows()[2].video)
    cache.write_clip(cache.rows()[2].video, clip._replace(faces=clip.faces[:, :, :16, :16].copy()))


def squash_a_box(cache: FaceCache) -> None:
    clip = cache.read_clip(cache.rows()[2].video)
    cache.write_clip(cache.rows()[2].video, clip._replace(boxes=clip.boxes * np.float32([1, 1, 2, 1])))


def change(place: str, **fields: object) -> Callable[[FaceCache], None]:
    """Rewrite one row of a split."""

    def damage(cache: FaceCache) -> None:
        rows = cache.rows()
        number = next(n for n, row in enumerate(rows) if row.split == place)
        rows[number] = rows[number]._replace(**fields)
        cache.write_rows(rows)

    return damage


def swap_a_group(cache: FaceCache) -> None:
    """A FAKE goes where its source is not, and another one comes back for it: still balanced, but a leak."""
    rows = cache.rows()
    train, val = (
        next(n for n, row in enumerate(rows) if row.split == split and row.label == "FAKE")
        for split in ("train", "val")
    )
    rows[train], rows[val] = rows[train]._replace(split="val"), rows[val]._replace(split="train")
    real = next(row for row in rows if row.split == "train" and row.label == "REAL")
    rows[train] = rows[train]._replace(original=real.video, group="invented")
    cache.write_rows(rows)


def drop_a_row(cache: FaceCache) -> None:
    cache.write_rows(row for row in cache.rows() if row.video != cache.rows()[0].video)


def leave_a_journal(cache: FaceCache) -> None:
    with journal_of(cache.root, Shard()):
        pass


DAMAGE = {
    "CRC-32": flip_a_bit,
    "expected (10, 3, 32, 32)": shrink_a_clip,
    "not squares": squash_a_box,
    "does not exist": lambda cache: cache.clip_path(cache.rows()[0].video).unlink(),
    "is damaged": lambda cache: os.truncate(cache.clip_path(cache.rows()[0].video), 999),
    "of profile other": change("val", profile="other"),
    "has the label 'FAK'": change("train", label="FAK"),
    "profile.json is damaged": lambda cache: (cache.root / "profile.json").write_text('{"settings": 5}'),
    "profile.json": lambda cache: (cache.root / "profile.json").unlink(),
    "7 REAL, 8 FAKE": change("train", label="dropped", split=""),
    "in train and val": swap_a_group,
    "is in train, but no_face": change("train", status="no_face", detail="nobody there"),
    "n_found is 3": change("test", n_found=3),
    "beyond the video's 5": change("test", n_frames=5),
    "is in split 'dev'": change("test", split="dev"),
    "REAL, ": drop_a_row,
    "once more, without shard": leave_a_journal,
}


def test_a_sound_cache_passes_the_check(finished: Path, videos: Path) -> None:
    done = run(sys.executable, str(ROOT / "prepare_faces.py"), f"check={finished}")
    assert done.returncode == 0, done.stdout
    assert "WRONG" not in done.stdout
    assert f"{finished}: sound\n" in done.stdout
    assert "shortcuts: not measured: " in done.stdout  # a few groups tell nothing
    assert (finished / "check" / "index.html").is_file()


@pytest.mark.parametrize("word", DAMAGE)
def test_the_check_names_what_is_wrong(
    word: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, tmp_path / "cache")
    DAMAGE[word](FaceCache(tmp_path / "cache"))
    assert check(tmp_path / "cache") == 1
    said = capsys.readouterr().out
    assert "WRONG" in said
    assert word in said


def test_the_check_of_nothing_is_an_error(tmp_path: Path) -> None:
    done = run(sys.executable, str(ROOT / "prepare_faces.py"), f"check={tmp_path}")
    assert done.returncode == 2
    assert "does not exist" in done.stderr


def test_one_label_is_enough_where_that_is_asked_for(videos: Path, tmp_path: Path) -> None:
    alone = tmp_path / "fakes"
    alone.mkdir()
    names = [path for path in sorted(videos.rglob("*.mp4"))[:4]]
    for path in names:
        (alone / path.name).symlink_to(path)
    lines = "".join(f"{path.name},FAKE\n" for path in names)
    (alone / "labels.csv").write_text(f"video,label\n{lines}")
    with pytest.raises(UserError, match="labels=any takes what there is"):
        prepare(FolderSource(alone), FACES, ByGroup(), tmp_path / "cache", workers=1)
    rows = prepare(FolderSource(alone), FACES, ByGroup(), tmp_path / "cache", workers=1, labels="any")
    assert [row.split != "" for row in rows] == [True] * 4
    assert check(tmp_path / "cache") == 0
