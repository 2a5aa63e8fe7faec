"""What a scan found: each person's score over time, the level of chance, and the windows beyond it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from dfdc_lightning.predict.level import PERIOD, level


class Scored(NamedTuple):
    """A window and what the model says of it; times in seconds, `unlike` says why it is not judged."""

    person: int
    start: float
    end: float
    score: float
    found: int
    unlike: str = ""


class Found(NamedTuple):
    """A time in which a person's windows stand out, and the highest of their scores."""

    person: int
    start: float
    end: float
    score: float


class Line(NamedTuple):
    """One person's windows in time order; `level` is None where there are too few of them."""

    person: int
    windows: list[Scored]
    level: float | None


class Timeline(NamedTuple):
    """All persons who are seen for as long as a window; `note` says why nothing can stand out, or is ""."""

    window: float  # seconds
    lines: list[Line]
    found: list[Found]
    note: str = ""

    @classmethod
    def of(cls, windows: Sequence[Scored], window: float, spread: float | None) -> "Timeline":
        """Set the level of each person and find the windows beyond it; those that touch are one.

        Args:
            windows: Of all persons, each overlapping half of the next.
            window: Their length in seconds.
            spread: Of REAL validation videos, see `level.py`.
        """
        persons: dict[int, list[Scored]] = {}
        for each in windows:
            persons.setdefault(each.person, []).append(each)
        lines, found = [], []
        for number in sorted(persons):
            own = sorted(persons[number], key=lambda each: each.start)
            judged = [each for each in own if not each.unlike]
            above = level([each.score for each in judged], window / 2, spread)
            lines.append(Line(number, own, above))
            found += [] if above is None else _beyond(judged, above)
        return cls(window, lines, sorted(found, key=lambda each: each.start), _note(lines, window))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "window": self.window,
            "chance": f"one window in {PERIOD:.0f} seconds",
            "note": self.note,
            "stand_out": [each._asdict() for each in self.found],
            "persons": [
                {
                    "person": line.person,
                    "level": line.level,
                    "windows": [window._asdict() for window in line.windows],
                }
                for line in self.lines
            ],
        }


def clock(seconds: float) -> str:
    """Write seconds as minutes and seconds."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes)}:{rest:04.1f}"


def _beyond(windows: Sequence[Scored], above: float) -> list[Found]:
    found: list[Found] = []
    for window in windows:
        if window.score <= above:
            continue
        if found and window.start <= found[-1].end:
            found[-1] = found[-1]._replace(end=window.end, score=max(window.score, found[-1].score))
        else:
            found.append(Found(window.person, window.start, window.end, window.score))
    return found


def _note(lines: Sequence[Line], window: float) -> str:
    if not lines:
        return f"nobody is seen for as long as a window of {window:.1f} s: give a smaller window="
    if all(line.level is None for line in lines):
        return (
            f"nobody is seen in enough windows of {window:.1f} s to set one against the others: give a "
            "smaller window="
        )
    return ""
