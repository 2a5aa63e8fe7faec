"""Folders of videos: what is listed, what is there, and what is said when the two disagree."""

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from plain_user import by_a_plain_user

from dfdc_lightning.video.listing import SourceError, part_number, video_id
from dfdc_lightning.video.sources import FolderSource, Video


def part(folder: Path, metadata: Any, *files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    (folder / "metadata.json").write_text(text, encoding="utf-8")
    for file in files:
        (folder / file).write_bytes(b"video")
    return folder


def videos_of(path: Path) -> dict[str, Video]:
    (stage,) = FolderSource(path).stages()
    assert [video.name for video in stage.videos] == sorted(video.name for video in stage.videos)
    return {video.name: video for video in stage.videos}


REAL, FAKE = {"label": "REAL"}, {"label": "FAKE", "split": "train", "original": "a.mp4"}


def test_the_dfdc_sample_is_listed_whole(shared: Path) -> None:
    videos = videos_of(shared / "data" / "dfdc_sample")
    assert len(videos) == 5
    assert sorted(video.label for video in videos.values()) == ["FAKE"] * 3 + ["REAL"] * 2
    assert {video.part for video in videos.values()} == {"0"}
    assert {video.status for video in videos.values()} == {"ok"}


def test_a_part_and_a_folder_of_parts_at_any_depth_list_the_same(tmp_path: Path) -> None:
    part(tmp_path / "unpacked_00" / "dfdc_train_part_0", {"a.mp4": REAL, "b.mp4": FAKE}, "a.mp4", "b.mp4")
    part(tmp_path / "dfdc_train_part_12", {"c.mp4": FAKE}, "c.mp4")
    videos = videos_of(tmp_path)
    assert {name: video.part for name, video in videos.items()} == {"a": "0", "b": "0", "c": "12"}
    assert videos["b"].original == "a"
    assert videos["c"].original == "a"
    assert videos_of(tmp_path / "dfdc_train_part_12")["c"] == videos["c"]


def test_open_gives_the_file_in_any_process(tmp_path: Path) -> None:
    path = part(tmp_path, {"a.mp4": REAL}, "a.mp4")
    source = pickle.loads(pickle.dumps(FolderSource(path)))
    with source.open(pickle.loads(pickle.dumps(videos_of(path)["a"]))) as file:
        assert file.read_bytes() == b"video"
    assert (path / "a.mp4").exists()


def test_listing_and_folder_that_disagree_become_videos_with_a_reason(tmp_path: Path) -> None:
    path = part(
        tmp_path, {"a.mp4": REAL, "gone.mp4": FAKE, "folder.mp4": FAKE}, "a.mp4", "new.mp4", "notes.txt"
    )
    (path / "folder.mp4").mkdir()
    videos = videos_of(path)
    assert {name: video.status for name, video in videos.items()} == {
        "a": "ok",
        "folder": "unreadable",
        "gone": "missing",
        "new": "unlisted",
    }
    assert "gone.mp4" in videos["gone"].detail
    assert videos["gone"].label == "FAKE"
    assert "new.mp4" in videos["new"].detail
    assert videos["new"].label == ""


def test_an_original_that_is_not_in_the_set_is_kept_as_a_name(tmp_path: Path) -> None:
    path = part(
        tmp_path, {"b.mp4": {"label": "FAKE", "original": "elsewhere.mp4"}, "c.mp4": REAL}, "b.mp4", "c.mp4"
    )
    assert videos_of(path)["b"].original == "elsewhere"
    assert videos_of(path)["c"].original == ""


def test_labels_csv_lists_videos_in_folders_with_any_name(tmp_path: Path) -> None:
    for name in ("real/one.mp4", 'fake/it\'s "two", 視頻.mp4'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"video")
    text = 'video,label,original\nreal/one.mp4,REAL,\n"fake/it\'s ""two"", 視頻.mp4",FAKE,real/one.mp4\n'
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    videos = videos_of(tmp_path)
    fake = videos['fake__it\'s "two", 視頻']
    assert (fake.label, fake.original, fake.status) == ("FAKE", "real__one", "ok")
    assert videos["real__one"].label == "REAL"
    with FolderSource(tmp_path).open(fake) as file:
        assert file.is_file()


def test_labels_csv_needs_no_original_and_reports_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("\ufeffvideo,label\na.mp4,REAL\n", encoding="utf-8")
    (tmp_path / "b.MP4").write_bytes(b"video")
    assert {name: video.status for name, video in videos_of(tmp_path).items()} == {
        "a": "missing",
        "b": "unlisted",
    }


def test_spaces_after_commas_mean_nothing(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("video, label, original\na.mp4, REAL, \nb.mp4, FAKE, a.mp4 \n")
    videos = videos_of(tmp_path)
    assert [(video.label, video.original) for video in videos.values()] == [("REAL", ""), ("FAKE", "a")]


def test_labels_csv_says_who_how_and_in_which_split(tmp_path: Path) -> None:
    header = "video,label,original,method,person,split\n"
    text = "a.mp4,REAL,,,ann,test\nb.mp4,REAL,,,bob,\nc.mp4,FAKE,a.mp4; b.mp4,face swap,ann;bob,test\n"
    (tmp_path / "labels.csv").write_text(header + text)
    real, _, fake = videos_of(tmp_path).values()
    assert (real.method, real.person, real.official) == ("", "ann", "test")
    assert (fake.original, fake.method, fake.person, fake.official) == ("a/b", "face swap", "ann/bob", "test")


def test_metadata_json_may_say_how_a_fake_was_made(tmp_path: Path) -> None:
    entries = {"a.mp4": {"label": "REAL"}, "b.mp4": {"label": "FAKE", "original": "a.mp4", "method": "swap"}}
    (tmp_path / "metadata.json").write_text(json.dumps(entries))
    assert [video.method for video in videos_of(tmp_path).values()] == ["", "swap"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("a.mp4,REAL,,swap,,", "line 2: 'a.mp4' is REAL and has the method 'swap'"),
        ("a.mp4,FAKE,,,,valid", r"split of 'a.mp4' must be one of train, val, test.*got 'valid'"),
    ],
)
def test_what_contradicts_itself_in_labels_csv_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    (tmp_path / "labels.csv").write_text(f"video,label,original,method,person,split\n{line}\n")
    with pytest.raises(SourceError, match=sentence):
        videos_of(tmp_path)


def test_an_original_named_without_its_folder_is_refused_for_it_would_leak(tmp_path: Path) -> None:
    text = "video,label,original\nreal/a.mp4,REAL,\nfake/a.mp4,FAKE,"
    (tmp_path / "labels.csv").write_text(text + "a.mp4\n")
    with pytest.raises(SourceError, match=r"line 3: the original 'a\.mp4' .* 'real/a\.mp4'"):
        videos_of(tmp_path)
    (tmp_path / "labels.csv").write_text(text + "elsewhere.mp4\n")
    assert videos_of(tmp_path)["fake__a"].original == "elsewhere"


def test_parts_that_are_links_to_other_disks_are_listed_and_a_circle_ends(tmp_path: Path) -> None:
    part(tmp_path / "disk" / "dfdc_train_part_1", {"a.mp4": REAL}, "a.mp4")
    part(tmp_path / "parts" / "dfdc_train_part_0", {"b.mp4": REAL, "in/c.mp4": REAL}, "b.mp4")
    part(tmp_path / "elsewhere", {}, "c.mp4")
    (tmp_path / "parts" / "dfdc_train_part_1").symlink_to(tmp_path / "disk" / "dfdc_train_part_1")
    (tmp_path / "parts" / "dfdc_train_part_0" / "in").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "parts" / "round").symlink_to(tmp_path)
    videos = videos_of(tmp_path / "parts")
    assert {name: video.status for name, video in videos.items()} == {"a": "ok", "b": "ok", "in__c": "ok"}
    assert videos["a"].part == "1"


def test_a_name_that_is_not_utf_8_is_told_in_letters_that_are(tmp_path: Path) -> None:
    path = part(tmp_path, {"a.mp4": REAL}, "a.mp4")
    Path(os.fsdecode(os.fsencode(path) + b"/caf\xe9.mp4")).write_bytes(b"video")
    unlisted = videos_of(path)["caf\\xe9"]
    assert unlisted.status == "unlisted"
    f"{unlisted.name} {unlisted.detail}".encode()


def test_an_id_too_long_for_a_clip_is_unreadable_and_the_longest_that_fits_is_not(tmp_path: Path) -> None:
    fits, too_long = "漢" * 83, f"folder/{'漢' * 83}"
    path = part(tmp_path, {f"{fits}.mp4": REAL, f"{too_long}.mp4": REAL}, f"{fits}.mp4")
    (path / "folder").mkdir()
    shutil.copy(path / f"{fits}.mp4", path / f"{too_long}.mp4")
    videos = videos_of(path)
    assert videos[fits].status == "ok"
    assert videos[video_id(too_long)].status == "unreadable"
    assert "rename it" in videos[video_id(too_long)].detail


LIST = """
import sys
from dfdc_lightning.video.sources import FolderSource
try:
    print([video.name for stage in FolderSource(sys.argv[1]).stages() for video in stage.videos])
except ValueError as error:
    print(type(error).__name__, error)
"""


def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    part(tmp_path / "parts" / "dfdc_train_part_0", {"a.mp4": REAL}, "a.mp4")
    other = part(tmp_path / "parts" / "dfdc_train_part_1", {"b.mp4": REAL}, "b.mp4")
    (tmp_path / "labels.csv").write_text("video,label\na.mp4,REAL\n")
    try:
        other.chmod(0)
        done = by_a_plain_user(LIST, tmp_path / "parts")
        assert done.stdout == "['a']\n"
        assert done.stderr.startswith(f"warning: {other} cannot be read (Permission denied)")
        for path in (tmp_path / "labels.csv", tmp_path / "parts"):
            path.chmod(0)
            done = by_a_plain_user(LIST, tmp_path if path.suffix else path)
            assert done.stdout.startswith(f"SourceError {path}")
            assert "cannot be read (Permission denied)" in done.stdout
            path.chmod(0o700)
            path.unlink() if path.suffix else None
    finally:
        (tmp_path / "parts").chmod(0o700)
        other.chmod(0o700)


METADATA = {
    "not JSON": ("{", "is not JSON"),
    "a list": ([], "must be one JSON object with an entry per video (got list)"),
    "no object": ({"a.mp4": "FAKE"}, "'a.mp4'"),
    "no label": ({"a.mp4": {"split": "train"}}, "'a.mp4' must have a \"label\""),
    "another label": ({"a.mp4": {"label": "MAYBE"}}, "'MAYBE'"),
    "a number as label": ({"a.mp4": {"label": 1}}, "label of 'a.mp4' must be one of REAL, FAKE (got 1)"),
    "a list as label": ({"a.mp4": {"label": ["REAL"]}}, "REAL, FAKE"),
    "a number as original": (
        {"a.mp4": {"label": "FAKE", "original": 3}},
        "original of 'a.mp4' must be the name of a video or null (got 3)",
    ),
    "no name as original": (
        {"a.mp4": {"label": "FAKE", "original": "."}},
        "original of 'a.mp4' must be the name of a video (got '.')",
    ),
    "a name outside": ({"../a.mp4": REAL}, "'../a.mp4'"),
    "an absolute name": ({"/etc/passwd": REAL}, "'/etc/passwd'"),
    "a drive": ({"C:\\a.mp4": REAL}, "inside its folder"),
    "a line break": ({"a\nb.mp4": REAL}, "inside its folder"),
    "nothing": ({}, "no videos"),
}


@pytest.mark.parametrize("kind", METADATA)
def test_a_metadata_json_that_cannot_be_used_is_one_sentence(kind: str, tmp_path: Path) -> None:
    content, message = METADATA[kind]
    part(tmp_path / "dfdc_train_part_3", content)
    with pytest.raises(SourceError) as raised:
        list(FolderSource(tmp_path).stages())
    assert message in str(raised.value)
    assert "metadata.json" in str(raised.value)


LABELS = {
    "no header": ("a.mp4,REAL\n", "expected video,label"),
    "empty": ("", "expected video,label"),
    "another label": ("video,label\na.mp4,REAL\nb.mp4,fake?\n", "line 3"),
    "short line": ("video,label\na.mp4\n", "line 2"),
    "a name outside": ("video,label\n../a.mp4,REAL\n", "'../a.mp4'"),
    "no name": ("video,label\n,REAL\n", "line 2"),
    "only a header": ("video,label\n", "no videos"),
}


@pytest.mark.parametrize("kind", LABELS)
def test_a_labels_csv_that_cannot_be_used_is_one_sentence(kind: str, tmp_path: Path) -> None:
    content, message = LABELS[kind]
    (tmp_path / "labels.csv").write_text(content, encoding="utf-8")
    with pytest.raises(SourceError) as raised:
        list(FolderSource(tmp_path).stages())
    assert message in str(raised.value)
    assert "labels.csv" in str(raised.value)


def test_a_labels_csv_in_another_encoding_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes("video,label\né.mp4,REAL\n".encode("latin-1"))
    with pytest.raises(SourceError, match="UTF-8"):
        list(FolderSource(tmp_path).stages())


def test_two_videos_with_one_name_are_refused(tmp_path: Path) -> None:
    part(tmp_path / "part_0", {"a.mp4": REAL}, "a.mp4")
    shutil.copytree(tmp_path / "part_0", tmp_path / "part_1")
    with pytest.raises(SourceError, match="two videos are called 'a'.*part_0.*part_1"):
        list(FolderSource(tmp_path).stages())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "is not a folder"),
        (lambda path: path.write_text("x"), "is not a folder"),
        (lambda path: path.mkdir(), "is empty"),
        (lambda path: (path / "deep").mkdir(parents=True), "neither metadata.json nor labels.csv"),
    ],
)
def test_a_folder_that_holds_no_listing_is_one_sentence(make: Any, message: str, tmp_path: Path) -> None:
    make(tmp_path / "videos")
    with pytest.raises(SourceError, match=message):
        list(FolderSource(str(tmp_path / "videos")).stages())


def test_ids_and_part_numbers_follow_from_names() -> None:
    assert video_id("a/b c/d.e.mp4") == "a__b c__d.e"
    assert video_id("") == ""
    assert [part_number(name) for name in ("dfdc_train_part_07", "x", "12")] == ["7", "", "12"]
