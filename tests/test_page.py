"""The page in a real browser, and what it says."""

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imsave

from benchmarks.example_study import write_study
from dfdc_lightning.report.write import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
IMAGES = 8 + 1  # one of explain
MISCHIEF = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("multirun")
    experiments = {"baseline": 1.2, "lstm": 3.2, "a_rather_long_experiment_name": 1.2}
    write_study(root / "toy", experiments, seeds=range(5), videos=60)
    (root / "toy/lstm/1/result.json").unlink()
    (root / "toy/lstm/1/error.txt").write_text(f"ValueError: {MISCHIEF} {'very' * 60}\n")
    explained = root / "toy/lstm/0/explain"
    explained.mkdir()
    imsave(explained / "gallery_of_fakes.png", np.eye(60))
    (explained / "cut_off.png").write_bytes(b"not a picture")
    _, folder = write_report(root, ["toy"], n_resamples=200)
    return folder / "index.html"


def test_the_page_opens_with_the_answer_in_words(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    first = re.search(r'<div class="answer">\s*<p>(.*?)</p>', text)
    assert first is not None
    assert re.match(r"Clearly better than baseline: lstm by 0\.\d{3} AUROC \(95 %", first[1])
    assert text.index('class="answer"') < text.index("<table")


def test_the_page_holds_everything_and_needs_nothing_else(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for words in (
        "Learning curves",
        "gallery of fakes",
        "0123abcd",
        "89ab4567",
        "1,254 REAL",
        "no group of test",
    ):
        assert words in text
    for words in (
        "python train.py -m experiment=baseline,lstm",
        "toy/lstm/1",
        "loss",
        "of these trained",
        "torch",
    ):
        assert words in text
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert not re.search(r"@import|url\((?!data:)", text)


def test_what_runs_say_is_shown_as_text_and_never_run(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == 1  # the page's own, which sorts tables
    assert "&lt;script&gt;alert(1)" in text


def test_tags_are_balanced_and_every_image_has_a_text(page: Path) -> None:
    class Checker(HTMLParser):
        open_tags: list[str] = []
        images: list[dict[str, str | None]] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "img":
                self.images.append(dict(attrs))
            if tag not in ("img", "meta", "link", "br"):
                self.open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open_tags.pop() == tag

    checker = Checker()
    checker.feed(page.read_text(encoding="utf-8"))
    assert checker.open_tags == []
    assert len(checker.images) == IMAGES
    assert all(len(image["alt"] or "") > 10 for image in checker.images)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: the page is not shown in a real browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_a_real_browser_shows_it_whole_without_a_complaint(page: Path, browser: object, width: int) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 850})
    complaints: list[str] = []
    asked: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(page.as_uri())
    assert complaints == []
    assert all(url.startswith(("file:", "data:")) for url in asked)
    loaded = tab.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
    assert len(loaded) == IMAGES
    assert all(loaded)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    # Readable: text of 12 px or more, pictures as wide as a phone and never blown up.
    smallest = """Math.min(...[...document.querySelectorAll('p,td,th,li,figcaption')]
        .map(e => parseFloat(getComputedStyle(e).fontSize)))"""
    assert tab.evaluate(smallest) >= 12
    widths = tab.evaluate("[...document.images].map(i => i.getBoundingClientRect().width)")
    assert min(widths) >= 320
    assert max(widths) <= 680
    outside = """[...document.querySelectorAll('p,h1,h2,h3,img,.notes,.answer,pre')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"""
    assert tab.evaluate(outside) == 0
    tab.close()


def test_it_prints_on_paper_without_losing_columns(page: Path, browser: object, tmp_path: Path) -> None:
    tab = browser.new_page(viewport={"width": 690, "height": 1000})  # A4 less its margins
    tab.goto(page.as_uri())
    tab.emulate_media(media="print")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 690
    ends = "[...document.querySelectorAll('table')].map(t => t.getBoundingClientRect().right)"
    assert max(tab.evaluate(ends)) <= 691
    tab.pdf(path=tmp_path / "report.pdf", format="A4")
    paper = (tmp_path / "report.pdf").read_bytes()
    assert paper.startswith(b"%PDF")
    assert 4 <= len(re.findall(rb"/Type /Page\b", paper)) <= 30
    tab.close()
