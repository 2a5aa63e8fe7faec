"""Places scores over time in a drawing of fixed size, for the page's SVG."""

from typing import Any

import numpy as np

from dfdc_lightning.predict.timeline import clock
from dfdc_lightning.predict.verdict import Verdict

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 220, 44, 34, 10  # in SVG units
_LABEL, _LABELS = 105, 5  # room for a person's name, and how many fit beside each other


def curve(verdict: Verdict) -> dict[str, Any]:
    """Place the points of every person; frames without a found face are hollow."""
    last = max(verdict.prepared.n_frames - 1, 1)
    lines = []
    for place, person in enumerate(verdict.persons):
        points = [
            (_x(frame / last), _y(score), bool(found))
            for frame, score, found in zip(person.times, person.frame_scores, person.clip.found, strict=True)
        ]
        label = _label(place, points) if len(verdict.persons) > 1 and place < _LABELS else None
        lines.append({"number": person.number, "decides": person.decides, "points": points, "label": label})
    ticks = np.linspace(0, 1, 6)
    return {
        **_axes(verdict),
        "lines": lines[::-1],  # who decides is drawn last, on top
        "x": [(_x(tick), second(tick * last, verdict)) for tick in ticks],
    }


def scan_curve(verdict: Verdict) -> dict[str, Any] | None:
    """Place the windows of every person; None where the video was not scanned or nobody is seen long enough.

    Runs of windows are lines, and end where the person is not seen or looks unlike the training videos.
    """
    timeline = verdict.scan
    if timeline is None or not timeline.lines:
        return None
    length = max(verdict.prepared.seconds, timeline.window)
    lines = []
    for place, line in enumerate(timeline.lines):
        runs: list[list[tuple[float, float]]] = []
        before = None
        for window in line.windows:
            if window.unlike:
                before = None
                continue
            if before is None or window.start > before.end:
                runs.append([])
            runs[-1].append((_x((window.start + window.end) / 2 / length), _y(window.score)))
            before = window
        points = [point for run in runs for point in run]
        ends = (_x(line.windows[0].start / length), _x(line.windows[-1].end / length))
        level = None if line.level is None else (*ends, _y(line.level))
        many = len(timeline.lines) > 1 and place < _LABELS and bool(points)
        label = _label(place, [(x, y, True) for x, y in points]) if many else None
        lines.append({"number": line.person, "runs": runs, "level": level, "label": label})
    spans = [(_x(each.start / length), _x(each.end / length)) for each in timeline.found]
    return {
        **_axes(verdict),
        "lines": lines,
        "spans": spans,
        "x": [(_x(tick), clock(tick * length).removesuffix(".0")) for tick in np.linspace(0, 1, 6)],
    }


def _axes(verdict: Verdict) -> dict[str, Any]:
    low, high = verdict.answer.low, verdict.answer.high
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "left": _LEFT,
        "right": _WIDTH - 12,
        "top": _TOP,
        "base": _HEIGHT - _BOTTOM,
        "real": None if low is None else _y(low),
        "fake": None if high is None else _y(min(high, 1.0)),
        "y": [(_y(tick), f"{tick:g}") for tick in (0.0, 0.25, 0.5, 0.75, 1.0)],
    }


def second(frame: float | int, verdict: Verdict) -> str:
    """Say when a frame is shown; where nobody knows, its number."""
    fps = verdict.prepared.fps
    return f"{frame / fps:.1f} s" if fps > 0 else f"#{frame:.0f}"


def _label(place: int, points: list[tuple[float, float, bool]]) -> tuple[float, float]:
    """Place a line's name: beside those of the others, above the line or, at the top, below it."""
    x = float(_LEFT + 10 + place * _LABEL)
    x_points, y_points, _ = zip(*points, strict=True)
    highest = min(np.interp(np.linspace(x, x + _LABEL, 9), x_points, y_points))
    lowest = max(np.interp(np.linspace(x, x + _LABEL, 9), x_points, y_points))
    return x, round(float(highest - 9 if highest > 32 else lowest + 24), 1)


def _x(share: float) -> float:
    return round(_LEFT + 10 + share * (_WIDTH - 12 - _LEFT - 20), 1)


def _y(score: float) -> float:
    return round(_TOP + (1 - score) * (_HEIGHT - _BOTTOM - _TOP), 1)
