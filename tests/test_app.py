"""The page in a real browser: a dropped video becomes a verdict, stays here, and is gone afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pytest
from forgeries import ROOT, Trained

from dfdc_lightning.app import Desk
from dfdc_lightning.predict.judges import open_judge
from dfdc_lightning.predict.verdict import Prepare

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def desk(trained: Trained) -> Desk:
    judge = open_judge(trained.run)
    return Desk(judge, Prepare(judge.card.make_preparation()), threshold=0.6, seconds=2, megabytes=1)


@pytest.fixture
def upload(trained: Trained, tmp_path: Path) -> Path:
    name = (trained.run / "predictions.csv").read_text().splitlines()[-1].split(",")[1]
    return Path(shutil.copy(trained.video(name), tmp_path / "mine.mp4"))


def test_an_upload_is_judged_and_removed(desk: Desk, upload: Path) -> None:
    page = desk.verdict(upload)
    assert "mine.mp4" in page and "Score over time" in page and "evidence in frame" in page
    assert not upload.exists()


def test_what_is_too_long_or_no_video_is_sent_back_and_removed(
    desk: Desk, upload: Path, tmp_path: Path
) -> None:
    short = Desk(desk.judge, desk.prepare, None, seconds=0, megabytes=1)
    assert "mine.mp4 takes 1 seconds, at most 0 are looked at" in short.verdict(upload)
    assert not upload.exists()
    text = tmp_path / "<i>text.mp4"
    text.write_text("no video")
    answer = desk.verdict(text)
    assert "No verdict:" in answer and "&lt;i&gt;text.mp4 cannot be read" in answer
    assert str(tmp_path) not in answer, "a page does not tell where files lie"
    assert not text.exists()


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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [f"run={trained.run}", "threshold=0.6", f"port={port}", "seconds=2", "megabytes=1"]
    page = subprocess.Popen(
        [sys.executable, "-m", "dfdc_lightning.app", *words],
        cwd=ROOT, env=os.environ | {"TMPDIR": str(uploads)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert page.stdout is not None
    with page:
        yield Served(page.stdout.readline().split()[0], uploads)
        page.send_signal(signal.SIGINT)
        assert page.wait(30) == 0
    assert list(uploads.iterdir()) == [], "the page takes its folder with it"


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
    assert verdict.locator("circle").count() == 4, "the curve has a point a frame"
    painted = verdict.locator("figure img")
    assert painted.count() == 8, "a face and a heat map a frame"
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
