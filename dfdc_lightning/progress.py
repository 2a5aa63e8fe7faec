"""Progress of long work: a bar with rate and time left on a terminal, sparse lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_EVERY_SECONDS = 30.0


class Tally:
    """Counts finished work and shows it.

    Args:
        label: What is being done, e.g. "faces".
        total: How many items there are, or None where nobody knows yet.
        unit: Name of one item in the plural, e.g. "videos".
    """

    def __init__(self, label: str, total: int | None, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self._started = self._last_line = time.monotonic()
        self._bar: Progress | None = None

    def expect(self, n: int) -> None:
        """Make the total what is done and `n` more."""
        self.total = self.done + n
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], total=self.total)

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` more items; `note` is shown behind the rate (counts by status, say)."""
        self.done += n
        now = time.monotonic()
        rate = self.done / max(now - self._started, 1e-9)
        if self._bar is not None:
            shown = f"{rate:.1f} {self.unit}/s {note}"
            self._bar.update(self._bar.task_ids[0], completed=self.done, note=shown)
        elif now - self._last_line >= _LINE_EVERY_SECONDS:
            self._last_line = now
            total = "?" if self.total is None else self.total
            left = "" if self.total is None else f", {(self.total - self.done) / max(rate, 1e-9):.0f} s left"
            line = f"{self.label}: {self.done}/{total} {self.unit}, {rate:.1f}/s{left} {note}"
            print(line.rstrip(), flush=True)


@contextmanager
def tally(label: str, total: int | None, unit: str) -> Iterator[Tally]:
    """Show progress of `total` items while the block runs; see `Tally`."""
    counter = Tally(label, total, unit)
    if not sys.stderr.isatty():
        yield counter
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        bar.add_task(label, total=total, note="")
        counter._bar = bar
        yield counter
