"""Writes a verdict as one self-contained HTML page: answer, score over time, faces, evidence, limits."""

import base64
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dfdc_lightning import atomic
from dfdc_lightning.explain.overlay import brightest, overlay
from dfdc_lightning.explain.prediction import evidence
from dfdc_lightning.faces.cache import FAKE
from dfdc_lightning.predict.text import headline, meaning
from dfdc_lightning.predict.verdict import Person, Verdict

_QUALITY = 88  # of the JPEGs on the page
_SIDE = 160  # pixels of a face on the page
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 220, 44, 34, 10  # of the curve, in SVG units
_LABEL, _LABELS = 105, 5  # room for a person's name, and how many fit beside the threshold's


class Cell(NamedTuple):
    """One frame of a person's strip of faces."""

    frame: int
    second: str
    score: float
    found: bool
    face: str
    evidence: str


def write_page(verdict: Verdict, path: Path) -> None:
    """Write the page of a verdict that was predicted with maps."""
    atomic.write_text(path, _render("page", verdict))


def body(verdict: Verdict) -> str:
    """Render the page's content alone, with its style, to be put into another page."""
    return _render("body", verdict)


def _render(macro: str, verdict: Verdict) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("verdict.html.jinja").make_module(
        {
            "verdict": verdict,
            "name": Path(verdict.video).name,
            "fake": verdict.called == FAKE,
            "headline": headline(verdict),
            "meaning": meaning(verdict),
            "curve": _curve(verdict),
            "strips": [(person, _strip(person, verdict)) for person in verdict.persons],
        }
    )
    return str(getattr(template, macro)())


def _strip(person: Person, verdict: Verdict) -> list[Cell]:
    fake = person.score > verdict.threshold
    maps = None if person.maps is None else evidence(person.maps, fake)
    full = 1.0 if maps is None else brightest(maps)
    cells = []
    for index, face in enumerate(person.clip.faces):
        large = cv2.resize(np.ascontiguousarray(face.transpose(1, 2, 0)), (_SIDE, _SIDE))
        painted = "" if maps is None else _jpeg(overlay(large.transpose(2, 0, 1), maps[index], full, fake))
        cells.append(
            Cell(
                frame=person.times[index],
                second=_second(person.times[index], verdict),
                score=person.frame_scores[index],
                found=bool(person.clip.found[index]),
                face=_jpeg(large),
                evidence=painted,
            )
        )
    return cells


def _curve(verdict: Verdict) -> dict[str, Any]:
    """Place the curve's points in the drawing; frames without a found face are hollow."""
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
        "width": _WIDTH,
        "height": _HEIGHT,
        "left": _LEFT,
        "right": _WIDTH - 12,
        "base": _HEIGHT - _BOTTOM,
        "threshold": _y(verdict.threshold),
        "lines": lines[::-1],  # who decides is drawn last, on top
        "x": [(_x(tick), _second(tick * last, verdict)) for tick in ticks],
        "y": [(_y(tick), f"{tick:g}") for tick in (0.0, 0.25, 0.5, 0.75, 1.0)],
    }


def _label(place: int, points: list[tuple[float, float, bool]]) -> tuple[float, float]:
    """Place a line's name: beside those of the others, above the line or, at the top, below it."""
    x = float(_LEFT + 10 + place * _LABEL)
    x_points, y_points, _ = zip(*points, strict=True)
    highest = min(np.interp(np.linspace(x, x + _LABEL, 9), x_points, y_points))
    lowest = max(np.interp(np.linspace(x, x + _LABEL, 9), x_points, y_points))
    return x, round(float(highest - 9 if highest > 32 else lowest + 24), 1)


def _second(frame: float | int, verdict: Verdict) -> str:
    fps = verdict.prepared.fps
    return f"{frame / fps:.1f} s" if fps > 0 else f"#{frame:.0f}"


def _x(share: float) -> float:
    return round(_LEFT + 10 + share * (_WIDTH - 12 - _LEFT - 20), 1)


def _y(score: float) -> float:
    return round(_TOP + (1 - score) * (_HEIGHT - _BOTTOM - _TOP), 1)


def _jpeg(image: UInt8[np.ndarray, "h w 3"]) -> str:
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
