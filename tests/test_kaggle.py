"""Kaggle, played by a local server that speaks the client's own protocol: lists, videos, refusals."""

import io
import json
import pickle
import re
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import kagglesdk.kaggle_env
import numpy as np
import pytest

from dfdc_lightning.errors import UserError
from dfdc_lightning.video.frames import FrameError
from dfdc_lightning.video.kaggle import KaggleSource, _remote, part_numbers
from dfdc_lightning.video.listing import SourceError
from dfdc_lightning.video.remote import RemoteFile
from dfdc_lightning.video.sources import Video

COMPETITION = "deepfake-detection-challenge"
CONTENT = {name: np.random.default_rng(number).bytes(3_000_000) for number, name in enumerate("abcd")}


class Answers(BaseHTTPRequestHandler):
    """The API redirects to a signed address; storage serves ranges of bytes, and can break off."""

    protocol_version = "HTTP/1.1"
    server: "Kaggle"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, asked, self.headers["Authorization"]))
        status = self.server.refusal or (200 if asked["fileName"] in self.server.files else 404)
        if status != 200:
            body = json.dumps({"code": status, "message": "no"}).encode()
            self.answer(status, body, {"Content-Type": "application/json"})
            return
        self.server.signature += 1
        where = f"/storage/{asked['fileName']}?signature={self.server.signature}"
        self.answer(302, b"", {"Location": where})

    def do_GET(self) -> None:
        name, signature = re.fullmatch(r"/storage/(.*)\?signature=(\d+)", self.path).groups()
        data = self.server.files[name]
        if int(signature) <= self.server.expired:
            self.answer(400, b"<Error><Code>ExpiredToken</Code></Error>", {})
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, end = (int(wanted[1]), int(wanted[2]) + 1) if wanted else (0, len(data))
        headers = {"Accept-Ranges": "bytes"} if self.server.ranges else {}
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
            self.server.served.append((start, end))
        self.answer(206 if wanted else 200, data[start:end], headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if status == 206 and self.server.break_off:
            body = body[: self.server.break_off.pop(0)]
            self.close_connection = True
        try:
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # the client has heard enough

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client has hung up
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


class Kaggle(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.served: list[tuple[int, int]] = []
        self.break_off: list[int] = []  # bytes after which the next answers stop
        self.refusal = self.signature = self.expired = 0
        self.ranges = True


def archive(*names: str, part: int = 0) -> bytes:
    data = io.BytesIO()
    metadata = {f"{name}.mp4": {"label": "FAKE", "original": "x.mp4"} for name in names}
    with zipfile.ZipFile(data, "w") as members:
        for name in names:
            members.writestr(f"dfdc_train_part_{part}/{name}.mp4", CONTENT[name])
        members.writestr(f"dfdc_train_part_{part}/metadata.json", json.dumps(metadata))
    return data.getvalue()


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    """The stand-in, with credentials for it and nobody at the terminal."""
    server = Kaggle()
    server.files = {
        "dfdc_train_part_00.zip": archive("a", "b", "c"),
        "dfdc_train_part_01.zip": archive("d", part=1),
    }
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setitem(kagglesdk.kaggle_env._env_to_endpoint, kagglesdk.kaggle_env.KaggleEnv.PROD, address)
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_API_ENVIRONMENT", "KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home" / ".kaggle"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "home" / ".kaggle").mkdir(parents=True)
    write_credentials(tmp_path, '{"username": "me", "key": "secret"}')
    # It would read the source of every caller to say which library asks, half a second per request.
    monkeypatch.setattr("kagglehub.clients.get_user_agent", lambda: "tests")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
    _remote.cache_clear()  # directories of another test's server
    yield server
    _remote.cache_clear()
    server.shutdown()
    server.server_close()
    thread.join()


def write_credentials(tmp_path: Path, text: str) -> None:
    (tmp_path / "home" / ".kaggle" / "kaggle.json").write_text(text, encoding="utf-8")


def videos_of(source: KaggleSource) -> dict[str, Video]:
    return {video.name: video for stage in source.stages() for video in stage.videos}


def test_all_parts_are_listed_without_their_videos(kaggle: Kaggle, tmp_path: Path) -> None:
    source = KaggleSource(tmp_path / "lists", "0-1")
    videos = videos_of(source)
    assert {name: (video.part, video.label, video.original) for name, video in videos.items()} == {
        "a": ("0", "FAKE", "x"),
        "b": ("0", "FAKE", "x"),
        "c": ("0", "FAKE", "x"),
        "d": ("1", "FAKE", "x"),
    }
    path, asked, authorization = kaggle.asked[0]
    assert path == "/v1/competitions.CompetitionApiService/DownloadDataFile"
    assert asked == {"competitionName": COMPETITION, "fileName": "dfdc_train_part_00.zip"}
    assert authorization.startswith("Basic ")
    assert sum(end - start for start, end in kaggle.served) < 3_000_000  # of 12 million
    before = len(kaggle.asked)
    assert videos_of(source) == videos
    assert len(kaggle.asked) == before  # lists are kept


def test_only_the_chosen_video_crosses_the_network_and_none_stays(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    source = pickle.loads(pickle.dumps(KaggleSource(tmp_path / "lists", 0)))
    videos = videos_of(source)
    kaggle.served.clear()
    with source.open(videos["b"]) as file:
        assert file.read_bytes() == CONTENT["b"]
        assert [other for other in scratch.rglob("*") if other.is_file()] == [file]
    assert not list(scratch.iterdir())
    assert sum(end - start for start, end in kaggle.served) < 6_000_000  # directory, video, read ahead
    assert [path.name for path in (tmp_path / "lists").iterdir()] == ["dfdc_train_part_00.zip.json"]


def test_kept_videos_are_fetched_once(kaggle: Kaggle, tmp_path: Path) -> None:
    source = KaggleSource(tmp_path / "lists", 1, keep_videos=True)
    (video,) = videos_of(source).values()
    with source.open(video) as file:
        assert file.read_bytes() == CONTENT["d"]
    kaggle.refusal = 404
    kaggle.served.clear()
    with source.open(video) as file:
        assert file.read_bytes() == CONTENT["d"]
    assert not kaggle.served


def test_a_transfer_cut_off_half_way_goes_on_where_it_stopped(kaggle: Kaggle) -> None:
    data = kaggle.files["dfdc_train_part_00.zip"]
    file = RemoteFile(COMPETITION, "dfdc_train_part_00.zip", wait=0.0)
    kaggle.break_off = [400_000, 100_000]
    with file:
        assert file.read(1_000_000) == data[:1_000_000]
    (first, second, third), ends = zip(*kaggle.served, strict=True)
    assert first == 0
    assert 400_000 - 65_536 < second <= 400_000  # a begun chunk is fetched again
    assert second + 100_000 - 65_536 < third <= second + 100_000
    assert ends == (1_000_000,) * 3
    assert len(kaggle.asked) == 1


def test_a_source_survives_a_transfer_cut_off_half_way(kaggle: Kaggle, tmp_path: Path) -> None:
    source = KaggleSource(tmp_path / "lists", 1)
    (video,) = videos_of(source).values()
    with source.open(video):
        pass
    kaggle.break_off = [300_000]
    with source.open(video) as file:
        assert file.read_bytes() == CONTENT["d"]
    assert not kaggle.break_off


def test_a_transfer_that_never_gets_on_is_given_up_with_a_sentence(kaggle: Kaggle) -> None:
    with RemoteFile(COMPETITION, "dfdc_train_part_00.zip", wait=0.0) as file:
        kaggle.break_off = [0] * 100
        with pytest.raises(SourceError, match="cannot be reached"):
            file.read(1000)


def test_an_address_that_has_expired_is_asked_for_anew(kaggle: Kaggle) -> None:
    with RemoteFile(COMPETITION, "dfdc_train_part_00.zip", wait=0.0) as file:
        kaggle.expired = kaggle.signature
        assert file.read(1000) == kaggle.files["dfdc_train_part_00.zip"][:1000]
    assert len(kaggle.asked) == 2


class Refusal(NamedTuple):
    status: int
    words: str


REFUSALS = [
    Refusal(401, "credentials; make a new token at kaggle.com/settings"),
    Refusal(403, f"rules are not accepted; accept them at kaggle.com/c/{COMPETITION}/rules"),
    Refusal(404, "no such file"),
    Refusal(429, "no more requests for now; run the same command later"),
    Refusal(500, "run the same command later"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal.status))
def test_a_refusal_is_one_sentence_with_what_to_do(refusal: Refusal, kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.refusal = refusal.status
    with pytest.raises(SourceError) as raised:
        videos_of(KaggleSource(tmp_path / "lists", 0))
    sentence = str(raised.value)
    assert refusal.words in sentence
    assert sentence.startswith(
        f"dfdc_train_part_00.zip of {COMPETITION} cannot be fetched ({refusal.status})"
    )
    assert "\n" not in sentence
    assert not (tmp_path / "lists").exists()


def test_a_part_that_does_not_exist_is_named(kaggle: Kaggle, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"dfdc_train_part_07\.zip .*404.*no such file"):
        videos_of(KaggleSource(tmp_path / "lists", "0,7"))


def test_without_credentials_it_says_where_to_get_and_put_them(kaggle: Kaggle, tmp_path: Path) -> None:
    (tmp_path / "home" / ".kaggle" / "kaggle.json").unlink()
    with pytest.raises(SourceError, match="none: make a token at kaggle.com/settings and save it as"):
        videos_of(KaggleSource(tmp_path / "lists", 0))
    write_credentials(tmp_path, "not JSON")
    with pytest.raises(SourceError, match=r"kaggle\.json: make a new token"):
        videos_of(KaggleSource(tmp_path / "lists", 0))
    assert not kaggle.asked


def test_without_a_network_it_says_so_at_once(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.shutdown()
    kaggle.server_close()
    with pytest.raises(SourceError, match=r"cannot be reached .*source=folder"):
        videos_of(KaggleSource(tmp_path / "lists", 0))


def test_storage_without_ranges_is_named(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.ranges = False
    with pytest.raises(SourceError, match="only be fetched whole"):
        videos_of(KaggleSource(tmp_path / "lists", 0))


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize("keep", [False, True])
def test_a_disk_without_room_is_noticed_before_the_transfer(
    keep: bool, kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = KaggleSource(tmp_path / "lists", 1, keep_videos=keep)
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


def test_a_folder_that_cannot_be_written_is_named(kaggle: Kaggle, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="source.folder=.*file cannot be written"):
        videos_of(KaggleSource(tmp_path / "file", 1))
    source = KaggleSource(tmp_path / "lists", 1, keep_videos=True)
    (video,) = videos_of(source).values()
    (tmp_path / "lists" / "dfdc_train_part_01").touch()
    with pytest.raises(UserError, match="source.folder=.*lists cannot be written"), source.open(video):
        pass


def test_a_damaged_video_is_unreadable(kaggle: Kaggle, tmp_path: Path) -> None:
    data = bytearray(kaggle.files["dfdc_train_part_01.zip"])
    data[1_000_000] ^= 1
    kaggle.files["dfdc_train_part_01.zip"] = bytes(data)
    source = KaggleSource(tmp_path / "lists", 1)
    (video,) = videos_of(source).values()
    with pytest.raises(FrameError, match=r"d\.mp4 in dfdc_train_part_01\.zip is damaged"), source.open(video):
        pass


def test_a_damaged_list_is_named(kaggle: Kaggle, tmp_path: Path) -> None:
    source = KaggleSource(tmp_path / "lists", 1)
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
