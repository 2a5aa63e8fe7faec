"""What long work says: sparse lines into a file, a bar on a terminal; a run one line an epoch."""

import io
import sys
from pathlib import Path

import pytest
from test_callbacks import EPOCHS
from test_callbacks import run as train

from dfdc_lightning import progress


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_long_work_says_now_and_then_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with progress.tally("faces", 0, "videos") as done:
        done.expect(400)
        for _ in range(100):
            now[0] += 0.5
            done.advance(note="ok 1")
        done.expect(100)  # replaced videos
        now[0] += 30
        done.advance()
    assert capsys.readouterr().out.splitlines() == [
        "faces: 60/400 videos, 2.0/s, 170 s left ok 1",
        "faces: 101/200 videos, 1.3/s, 78 s left",
    ]


def test_a_terminal_gets_a_bar_with_rate_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress.tally("faces", 0, "videos") as done:
        done.expect(3)
        done.advance(2, "ok 2")
    said = terminal.getvalue()
    assert "2/3" in said and "videos/s ok 2" in said, said
    assert said.endswith("\x1b[?25h"), "the cursor was not given back"


def test_a_file_gets_one_line_an_epoch_and_no_control_codes(
    tmp_path: Path, tiny_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, tiny_cache)
    said = capsys.readouterr().out
    assert "\r" not in said and "\x1b" not in said
    lines = said.splitlines()
    assert "parameters train" in lines[0]
    assert [line.split("  ")[0] for line in lines[1:]] == [f"epoch {n + 1}/{EPOCHS}" for n in range(EPOCHS)]
    assert all("val/auroc 0." in line or "val/auroc 1." in line for line in lines[1:])
    assert max(map(len, lines)) < 150


def test_a_terminal_gets_a_bar_that_ends_and_the_same_lines(
    tmp_path: Path, tiny_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    train(tmp_path, tiny_cache)
    said = terminal.getvalue()
    assert "━" in said and "left" in said, "no bar"
    assert said.count("val/auroc") == EPOCHS
    assert "\x1b[?25h" in said[said.rindex("val/auroc") :], "the cursor was not given back"
