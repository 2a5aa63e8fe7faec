"""What a run says: one line an epoch into a file, a bar for the whole run on a terminal."""

import io
import sys
from pathlib import Path

import pytest
from test_callbacks import EPOCHS
from test_callbacks import run as train


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


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
