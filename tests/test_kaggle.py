"""Kaggle, played by local servers: lists, videos, refusals, and secrets that stay where they belong."""

import io
import json
import logging
import pickle
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import kagglesdk.kaggle_env
import pytest
from kaggle_service import COMPETITION, CONTENT, SESSION, TOKEN, Service, running, write_cookies

from dfdc_lightning.errors import UserError
from dfdc_lightning.video import addresses
from dfdc_lightning.video.addresses import ApiFile, SiteFile
from dfdc_lightning.video.frames import FrameError
from dfdc_lightning.video.kaggle import KaggleSource, _remote
from dfdc_lightning.video.listing import SourceError, part_numbers
from dfdc_lightning.video.remote import RemoteFile
from dfdc_lightning.video.sources import Video

PART = "dfdc_train_part_00.zip"


@pytest.fixture
def kaggle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Service]:
    """The stand-in, with a token and cookies for it and nobody at the terminal; it also keeps secrets.

    After each test no secret is in a log or in any file but the user's own, and none but the site was told
    the token or a cookie.
    """
    with running() as service:
        home = tmp_path / "home"
        endpoints = kagglesdk.kaggle_env._env_to_endpoint
        monkeypatch.setitem(endpoints, kagglesdk.kaggle_env.KaggleEnv.PROD, service.kaggle.address)
        monkeypatch.setattr(addresses, "SITE", service.kaggle.address)
        monkeypatch.setattr(addresses, "STORAGE", service.store.address)
        monkeypatch.setattr("dfdc_lightning.video.remote._WAIT", 0.0)
        for name in ("KAGGLE_API_TOKEN", "KAGGLE_API_ENVIRONMENT", "KAGGLE_KERNEL_RUN_TYPE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv("KAGGLE_USERNAME", raising=False)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home / ".kaggle"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        (home / ".kaggle").mkdir(parents=True)
        write_credentials(tmp_path, json.dumps({"username": "me", "key": TOKEN}))
        write_cookies(home / "cookies.txt")
        # It would read the source of every caller to say which library asks, half a second per request.
        monkeypatch.setattr("kagglehub.clients.get_user_agent", lambda: "tests")
        monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
        _remote.cache_clear()  # directories of another test's server
        with caplog.at_level(logging.DEBUG):
            yield service
        _remote.cache_clear()
        refuse_leaks(service, tmp_path, caplog.text)


def refuse_leaks(service: Service, tmp_path: Path, log: str) -> None:
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "home" not in path.parts]
    written = [path.read_bytes() for path in files if path.stat().st_size < 100_000]
    for secret in service.secrets:
        assert secret not in log
        assert not [text for text in written if secret.encode() in text]
    for _, headers in service.store.heard:
        assert not {name.lower() for name in headers} & {"cookie", "authorization"}


def write_credentials(tmp_path: Path, text: str) -> None:
    (tmp_path / "home" / ".kaggle" / "kaggle.json").write_text(text, encoding="utf-8")


def parts(tmp_path: Path, numbers: str | int, **more: object) -> KaggleSource:
    cookies = tmp_path / "home" / "cookies.txt"
    return KaggleSource(**{"folder": tmp_path / "lists", "parts": numbers, "cookies": cookies, **more})


def videos_of(source: KaggleSource) -> dict[str, Video]:
    return {video.name: video for stage in source.stages() for video in stage.videos}


def sentence_of(source: KaggleSource, service: Service) -> str:
    with pytest.raises(SourceError) as raised:
        videos_of(source)
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert not [secret for secret in service.secrets if secret in sentence]
    return sentence


# The labelled sample, by token


def test_the_sample_comes_file_by_file_with_a_token_alone(kaggle: Service, tmp_path: Path) -> None:
    source = pickle.loads(pickle.dumps(KaggleSource(tmp_path / "lists")))
    videos = videos_of(source)
    assert {name: (video.label, video.original) for name, video in videos.items()} == {
        "a": ("FAKE", "x"),
        "b": ("FAKE", "x"),
    }
    assert kaggle.asked == [
        (
            "/v1/competitions.CompetitionApiService/DownloadDataFile",
            {"competitionName": COMPETITION, "fileName": "train_sample_videos/metadata.json"},
        )
    ]
    with source.open(videos["b"]) as file:
        assert file.read_bytes() == CONTENT["b"]
    assert not file.exists()
    assert [asked["fileName"] for _, asked in kaggle.asked[1:]] == ["train_sample_videos/b.mp4"]
    assert videos_of(source) == videos
    assert len(kaggle.asked) == 2  # lists are kept


def test_a_file_that_kaggle_packs_is_unpacked(kaggle: Service, tmp_path: Path) -> None:
    packed = io.BytesIO()
    name = "train_sample_videos/metadata.json"
    with zipfile.ZipFile(packed, "w") as members:
        members.writestr("metadata.json", kaggle.files[name])
    kaggle.files[name] = packed.getvalue()
    assert sorted(videos_of(KaggleSource(tmp_path / "lists"))) == ["a", "b"]


def test_the_api_is_waited_for_when_it_throttles(kaggle: Service, tmp_path: Path) -> None:
    source = KaggleSource(tmp_path / "lists")
    kaggle.throttle = [429, 503]
    assert len(videos_of(source)) == 2
    kaggle.refusal = 429
    with (
        pytest.raises(SourceError, match="busy .*goes on where it stopped"),
        source.open(videos_of(source)["a"]),
    ):
        pass


class Refusal(NamedTuple):
    status: int
    words: str


REFUSALS = [
    Refusal(401, "credentials; make a new token at kaggle.com/settings"),
    Refusal(403, f"rules are not accepted; accept them at kaggle.com/c/{COMPETITION}/rules"),
    Refusal(404, "no such file"),
    Refusal(500, "run the same command again later"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal.status))
def test_a_refusal_is_one_sentence_with_what_to_do(refusal: Refusal, kaggle: Service, tmp_path: Path) -> None:
    kaggle.refusal = refusal.status
    sentence = sentence_of(KaggleSource(tmp_path / "lists"), kaggle)
    assert refusal.words in sentence
    assert sentence.startswith(f"train_sample_videos/metadata.json of {COMPETITION} cannot be fetched")
    assert not (tmp_path / "lists").exists()


def test_without_credentials_it_says_where_to_get_and_put_them(kaggle: Service, tmp_path: Path) -> None:
    (tmp_path / "home" / ".kaggle" / "kaggle.json").unlink()
    assert "none were found: make a token at kaggle.com/settings and save it as" in sentence_of(
        KaggleSource(tmp_path / "lists"), kaggle
    )
    write_credentials(tmp_path, "not JSON")
    assert "kaggle.json: make a new token" in sentence_of(KaggleSource(tmp_path / "lists"), kaggle)
    assert not kaggle.asked


def test_a_token_is_not_taken_to_where_the_api_redirects(
    kaggle: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "STORAGE", "https://storage.googleapis.com")
    sentence = sentence_of(KaggleSource(tmp_path / "lists"), kaggle)
    assert "redirects to 127.0.0.1, which is not its storage" in sentence


def test_the_api_does_not_serve_parts(kaggle: Service) -> None:
    with pytest.raises(SourceError, match="404.*no such file"):
        RemoteFile(ApiFile(COMPETITION, PART))


# The parts, by a browser's cookies


def test_all_parts_are_listed_without_their_videos(kaggle: Service, tmp_path: Path) -> None:
    source = parts(tmp_path, "0-1")
    videos = videos_of(source)
    assert {name: (video.part, video.label, video.original) for name, video in videos.items()} == {
        "a": ("0", "FAKE", "x"),
        "b": ("0", "FAKE", "x"),
        "c": ("0", "FAKE", "x"),
        "d": ("1", "FAKE", "x"),
    }
    assert {video.bytes for video in videos.values()} == {3_000_000}
    path, headers = kaggle.kaggle.heard[0]
    assert path == f"/c/16880/datadownload/{PART}"
    assert headers["Cookie"] == f"session={SESSION}"  # neither another site's nor another path's
    assert sum(end - start for start, end in kaggle.served) < 3_000_000  # of 12 million
    before = len(kaggle.kaggle.heard)
    assert videos_of(source) == videos
    assert len(kaggle.kaggle.heard) == before  # lists are kept


def test_only_the_chosen_video_crosses_the_network_and_none_stays(
    kaggle: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    source = pickle.loads(pickle.dumps(parts(tmp_path, 0)))
    videos = videos_of(source)
    kaggle.served.clear()
    with source.open(videos["b"]) as file:
        assert file.read_bytes() == CONTENT["b"]
        assert [other for other in scratch.rglob("*") if other.is_file()] == [file]
    assert not list(scratch.iterdir())
    assert sum(end - start for start, end in kaggle.served) < 6_000_000  # directory, video, read ahead
    assert [path.name for path in (tmp_path / "lists").iterdir()] == [f"{PART}.json"]


def test_kept_videos_are_fetched_once(
    kaggle: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = parts(tmp_path, 1, keep_videos=True)
    (video,) = videos_of(source).values()
    assert "all 1 videos would take 0.0 GB" in capsys.readouterr().out
    with source.open(video) as file:
        assert file.read_bytes() == CONTENT["d"]
    kaggle.site = "login"
    kaggle.served.clear()
    with source.open(video) as file:
        assert file.read_bytes() == CONTENT["d"]
    assert not kaggle.served


def test_a_browser_s_signed_addresses_do_without_cookies(kaggle: Service, tmp_path: Path) -> None:
    listed = tmp_path / "home" / "addresses.txt"
    signed = kaggle.signed(f"kaggle-competitions-detached-data/16880/{PART}")
    listed.write_text(f"# copied from the browser\n\n{signed}\n", encoding="utf-8")
    source = parts(tmp_path, 0, cookies=None, addresses=listed)
    with source.open(videos_of(source)["c"]) as file:
        assert file.read_bytes() == CONTENT["c"]
    assert not kaggle.kaggle.heard
    missing = sentence_of(parts(tmp_path, 7, cookies=None, addresses=listed), kaggle)
    assert "addresses.txt has no address of dfdc_train_part_07.zip" in missing
    kaggle.expired = kaggle.signature
    (tmp_path / "lists" / f"{PART}.json").unlink()
    assert "not valid any more (400): start the download" in sentence_of(source, kaggle)
    listed.write_text("see my notes\n", encoding="utf-8")
    assert "line 1 must be an address" in sentence_of(source, kaggle)
    listed.unlink()
    assert "cannot be read" in sentence_of(source, kaggle)


class Mood(NamedTuple):
    site: str
    storage: str
    words: str


MOODS = [
    Mood(
        "page", "", "a page came instead of the file, so the log-in has ended or the rules are not accepted"
    ),
    Mood("login", "", "Kaggle asks for a log-in, so the cookies in"),
    Mood("rules", "", "the competition's rules are not accepted"),
    Mood("elsewhere", "", "redirects to localhost, which is not its storage, so nothing was sent there"),
    Mood("circle", "", "redirects in a circle"),
    Mood("busy", "", "is busy (it answered 429)"),
    Mood("", "busy", "is busy (it answered 503)"),
    Mood("", "page", "a page came instead of the file"),
    Mood("", "redirect", "sends us on to another address"),
    Mood("", "no ranges", "can only be fetched whole; fetch it in the browser and use source=zip"),
]


@pytest.mark.parametrize("mood", MOODS, ids=lambda mood: mood.site or f"storage {mood.storage}")
def test_a_part_that_cannot_be_had_is_one_sentence(mood: Mood, kaggle: Service, tmp_path: Path) -> None:
    kaggle.site, kaggle.storage = mood.site, mood.storage
    sentence = sentence_of(parts(tmp_path, 0), kaggle)
    assert mood.words in sentence
    assert sentence.startswith(f"{PART} of {COMPETITION} cannot be fetched")
    assert not (tmp_path / "lists").exists()
    assert not [path for path, headers in kaggle.kaggle.heard if path == "/take-it"]


def test_a_part_that_does_not_exist_is_named(kaggle: Service, tmp_path: Path) -> None:
    sentence = sentence_of(parts(tmp_path, "0,7"), kaggle)
    assert "dfdc_train_part_07.zip" in sentence
    assert "(404): the competition has no such file: correct source.parts" in sentence


def test_cookies_that_cannot_serve_are_one_sentence(kaggle: Service, tmp_path: Path) -> None:
    file = tmp_path / "home" / "cookies.txt"
    assert "source.parts=0 needs a logged-in browser's cookies" in sentence_of(
        KaggleSource(tmp_path / "lists", 0), kaggle
    )
    assert "are for the parts: say which" in sentence_of(
        KaggleSource(tmp_path / "lists", cookies=file), kaggle
    )
    write_cookies(file, domain=".example.com")
    assert "has cookies of example.com, example.org and none of 127.0.0.1" in sentence_of(
        parts(tmp_path, 0), kaggle
    )
    write_cookies(file, expires=1_600_000_000)
    assert "expired by 2020-09-13: log in at" in sentence_of(parts(tmp_path, 0), kaggle)
    file.write_bytes(b"SQLite format 3\0\xff\xfe")
    assert "must hold cookies in Netscape form" in sentence_of(parts(tmp_path, 0), kaggle)
    file.write_text('[{"domain": ".kaggle.com"}]', encoding="utf-8")
    assert "must hold cookies in Netscape form" in sentence_of(parts(tmp_path, 0), kaggle)
    file.unlink()
    assert "cannot be read (No such file or directory): log in at" in sentence_of(parts(tmp_path, 0), kaggle)
    assert not kaggle.kaggle.heard  # nothing is asked without a cookie that counts


def test_cookies_of_a_session_that_has_ended_are_named(kaggle: Service, tmp_path: Path) -> None:
    write_cookies(tmp_path / "home" / "cookies.txt", value="of-last-year")
    assert "Kaggle asks for a log-in" in sentence_of(parts(tmp_path, 0), kaggle)


# Transfers


def opened(kaggle: Service, tmp_path: Path) -> RemoteFile:
    cookies = tmp_path / "home" / "cookies.txt"
    return RemoteFile(SiteFile(COMPETITION, 16880, PART, cookies))


def test_a_transfer_cut_off_half_way_goes_on_where_it_stopped(kaggle: Service, tmp_path: Path) -> None:
    data = kaggle.parts[PART]
    with opened(kaggle, tmp_path) as file:
        kaggle.served.clear()
        kaggle.break_off = [400_000, 100_000]
        assert file.read(1_000_000) == data[:1_000_000]
    (first, second, third), ends = zip(*kaggle.served, strict=True)
    assert first == 0
    assert 400_000 - 65_536 < second <= 400_000  # a begun chunk is fetched again
    assert second + 100_000 - 65_536 < third <= second + 100_000
    assert ends == (1_000_000,) * 3
    assert len(kaggle.kaggle.heard) == 1


def test_a_source_survives_a_transfer_cut_off_half_way(kaggle: Service, tmp_path: Path) -> None:
    source = parts(tmp_path, 1)
    (video,) = videos_of(source).values()
    with source.open(video):
        pass
    kaggle.break_off = [300_000]
    with source.open(video) as file:
        assert file.read_bytes() == CONTENT["d"]
    assert not kaggle.break_off


def test_a_transfer_that_never_gets_on_is_given_up_with_a_sentence(kaggle: Service, tmp_path: Path) -> None:
    with opened(kaggle, tmp_path) as file:
        kaggle.break_off = [0] * 100
        with pytest.raises(SourceError, match="cannot be reached"):
            file.read(1000)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_address_that_has_expired_is_asked_for_anew(status: int, kaggle: Service, tmp_path: Path) -> None:
    kaggle.expiry_status = status
    with opened(kaggle, tmp_path) as file:
        kaggle.expired = kaggle.signature
        assert file.read(1000) == kaggle.parts[PART][:1000]
    assert len(kaggle.kaggle.heard) == 2


def test_an_archive_that_changes_between_two_requests_is_named(kaggle: Service, tmp_path: Path) -> None:
    data = kaggle.parts[PART]
    for other in (data[:-1], b"\0" + data[1:], data[:500], None):
        kaggle.parts[PART] = data
        with opened(kaggle, tmp_path) as file:
            file.seek(1000)
            kaggle.parts[PART] = other
            if other is None:
                del kaggle.parts[PART]
                kaggle.files[PART] = b""
            with pytest.raises(SourceError, match="changed between two requests: delete its list"):
                file.read(1000)


def test_a_video_that_left_its_archive_is_named(kaggle: Service, tmp_path: Path) -> None:
    source = parts(tmp_path, 0)
    video = videos_of(source)["a"]
    with (
        pytest.raises(SourceError, match="has no gone any more: delete its list"),
        source.open(video._replace(member="gone")),
    ):
        pass


def test_without_a_network_it_says_so_at_once(
    kaggle: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "SITE", "http://127.0.0.1:9")
    assert "cannot be reached" in sentence_of(parts(tmp_path, 0), kaggle)
    assert "source=folder" in sentence_of(parts(tmp_path, 0), kaggle)


# The disk


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize("keep", [False, True])
def test_a_disk_without_room_is_noticed_before_the_transfer(
    keep: bool, kaggle: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = parts(tmp_path, 1, keep_videos=keep)
    (video,) = videos_of(source).values()
    with source.open(video):
        pass
    shutil.rmtree(tmp_path / "lists" / "dfdc_train_part_01", ignore_errors=True)
    kaggle.served.clear()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(SourceError, match="has 1 MB free, but 271 MB are needed"), source.open(video):
        pass
    assert not kaggle.served
    assert [path.name for path in (tmp_path / "lists").rglob("*.mp4")] == []


def test_a_folder_that_cannot_be_written_is_named(kaggle: Service, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"source.folder=.*file cannot be written"):
        videos_of(parts(tmp_path, 1, folder=tmp_path / "file"))
    source = parts(tmp_path, 1, keep_videos=True)
    (video,) = videos_of(source).values()
    (tmp_path / "lists" / "dfdc_train_part_01").touch()
    with pytest.raises(UserError, match=r"source.folder=.*lists cannot be written"), source.open(video):
        pass


def test_a_damaged_video_is_unreadable(kaggle: Service, tmp_path: Path) -> None:
    data = bytearray(kaggle.parts["dfdc_train_part_01.zip"])
    data[1_000_000] ^= 1
    kaggle.parts["dfdc_train_part_01.zip"] = bytes(data)
    source = parts(tmp_path, 1)
    (video,) = videos_of(source).values()
    with pytest.raises(FrameError, match=r"d\.mp4 in dfdc_train_part_01\.zip is damaged"), source.open(video):
        pass


def test_a_damaged_list_is_named(kaggle: Service, tmp_path: Path) -> None:
    source = parts(tmp_path, 1)
    videos_of(source)
    (tmp_path / "lists" / "dfdc_train_part_01.zip.json").write_text("[[1", encoding="utf-8")
    with pytest.raises(SourceError, match="json is damaged .*delete it"):
        videos_of(source)


def test_parts_are_written_as_ranges() -> None:
    assert part_numbers("0-3,7") == [0, 1, 2, 3, 7]
    assert part_numbers(" 5 , 4-5") == [4, 5]
    assert part_numbers(3) == [3]
    for wrong in ("", "a", "3-1", "1,", "-1"):
        with pytest.raises(SourceError, match="source.parts"):
            part_numbers(wrong)
