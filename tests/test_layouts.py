"""Data sets as they are downloaded: each tree is built to the letter of its documentation, of tiny files.

Sources: FaceForensics++ and DFD: dataset/README.md and dataset/splits of ondyari/FaceForensics. Celeb-DF:
README.md of yuezunli/celeb-deepfakeforensics and its List_of_testing_videos.txt. DeeperForensics-1.0:
dataset/README.md of EndlessSora/DeeperForensics-1.0. DFDC preview: dataset.json of its archive (Dolhansky et
al., 2019). FakeAVCeleb: meta_data.csv of v1.2. WildDeepfake: the archives of its repository. DF40: README.md
of YZY-stack/DF40. DeepSpeak: the annotation files of faridlab/deepspeak_v2.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dfdc_lightning.faces.split import Candidate, group_of
from dfdc_lightning.video.celebrities import CelebDF, FakeAVCeleb
from dfdc_lightning.video.deepspeak import DeepSpeak
from dfdc_lightning.video.dfdc_sets import DFDCPreview, DFDCTest
from dfdc_lightning.video.faceforensics import DeeperForensics, DeepFakeDetection, FaceForensics
from dfdc_lightning.video.frame_folders import DF40, WildDeepfake
from dfdc_lightning.video.frames import read_frames
from dfdc_lightning.video.layout import Layout
from dfdc_lightning.video.listing import SourceError
from dfdc_lightning.video.real_videos import RealVideos
from dfdc_lightning.video.sources import Source, Video


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0")


def frames(root: Path, *names: str, n: int = 3) -> None:
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(n):
            cv2.imwrite(str(root / name / f"{number}.png"), np.full((8, 8, 3), number, np.uint8))


def videos_of(source: Layout) -> dict[str, Video]:
    return {video.name: video for stage in source.stages() for video in stage.videos}


def groups(videos: dict[str, Video]) -> dict[str, str]:
    return group_of([Candidate(v.name, v.label, v.original, person=v.person) for v in videos.values()])


def facts(videos: dict[str, Video]) -> dict[str, tuple[str, str, str, str]]:
    """Label, method, person and official split, by the last part of the name."""
    return {
        name.split("__videos__")[-1]: (v.label, v.method, v.person, v.official) for name, v in videos.items()
    }


def faceforensics(root: Path, compression: str = "c23") -> None:
    touch(
        root,
        *(f"original_sequences/youtube/{compression}/videos/{name}.mp4" for name in ("000", "003", "071")),
    )
    for method in ("Deepfakes", "NeuralTextures"):
        touch(
            root,
            *(f"manipulated_sequences/{method}/{compression}/videos/{a}.mp4" for a in ("000_003", "003_000")),
        )
    touch(root, f"manipulated_sequences/DeepFakeDetection/{compression}/videos/01_02__walk__YVGY8LOK.mp4")
    for split, pairs in {"train": [["000", "003"]], "val": [["071", "054"]], "test": []}.items():
        (root / "splits").mkdir(exist_ok=True)
        (root / "splits" / f"{split}.json").write_text(json.dumps(pairs))


def test_faceforensics_binds_both_originals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faceforensics(tmp_path)
    videos = videos_of(FaceForensics(tmp_path))
    assert facts(videos)["000"] == ("REAL", "", "", "train")
    assert facts(videos)["071"] == ("REAL", "", "", "val")
    assert facts(videos)["000_003"] == ("FAKE", "NeuralTextures", "", "train")
    assert len(videos) == 7  # DFD's actors are another data set
    of = groups(videos)
    assert len({of[name] for name in of if "071" not in name}) == 1
    assert len(set(of.values())) == 2
    assert "names 1 videos that are not there (054)" in capsys.readouterr().err
    assert len(videos_of(FaceForensics(tmp_path, methods=["Deepfakes"]))) == 5
    assert isinstance(FaceForensics(tmp_path), Source)
    with FaceForensics(tmp_path).open(next(iter(videos.values()))) as path:
        assert path.is_file()


def test_real_faceforensics_is_read(shared: Path) -> None:
    videos = videos_of(FaceForensics(shared / "data" / "ffpp_c40_sample"))
    assert [v.label for v in videos.values()].count("REAL") == 4
    assert {v.status for v in videos.values()} == {"ok"}
    fakes = [v for v in videos.values() if v.label == "FAKE"]
    assert len(fakes) == 16
    assert {v.method for v in fakes} == {"Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"}
    assert len(set(groups(videos).values())) == 2  # 183 with 253, 469 with 481
    with FaceForensics(shared).open(fakes[0]) as path:
        assert read_frames(path, 3).codec == "h264"


def test_dfd_knows_its_actors(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "original_sequences/actors/raw/videos/01__exit_phone_room.mp4",
        "original_sequences/actors/raw/videos/09__exit_phone_room.mp4",
        "manipulated_sequences/DeepFakeDetection/raw/videos/01_02__exit_phone_room__YVGY8LOK.mp4",
    )
    videos = videos_of(DeepFakeDetection(tmp_path))
    assert facts(videos)["01__exit_phone_room"] == ("REAL", "", "actor01", "")
    (fake,) = [v for v in videos.values() if v.label == "FAKE"]
    assert (fake.method, fake.person) == ("DeepFakeDetection", "actor01/actor02")
    assert fake.original == "original_sequences__actors__raw__videos__01__exit_phone_room"
    assert len(set(groups(videos).values())) == 2


def test_deeperforensics_takes_its_real_from_faceforensics(tmp_path: Path) -> None:
    root, ffpp = tmp_path / "deeper", tmp_path / "ffpp"
    faceforensics(ffpp)
    touch(
        root,
        "manipulated_videos/end_to_end/000_M101.mp4",
        "manipulated_videos/end_to_end_level_1/000_M101.mp4",
    )
    touch(root, "source_videos/M101/light_down/neutral/camera_front/M101_light_down_neutral_camera_front.mp4")
    for split, text in {"train": "000_M101.mp4\n", "val": "", "test": "054_W001.mp4\n"}.items():
        touch(root, f"lists/splits/{split}.txt")
        (root / "lists" / "splits" / f"{split}.txt").write_text(text)
    (alone,) = videos_of(DeeperForensics(root)).values()
    assert (alone.label, alone.method, alone.person, alone.official) == (
        "FAKE",
        "end_to_end",
        "M101",
        "train",
    )
    videos = videos_of(DeeperForensics(root, originals=ffpp, variants=None))
    assert sorted(v.label for v in videos.values()) == ["FAKE", "FAKE", "REAL"]
    assert len(set(groups(videos).values())) == 1


def celeb_df(root: Path) -> None:
    touch(root, "Celeb-real/id0_0000.mp4", "Celeb-real/id2_0001.mp4", "YouTube-real/00170.mp4")
    touch(root, "Celeb-synthesis/id0_id1_0000.mp4", "Celeb-synthesis/id2_id3_0001.mp4")
    (root / "List_of_testing_videos.txt").write_text(
        "1 YouTube-real/00170.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n1 Celeb-real/id9_0000.mp4\n"
    )


def test_celeb_df_binds_both_persons(tmp_path: Path) -> None:
    celeb_df(tmp_path)
    videos = videos_of(CelebDF(tmp_path))
    assert facts(videos) == {
        "Celeb-real__id0_0000": ("REAL", "", "id0", "train"),
        "Celeb-real__id2_0001": ("REAL", "", "id2", "train"),
        "Celeb-real__id9_0000": ("REAL", "", "id9", "test"),
        "YouTube-real__00170": ("REAL", "", "", "test"),
        "Celeb-synthesis__id0_id1_0000": ("FAKE", "Celeb-synthesis", "id0/id1", "test"),
        "Celeb-synthesis__id2_id3_0001": ("FAKE", "Celeb-synthesis", "id2/id3", "train"),
    }
    assert videos["Celeb-real__id9_0000"].status == "missing"
    assert len(set(groups(videos).values())) == 4


def test_the_dfdc_preview_and_test_sets_have_their_own_lists(tmp_path: Path) -> None:
    preview, test = tmp_path / "preview", tmp_path / "test"
    real, fake = (
        "original_videos/643049/643049_A_001.mp4",
        "method_B/1260311/1260311_C/1255229_1260311_C_001.mp4",
    )
    touch(preview, real, fake)
    listing = {
        real: {
            "augmentations": [],
            "label": "real",
            "set": "train",
            "target_id": "643049",
            "swapped_id": None,
        },
        fake: {
            "augmentations": ["res"],
            "label": "fake",
            "set": "test",
            "target_id": "1260311",
            "swapped_id": "643049",
        },
    }
    (preview / "dataset.json").write_text(json.dumps(listing))
    videos = videos_of(DFDCPreview(preview))
    assert {v.label: (v.method, v.person, v.official) for v in videos.values()} == {
        "REAL": ("", "643049", "train"),
        "FAKE": ("method_B", "1260311/643049", "test"),
    }
    assert len(set(groups(videos).values())) == 1
    touch(test, "a.mp4", "b.mp4")
    (test / "labels.csv").write_text("filename,label\na.mp4,0\nb.mp4,1\n")
    assert facts(videos_of(DFDCTest(test))) == {"a": ("REAL", "", "", "test"), "b": ("FAKE", "", "", "test")}


META = """source,target1,target2,method,category,type,race,gender,path,
id00076,-,-,real,A,RealVideo-RealAudio,African,men,00109.mp4,FakeAVCeleb/RealVideo-RealAudio/African/men/id00076
id00076,-,-,rtvc,B,RealVideo-FakeAudio,African,men,00109_fake.mp4,FakeAVCeleb/RealVideo-FakeAudio/African/men/id00076
id00076,id00476,-,wav2lip,D,FakeVideo-FakeAudio,African,men,00109_10_id00476_wavtolip.mp4,FakeAVCeleb/FakeVideo-FakeAudio/African/men/id00076
"""


def test_fakeavceleb_counts_what_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "meta_data.csv").write_text(META)
    place = "African/men/id00076"
    touch(tmp_path, f"RealVideo-RealAudio/{place}/00109.mp4", f"RealVideo-FakeAudio/{place}/00109_fake.mp4")
    touch(tmp_path, f"FakeVideo-FakeAudio/{place}/00109_10_id00476_wavtolip.mp4")
    videos = videos_of(FakeAVCeleb(tmp_path))
    assert {v.label: (v.method, v.person, v.status) for v in videos.values()} == {
        "REAL": ("", "id00076", "ok"),
        "FAKE": ("wav2lip", "id00076/id00476", "ok"),
    }
    assert "1 videos whose sound alone is fake are left out" in capsys.readouterr().err
    fake = next(v for v in videos.values() if v.label == "FAKE")
    assert fake.original in videos
    assert [v.label for v in videos_of(FakeAVCeleb(tmp_path, fake_audio=True)).values()].count("REAL") == 2


def wild(root: Path) -> None:
    frames(root, "fake_train/0/fake/12", "fake_test/7/fake/3", "real_train/1/real/12", "real_test/2/real/4")


def test_frames_in_folders_are_videos(tmp_path: Path) -> None:
    wild(tmp_path / "wild")
    videos = videos_of(WildDeepfake(tmp_path / "wild"))
    assert {name: (v.label, v.official) for name, v in videos.items()} == {
        "fake_test__7__fake__3": ("FAKE", "test"),
        "fake_train__0__fake__12": ("FAKE", "train"),
        "real_test__2__real__4": ("REAL", "test"),
        "real_train__1__real__12": ("REAL", "train"),
    }
    with WildDeepfake(tmp_path / "wild").open(videos["fake_test__7__fake__3"]) as path:
        read = read_frames(path, 3)
    assert [image[0, 0, 0] for image in read.images] == [0, 1, 2]
    assert (read.n_frames, read.fps, read.codec) == (3, 0.0, "")
    df40, real = tmp_path / "df40", tmp_path / "ffpp"
    frames(df40, "test/simswap/ff/frames/000_003", "test/MidJourney/fake/1", "test/MidJourney/real/2")
    frames(real, "000", "003", "700")
    videos = videos_of(DF40(df40, real=real))
    assert [v.label for v in videos.values()].count("REAL") == 4
    fake = videos["test__simswap__ff__frames__000_003"]
    assert (fake.label, fake.method, fake.official) == ("FAKE", "simswap", "test")
    of = groups(videos)
    assert of[fake.name] == of["ff__000"] == of["ff__003"] != of["ff__700"]
    assert [v.label for v in videos_of(DF40(df40, methods=["simswap"])).values()] == ["FAKE"]


def test_frames_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    frames(tmp_path, "v", n=12)
    read = read_frames(tmp_path / "v", 12)
    assert [image[0, 0, 0] for image in read.images] == list(range(12))


def test_deepspeak_is_what_its_annotations_say(tmp_path: Path) -> None:
    touch(tmp_path, "deepspeak-v2-0/87-0.mp4", "deepspeak-v2-1/diff2lip-3-0-playht.mp4")
    (tmp_path / "annotations-real.csv").write_text("video-file,identity\n87-0.mp4,87\n12-9.mp4,12\n")
    (tmp_path / "annotations-fake.csv").write_text(
        "video-file,kind,engine,identity-source,identity-target,recording-source,recording-target\n"
        "diff2lip-3-0-playht.mp4,lip-sync,diff2lip,12,87,3,0\n"
    )
    (tmp_path / "annotations-split-def.csv").write_text("identity,split\n87,test\n12,train\n")
    videos = videos_of(DeepSpeak(tmp_path))
    assert {
        v.name.split("__")[-1]: (v.label, v.method, v.person, v.official, v.status) for v in videos.values()
    } == {
        "87-0": ("REAL", "", "p87", "test", "ok"),
        "12-9": ("REAL", "", "p12", "train", "missing"),
        "diff2lip-3-0-playht": ("FAKE", "diff2lip", "p87/p12", "test", "ok"),
    }
    assert len(set(groups(videos).values())) == 1


def readme_only(root: Path) -> None:
    (root / "Celeb-synthesis" / "id0_id1_0000.mp4").unlink()
    (root / "Celeb-synthesis" / "id2_id3_0001.mp4").unlink()
    (root / "Celeb-synthesis" / "README.md").write_text("see the form")


def contradicted(root: Path) -> None:
    (root / "List_of_testing_videos.txt").write_text("1 Celeb-synthesis/id0_id1_0000.mp4\n")


Damage = Callable[[Path], Any]
WRONG: dict[str, tuple[type[Layout], Damage, Damage, str]] = {
    "nothing there": (
        CelebDF,
        lambda root: None,
        lambda root: None,
        "is not a folder: give the folder of Celeb-DF",
    ),
    "empty": (
        CelebDF,
        lambda root: root.mkdir(),
        lambda root: None,
        "List_of_testing_videos.txt is not there",
    ),
    "another data set": (
        WildDeepfake,
        celeb_df,
        lambda root: None,
        "holds Celeb-real, Celeb-synthesis, YouTube-real of Celeb-DF: give a folder with WildDeepfake alone",
    ),
    "two mixed": (
        CelebDF,
        celeb_df,
        lambda root: touch(root, "fake_train/0.tar.gz"),
        "holds fake_train of WildDeepfake too: give a folder with Celeb-DF alone",
    ),
    "a readme for videos": (
        CelebDF,
        celeb_df,
        readme_only,
        "Celeb-synthesis has no .mp4 file (found README.md): expected Celeb-real, YouTube-real",
    ),
    "a strange name": (
        CelebDF,
        celeb_df,
        lambda root: touch(root, "Celeb-real/holiday.mp4"),
        "holiday.mp4 has another name than this data set's files",
    ),
    "a list that contradicts": (
        CelebDF,
        celeb_df,
        contradicted,
        "calls Celeb-synthesis/id0_id1_0000.mp4 REAL",
    ),
    "no originals": (
        FaceForensics,
        lambda root: touch(root, "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4"),
        lambda root: None,
        "original_sequences/youtube is absent: expected raw, c23 or c40",
    ),
    "two compressions": (
        FaceForensics,
        faceforensics,
        lambda root: faceforensics(root, "c40"),
        "has c23, c40: expected raw, c23 or c40; choose one by source.compression=",
    ),
    "a method half downloaded": (
        FaceForensics,
        faceforensics,
        lambda root: (root / "manipulated_sequences/FaceSwap/c40/videos").mkdir(parents=True),
        "FaceSwap/c23/videos is not there",
    ),
    "a damaged split": (
        FaceForensics,
        faceforensics,
        lambda root: (root / "splits/val.json").write_text('{"000": "train"}'),
        "val.json must be a list of pairs of videos",
    ),
    "archives not unpacked": (
        WildDeepfake,
        wild,
        lambda root: (
            touch(root, "real_train/1.tar.gz"),
            [p.unlink() for p in root.glob("real_train/1/*/*/*")],
        ),
        "real_train has no folder of frames (has 1 archives: unpack them in place)",
    ),
    "a damaged list": (
        DFDCPreview,
        lambda root: touch(root, "dataset.json"),
        lambda root: None,
        "dataset.json is not the list of the DFDC preview",
    ),
    "another meta_data.csv": (
        FakeAVCeleb,
        lambda root: (touch(root, "meta_data.csv"), (root / "meta_data.csv").write_text("a,b\n")),
        lambda root: None,
        "meta_data.csv lacks the column source (it has a, b)",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_tree_is_one_sentence(kind: str, tmp_path: Path) -> None:
    layout, make, damage, words = WRONG[kind]
    make(tmp_path / "set")
    damage(tmp_path / "set")
    with pytest.raises(SourceError) as raised:
        videos_of(layout(tmp_path / "set"))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_names_that_collide_are_refused(tmp_path: Path) -> None:
    wild(tmp_path)
    frames(tmp_path, "fake_train/0/fake__12")
    with pytest.raises(SourceError, match="two videos are called 'fake_train__0__fake__12'"):
        videos_of(WildDeepfake(tmp_path))


def test_a_folder_without_any_list_is_real_videos_of_the_persons_of_its_folders(tmp_path: Path) -> None:
    for name in ("alone.mp4", "ada/first.mov", "ada/second.webm", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (stage,) = RealVideos(tmp_path).stages()
    assert [(video.name, video.label, video.person) for video in stage.videos] == [
        ("ada_first", "REAL", "ada"),
        ("ada_second", "REAL", "ada"),
        ("alone", "REAL", ""),
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="must hold videos"):
        list(RealVideos(tmp_path / "empty").stages())
