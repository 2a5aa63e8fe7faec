"""Archives: members one by one, nothing unpacked elsewhere, nothing unsafe accepted."""

import json
import pickle
import stat
import zipfile
from pathlib import Path

import pytest

from dfdc_lightning.video.archive import ZipSource
from dfdc_lightning.video.frames import FrameError
from dfdc_lightning.video.listing import SourceError
from dfdc_lightning.video.sources import Video

CONTENT = bytes(range(256)) * 2000


def archive(
    path: Path, *names: str, prefix: str = "dfdc_train_part_4/", listed: list[str] | None = None
) -> Path:
    metadata = {
        name: {"label": "FAKE", "original": "x.mp4"} for name in (names if listed is None else listed)
    }
    with zipfile.ZipFile(path, "w") as members:
        members.writestr(f"{prefix}metadata.json", json.dumps(metadata))
        for number, name in enumerate(names):
            kind = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
            members.writestr(f"{prefix}{name}", CONTENT, kind)
    return path


def videos_of(path: Path) -> list[Video]:
    (stage,) = ZipSource(path).stages()
    return stage.videos


@pytest.mark.parametrize("prefix", ["dfdc_train_part_4/", "data/part_4/", ""])
def test_an_archive_is_listed_wherever_its_metadata_lies(prefix: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "dfdc_train_part_04.zip", "a.mp4", "b.mp4", prefix=prefix)
    videos = videos_of(path)
    assert [(video.name, video.label, video.original, video.part) for video in videos] == [
        ("a", "FAKE", "x", "4"),
        ("b", "FAKE", "x", "4"),
    ]


def test_one_member_is_unpacked_while_it_is_open_and_gone_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    path = archive(tmp_path / "part.zip", "a.mp4", "b.mp4", 'it\'s "c" 視頻.mp4')
    source = pickle.loads(pickle.dumps(ZipSource(path)))
    for video in videos_of(path):
        with source.open(video) as file:
            assert file.read_bytes() == CONTENT
            assert [other for other in scratch.rglob("*") if other.is_file()] == [file]
        assert not list(scratch.iterdir())
    assert sorted(tmp_path.iterdir()) == [path, scratch]


def test_a_folder_of_archives_is_one_source(tmp_path: Path) -> None:
    archive(tmp_path / "dfdc_train_part_00.zip", "a.mp4", prefix="dfdc_train_part_0/")
    archive(tmp_path / "dfdc_train_part_01.zip", "b.mp4", prefix="dfdc_train_part_1/")
    assert [(video.name, video.part) for video in videos_of(tmp_path)] == [("a", "0"), ("b", "1")]


def test_listing_and_members_that_disagree_become_videos_with_a_reason(tmp_path: Path) -> None:
    path = archive(tmp_path / "part.zip", "a.mp4", "new.mp4", listed=["a.mp4", "gone.mp4"])
    assert {video.name: video.status for video in videos_of(path)} == {
        "a": "ok",
        "gone": "missing",
        "new": "unlisted",
    }


@pytest.mark.parametrize(
    "name", ["../up.mp4", "/absolute.mp4", "C:/drive.mp4", "a/../../up.mp4", "a\\..\\up.mp4", "a\x00b.mp4"]
)
def test_unsafe_member_names_are_refused(name: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "part.zip", "a.mp4")
    info = zipfile.ZipInfo("x")
    info.filename = name
    with zipfile.ZipFile(path, "a") as members:
        members.writestr(info, b"video")
    with pytest.raises(SourceError, match="unsafe name"):
        videos_of(path)
    assert list(tmp_path.iterdir()) == [path]


def test_symbolic_links_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "part.zip", "a.mp4")
    link = zipfile.ZipInfo("dfdc_train_part_4/b.mp4")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as members:
        members.writestr(link, "/etc/passwd")
    with pytest.raises(SourceError, match=r"symbolic link .*b\.mp4"):
        videos_of(path)


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "part.zip", "a.mp4")
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\1\2") + 8] |= 1  # the flags in the directory's last entry
    path.write_bytes(data)
    with pytest.raises(SourceError, match="encrypted"):
        videos_of(path)


def test_a_damaged_member_is_unreadable_and_the_others_are_not(tmp_path: Path) -> None:
    path = archive(tmp_path / "part.zip", "a.mp4", "b.mp4")
    data = bytearray(path.read_bytes())
    data[data.index(CONTENT) + 1000] ^= 1
    path.write_bytes(data)
    a, b = videos_of(path)
    with (
        pytest.raises(FrameError, match=r"a\.mp4 in .*part\.zip is damaged") as raised,
        ZipSource(path).open(a),
    ):
        pass
    assert raised.value.status == "unreadable"
    with ZipSource(path).open(b) as file:
        assert file.read_bytes() == CONTENT


def test_an_archive_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    whole = archive(tmp_path / "whole.zip", "a.mp4")
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[:-100])
    text = tmp_path / "text.zip"
    text.write_text("hello", encoding="utf-8")
    bare = tmp_path / "bare.zip"
    with zipfile.ZipFile(bare, "w") as members:
        members.writestr("a.mp4", b"video")
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, message in (
        (cut, "not a whole zip file"),
        (text, "not a whole zip file"),
        (bare, "no metadata.json"),
        (empty, "no .zip file"),
        (tmp_path / "absent.zip", "cannot be opened"),
    ):
        with pytest.raises(SourceError, match=message) as raised:
            videos_of(path)
        assert str(path) in str(raised.value)


def test_no_temporary_folder_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "part.zip", "a.mp4")
    (video,) = videos_of(path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(SourceError, match="temporary folder cannot be written .*TMPDIR"):
        ZipSource(path).open(video).__enter__()


def test_an_archive_that_went_away_stops_the_run(tmp_path: Path) -> None:
    path = archive(tmp_path / "part.zip", "a.mp4")
    (video,) = videos_of(path)
    path.unlink()
    with pytest.raises(SourceError, match="cannot be opened"), ZipSource(path).open(video):
        pass
