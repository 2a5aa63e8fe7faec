"""Writes a verdict as one self-contained HTML page: answer and why, time line, faces, what it means."""

import base64
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dfdc_lightning import atomic
from dfdc_lightning.explain.overlay import brightest, overlay, readable, scale
from dfdc_lightning.explain.prediction import evidence
from dfdc_lightning.predict.credentials import told
from dfdc_lightning.predict.curve import curve, scan_curve, second
from dfdc_lightning.predict.likeness import Quantity
from dfdc_lightning.predict.text import cuts, headline, meaning, notes, promise, scan_meaning, scan_summary
from dfdc_lightning.predict.timeline import clock
from dfdc_lightning.predict.verdict import Person, Verdict

_QUALITY = 88  # of the JPEGs on the page
_SIDE = 160  # pixels of a face on the page
_SHOWN = 4  # persons whose faces are shown
_NAMES = {
    "appearance": "look (distance from the training faces)",
    "face_pixels": "size of the face",
    "sharpness": "sharpness",
    "brightness": "brightness",
}


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
            "headline": headline(verdict),
            "cuts": cuts(verdict),
            "promise": promise(verdict),
            "meaning": meaning(verdict),
            "curve": curve(verdict),
            "scan": scan_curve(verdict),
            "found": _found(verdict),
            "scan_said": "" if verdict.scan is None else scan_summary(verdict.scan),
            "scan_meaning": "" if verdict.scan is None else scan_meaning(verdict.scan),
            "facts": _facts(verdict),
            "credentials": told(verdict.record.get("content_credentials", {})),
            "persons": [(person, notes(person, verdict)) for person in verdict.persons],
            "strips": [(person, _strip(person, verdict)) for person in verdict.persons[:_SHOWN]],
            "colours": scale(),
            "comparisons": [_compared(each) for each in verdict.person.likeness.comparisons],
        }
    )
    return str(getattr(template, macro)())


def _strip(person: Person, verdict: Verdict) -> list[Cell]:
    maps = None
    if person.maps is not None and readable(person.maps):
        maps = evidence(person.maps, verdict.leaning)
    full = 1.0 if maps is None else brightest(maps)
    cells = []
    for index, face in enumerate(person.clip.faces):
        large = cv2.resize(np.ascontiguousarray(face.transpose(1, 2, 0)), (_SIDE, _SIDE))
        painted = "" if maps is None else _jpeg(overlay(large.transpose(2, 0, 1), maps[index], full))
        cells.append(
            Cell(
                frame=person.times[index],
                second=second(person.times[index], verdict),
                score=person.frame_scores[index],
                found=bool(person.clip.found[index]),
                face=_jpeg(large),
                evidence=painted,
            )
        )
    return cells


def _found(verdict: Verdict) -> list[tuple[str, int, str]]:
    """List when which person stands out, and the highest score there."""
    found = [] if verdict.scan is None else verdict.scan.found
    return [(f"{clock(each.start)} to {clock(each.end)}", each.person, f"{each.score:.3f}") for each in found]


def _facts(verdict: Verdict) -> str:
    """Write what the file says of itself."""
    facts = verdict.record.get("container") or {}
    said = {
        "format": facts.get("format"),
        "codec": " ".join(str(facts[key]) for key in ("codec", "profile", "pixels") if facts.get(key)),
        "rate": facts.get("fps") and f"{facts['fps']:.3g} frames/s",
        "size": facts.get("bytes") and f"{facts['bytes']:,} bytes",
        "bit rate": facts.get("bit_rate") and f"{facts['bit_rate'] / 1000:,.0f} kbit/s",
        "audio": ", ".join(facts.get("audio", [])),
    } | facts.get("tags", {})
    return "; ".join(f"{name} {value}" for name, value in said.items() if value)


def _compared(comparison: Quantity) -> tuple[str, str, str, bool]:
    """Write one line of the table: what, here, usual there, and whether it is usual."""
    unit = f" {comparison.unit}" if comparison.unit else ""
    if np.isfinite(comparison.low):
        usual = f"{comparison.low:.0f} to {comparison.high:.0f}{unit}"
        return _NAMES[comparison.name], f"{comparison.value:.0f}{unit}", usual, comparison.usual
    usual = f"up to {comparison.high:.1f}"
    return _NAMES[comparison.name], f"{comparison.value:.1f}", usual, comparison.usual


def _jpeg(image: UInt8[np.ndarray, "h w 3"]) -> str:
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
