"""The page in a real browser: a dropped video becomes a verdict, stays here, and is gone afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import av
import numpy as np
import pytest
from forgeries import ROOT, Trained

from dfdc_lightning.app import VerdictService, end_on_signals, main
from dfdc_lightning.errors import UserError
from dfdc_lightning.predict.predictors import open_predictor
from dfdc_lightning.predict.session import Options
from dfdc_lightning.predict.verdict import Rules

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def service(trained: Trained) -> VerdictService:
    options = Options(Rules(threshold=0.6))
    return VerdictService(open_predictor(trained.run), options, trained.run, seconds=2, megabytes=1)


@pytest.fixture
def upload(trained: Trained, tmp_path: Path) -> Path:
    name = (trained.run / "predictions.csv").read_text().splitlines()[-1].split(",")[1]
    return Path(shutil.copy(trained.video(name), tmp_path / "mine.mp4"))


def test_an_upload_is_judged_and_removed(service: VerdictService, upload: Path) -> None:
    page = service.verdict(upload)
    assert "mine.mp4" in page and "Score over time" in page and 'alt="face in frame' in page
    assert not upload.exists()


def test_what_is_too_long_or_no_video_is_sent_back_and_removed(
    service: VerdictService, upload: Path, tmp_path: Path
) -> None:
    short = VerdictService(service.predictor, Options(), service.run, seconds=0, megabytes=1)
    assert "mine.mp4 takes 1 seconds, at most 0 are looked at" in short.verdict(upload)
    assert not upload.exists()
    text = tmp_path / "<i>text.mp4"
    text.write_text("no video")
    answer = service.verdict(text)
    assert "No verdict:" in answer and "&lt;i&gt;text.mp4 cannot be read" in answer
    assert str(tmp_path) not in answer, "a page does not tell where files lie"
    assert not text.exists()


def test_a_file_dropped_twice_is_said_to_be_gone(service: VerdictService, upload: Path) -> None:
    assert "Score over time" in service.verdict(upload)
    assert "mine.mp4 was dropped twice" in service.verdict(upload)


def test_a_stream_that_does_not_say_how_long_it_takes_is_measured(
    service: VerdictService, upload: Path, tmp_path: Path
) -> None:
    stream = tmp_path / "stream.mkv"
    with av.open(str(upload)) as source, av.open(str(stream), "w", options={"live": "1"}) as target:
        track = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = track
                target.mux(packet)
    with av.open(str(stream)) as container:
        assert container.duration is None
    short = VerdictService(service.predictor, Options(), service.run, seconds=0, megabytes=1)
    assert "stream.mkv takes 1 seconds, at most 0 are looked at" in short.verdict(stream)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_the_page_ends_it_in_order(number: int) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        end_on_signals()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
            time.sleep(1)
    finally:
        for each in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_DFL)
        signal.signal(number, before)


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_an_impossible_port_is_named(port: str, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["app", f"run={trained.run}", f"port={port}"])
    with pytest.raises(UserError, match=rf"port must be .* from 1 to 65535 \(got {port}\)"):
        main()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Served(NamedTuple):
    """The running page, and the folder where it may leave nothing."""

    address: str
    uploads: Path

    def left(self) -> list[Path]:
        return [path for path in self.uploads.rglob("*") if path.is_file() and path.stat().st_size]


@pytest.fixture(scope="module")
def served(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pytest.importorskip("gradio", reason="the extra app is not installed")
    uploads = tmp_path_factory.mktemp("uploads")
    words = [f"run={trained.run}", "threshold=0.6", f"port={free_port()}", "seconds=2", "megabytes=1"]
    page = subprocess.Popen(
        [sys.executable, "-m", "dfdc_lightning.app", *words],
        cwd=ROOT, env=os.environ | {"TMPDIR": str(uploads)}, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as a shell does in the background
    )  # fmt: skip
    assert page.stdout is not None
    with page:
        yield Served(page.stdout.readline().split()[0], uploads)
        page.send_signal(signal.SIGINT)
        assert page.wait(30) == 0
    assert list(uploads.iterdir()) == [], "the page takes its folder with it"


def test_a_taken_port_is_named(trained: Trained, served: Served) -> None:
    port = urlsplit(served.address).port
    words = [sys.executable, "-m", "dfdc_lightning.app", f"run={trained.run}", f"port={port}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"error: port={port} is taken or not allowed: give another one\n"


@pytest.fixture
def browser() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield chromium
        chromium.close()


def test_a_dropped_video_becomes_a_verdict_in_a_browser(
    served: Served, browser: object, trained: Trained, upload: Path, tmp_path: Path
) -> None:
    assert urlsplit(served.address).hostname == "127.0.0.1"
    page = browser.new_page(viewport={"width": 1000, "height": 900})  # type: ignore[attr-defined]
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url) if _leaves(request.url) else None)
    page.goto(served.address)
    field = page.locator("input[type=file]")
    field.wait_for(state="attached", timeout=60_000)
    field.set_input_files(str(upload))
    verdict = page.locator(".verdict")
    verdict.wait_for(timeout=60_000)
    shown = verdict.inner_text()
    assert "mine.mp4" in shown and "Score over time" in shown and "What this means" in shown
    score = float((trained.run / "predictions.csv").read_text().splitlines()[-1].split(",")[4])
    assert f"Score {score:.3f}, not a calibrated probability" in shown
    assert verdict.locator("circle").count() == 4, "the curve has one point per frame"
    painted = verdict.locator("figure img")
    assert painted.count() == 4, "a face per frame; a map of 2 × 2 places is not shown"
    assert painted.evaluate_all("images => images.every(image => image.naturalWidth > 0)")
    page.screenshot(path=str(tmp_path / "page.png"), full_page=True)
    assert elsewhere == [], "the page asks nobody but this machine"
    assert served.left() == [], "the upload is gone"


def test_a_file_above_the_bound_is_refused(served: Served, browser: object, tmp_path: Path) -> None:
    big = tmp_path / "big.mp4"
    big.write_bytes(np.random.default_rng(0).bytes(2 * 2**20))
    page = browser.new_page()  # type: ignore[attr-defined]
    page.goto(served.address)
    field = page.locator("input[type=file]")
    field.wait_for(state="attached", timeout=60_000)
    field.set_input_files(str(big))
    page.get_by_text("Error").first.wait_for(timeout=30_000)
    assert page.locator(".verdict").count() == 0
    assert served.left() == []


def _leaves(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1"
