"""One self-contained HTML page: the answer in words, then every section with its tables and figures."""

import base64
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from dfdc_lightning.report import provenance
from dfdc_lightning.report.answer import answer
from dfdc_lightning.report.evidence import Evidence
from dfdc_lightning.report.sections import Content
from dfdc_lightning.report.style import Picture

_TEMPLATE = Path(__file__).with_name("page.html.jinja")


class Image(NamedTuple):
    """A picture inside the page."""

    source: str
    width: int
    height: int
    caption: str


def html(evidence: Evidence, sections: Sequence[Content], figures: Path) -> str:
    """Render the page.

    Args:
        evidence: All numbers.
        sections: As `sections.contents` gives them.
        figures: The folder where their pictures lie as PNG.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=f"Report on {' and '.join(study.name for study in evidence.studies)}",
        answer=answer(evidence),
        notes=evidence.notes,
        sections=sections,
        images=[[embed(picture, figures) for picture in section.pictures] for section in sections],
        commands=[provenance.commands(study) for study in evidence.studies],
        n_resamples=f"{evidence.n_resamples:,}",
        seed=evidence.seed,
    )


def embed(picture: Picture, figures: Path) -> Image:
    """Read a picture's PNG file as a data URI with its size."""
    own = picture.figure if isinstance(picture.figure, Path) else figures / f"{picture.name}.png"
    content = own.read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    source = "data:image/png;base64," + base64.b64encode(content).decode()
    return Image(source, width, height, picture.caption)
