"""A clip comes back as it was written or not at all, and a manifest too."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from dfdc_lightning.faces.cache import CacheError, FaceCache, FaceClip, Row, counts


@pytest.fixture
def clip() -> FaceClip:
    rng = np.random.default_rng(0)
    boxes = np.tile(np.array([3, 4, 40, 41], np.float32), (5, 1))
    faces = rng.integers(0, 256, (5, 3, 32, 32), np.uint8)
    landmarks = rng.uniform(0, 32, (5, 5, 2)).astype(np.float32)
    found = np.array([1, 1, 0, 1, 1], bool)
    return FaceClip(faces, boxes, np.arange(5, dtype=np.int64) * 7, found, landmarks)


@pytest.fixture
def cache(tmp_path: Path, clip: FaceClip) -> FaceCache:
    cache = FaceCache(tmp_path)
    cache.write_clip("v", clip)
    return cache


def test_a_clip_comes_back_as_it_was_written(cache: FaceCache, clip: FaceClip) -> None:
    back = cache.read_clip("v")
    for ours, theirs in zip(back, clip, strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours == theirs).all()
    assert (cache.read_faces("v") == clip.faces).all()


def test_a_clip_of_an_earlier_version_is_read_without_landmarks(cache: FaceCache, clip: FaceClip) -> None:
    cache.write_clip("old", clip._replace(landmarks=None))
    with zipfile.ZipFile(cache.clip_path("old")) as members:
        assert "landmarks.npy" not in members.namelist()
    back = cache.read_clip("old")
    assert back.landmarks is None
    assert (back.faces == clip.faces).all()


def test_a_clip_may_be_called_as_long_as_a_file_may(cache: FaceCache, clip: FaceClip) -> None:
    for name in ("x" * 251, "漢" * 83):
        cache.write_clip(name, clip)
        assert (cache.read_faces(name) == clip.faces).all()


def test_the_same_clip_is_the_same_file(cache: FaceCache, clip: FaceClip) -> None:
    cache.write_clip("again", clip)
    assert cache.clip_path("again").read_bytes() == cache.clip_path("v").read_bytes()


def test_a_clip_file_is_an_uncompressed_npz_that_numpy_reads(cache: FaceCache, clip: FaceClip) -> None:
    with zipfile.ZipFile(cache.clip_path("v")) as members:
        assert [member.filename for member in members.infolist()] == [f"{name}.npy" for name in clip._fields]
        assert all(member.compress_type == zipfile.ZIP_STORED for member in members.infolist())


def test_faces_written_by_numpy_are_read_too(cache: FaceCache, clip: FaceClip) -> None:
    np.savez(cache.clip_path("numpy"), **clip._asdict())
    assert (cache.read_faces("numpy") == clip.faces).all()


def test_faces_are_read_into_memory_that_fits_and_into_no_other(cache: FaceCache, clip: FaceClip) -> None:
    fits, other = np.zeros_like(clip.faces), np.zeros((1, 3, 8, 8), np.uint8)
    assert cache.read_faces("v", fits) is fits
    assert (fits == clip.faces).all()
    assert (cache.read_faces("v", other) == clip.faces).all()
    assert not other.any()


def test_any_flipped_bit_of_the_faces_is_noticed(cache: FaceCache) -> None:
    path = cache.clip_path("v")
    whole = path.read_bytes()
    begin, end = whole.index(b"\x93NUMPY"), whole.index(b"PK", 100)
    for position in np.linspace(begin, end - 1, 60).astype(int):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        for read in (cache.read_faces, cache.read_clip):
            with pytest.raises(CacheError, match="is damaged"):
                read("v")


@pytest.mark.parametrize("length", [0, 10, 29, 100, 5000, -1])
def test_a_clip_cut_off_is_noticed(cache: FaceCache, length: int) -> None:
    path = cache.clip_path("v")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CacheError, match=r"v\.npz is damaged.*delete it"):
        cache.read_clip("v")


def test_faces_cut_off_are_noticed(cache: FaceCache) -> None:
    path = cache.clip_path("v")
    for length in (0, 10, 29, 100, 170, 5000):
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(CacheError, match="is damaged"):
            cache.read_faces("v")


def test_an_absent_clip_is_named(cache: FaceCache) -> None:
    for read in (cache.read_faces, cache.read_clip):
        with pytest.raises(CacheError, match=r"gone\.npz does not exist"):
            read("gone")


def test_nothing_is_unpickled(cache: FaceCache) -> None:
    np.savez(cache.clip_path("v"), faces=np.array([{"a": 1}], dtype=object))
    for read in (cache.read_faces, cache.read_clip):
        with pytest.raises(CacheError):
            read("v")


def test_faces_of_another_kind_are_refused(cache: FaceCache, clip: FaceClip) -> None:
    np.savez(cache.clip_path("v"), faces=clip.faces.astype(np.float32))
    with pytest.raises(CacheError, match="float32"):
        cache.read_faces("v")


def test_a_manifest_comes_back_sorted_and_exact(tmp_path: Path) -> None:
    cache = FaceCache(tmp_path)
    rows = [
        Row(
            "b",
            "FAKE",
            "a",
            "a",
            "val",
            n_found=9,
            width=4,
            fps=29.97,
            seconds=1 / 3,
            detail='x, "y"',
            method="m",
        ),
        Row("a", "REAL", "", "a", "val", person="x"),
        Row("ü 漢", "", status="unlisted", detail="no label"),
    ]
    cache.write_rows(rows)
    assert cache.rows() == sorted(rows)
    assert counts(cache.rows())["val"] == {"REAL": 1, "FAKE": 1}


def test_a_manifest_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    first_later = Row._fields.index("method")
    columns = ",".join(Row._fields[:first_later]).replace("face_detector", "detector")
    (tmp_path / "manifest.csv").write_text(f"{columns}\nv,FAKE,a,a,val,ok,,10,4,4,9.5,12,2.0,haar,abc\n")
    known = {"n_found": 10, "width": 4, "height": 4, "fps": 9.5, "n_frames": 12, "seconds": 2.0}
    row = Row("v", "FAKE", "a", "a", "val", face_detector="haar", profile="abc", **known)
    assert FaceCache(tmp_path).rows() == [row]
    columns = ",".join(Row._fields[: first_later + 2])
    (tmp_path / "manifest.csv").write_text(f"{columns}\nv,FAKE,a,a,val,ok,,10,4,4,9.5,12,2.0,haar,abc,m,p\n")
    assert FaceCache(tmp_path).rows() == [row._replace(method="m", person="p")]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("video,label\na,REAL\n", "has the columns"),
        (",".join(Row._fields) + "\na,REAL\n", "is damaged"),
        (",".join(Row._fields) + "\na,REAL,,,,ok,,1,1,1,1,1,1,haar", "the row of a is cut off"),
        (",".join(Row._fields) + "\na,REAL,,,,ok,,many,1,1,1,1,1,,,,,,,,\n", "many"),
        ("", "has the columns"),
    ],
)
def test_a_manifest_that_is_none_is_named(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(CacheError, match=word):
        FaceCache(tmp_path).rows()


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, clip: FaceClip) -> None:
    cache = FaceCache(tmp_path)
    (tmp_path / "clips").mkdir()
    cache.clip_path("v").mkdir()  # in the way of the rename
    with pytest.raises(OSError, match="directory"):
        cache.write_clip("v", clip)
    assert list((tmp_path / "clips").iterdir()) == [cache.clip_path("v")]
