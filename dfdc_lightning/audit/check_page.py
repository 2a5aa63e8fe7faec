"""The check as one self-contained page: what was found in words, then shortcuts, leaks, contents, doubts."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import jinja2
import numpy as np
from jaxtyping import UInt8

from dfdc_lightning.audit.facts import thumbnail
from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache, Row
from dfdc_lightning.faces.proof import Claim
from dfdc_lightning.faces.split import order

_TEMPLATE = Path(__file__).with_name("check.html.jinja")
_SHEET = 100  # faces on the contact sheet
_PAIRS = 20  # near-duplicates that are shown
_LINES = 200  # pixels that a distribution is wide


class Face(NamedTuple):
    """A picture in the page."""

    video: str
    label: str
    source: str


class Strip(NamedTuple):
    """The quantiles of one fact for one label, as places in pixels, and in words."""

    label: str
    low: float
    left: float
    middle: float
    right: float
    high: float
    words: str


def page(cache: FaceCache, claims: Sequence[Claim], found: Mapping[str, Any], used: Sequence[Row]) -> str:
    """Write the page.

    Args:
        cache: The cache, from which the pictures come.
        claims: What was proved.
        found: What check.json holds beside.
        used: The rows of the videos that are used and whose clips can be read.
    """
    label = {row.video: row.label for row in used}
    sheet = sorted(label, key=lambda video: order(1, video))[:_SHEET]

    def face(video: str) -> Face:
        picture = thumbnail(cache, video)
        return Face(video, label.get(video, ""), "" if picture is None else _embedded(picture))

    template = jinja2.Template(_TEMPLATE.read_text(encoding="utf-8"), autoescape=True, trim_blocks=True)
    text: str = template.render(
        root=cache.root,
        claims=claims,
        sheet=[face(video) for video in sorted(sheet, key=lambda video: (label[video] == FAKE, video))],
        pairs=[(pair, face(pair["a"]), face(pair["b"])) for pair in found["leaks"]["examples"][:_PAIRS]],
        doubts=[(entry, face(entry["video"])) for entry in found["doubtful"]],
        strips={name: _strips(spread) for name, spread in found["contents"]["numbers"].items()},
        width=_LINES,
        labels=(REAL, FAKE),
        **found,
    )
    return text


def _strips(spread: Mapping[str, Sequence[float]]) -> list[Strip]:
    values = [value for quantiles in spread.values() for value in quantiles]
    low, span = min(values, default=0.0), max(values, default=0.0) - min(values, default=0.0)
    strips = []
    for label, quantiles in spread.items():
        if quantiles:
            places = [(value - low) / (span or 1) * _LINES for value in quantiles]
            words = f"{quantiles[2]:.4g} ({quantiles[0]:.4g} to {quantiles[4]:.4g})"
            strips.append(Strip(label, places[0], places[1], places[2], places[3], places[4], words))
    return strips


def _embedded(picture: UInt8[np.ndarray, "s s 3"]) -> str:
    data = cv2.imencode(".jpg", np.ascontiguousarray(picture[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
