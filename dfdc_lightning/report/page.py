"""One self-contained HTML page: the answer in words, then tables, figures, runs, data, how to do it again."""

import base64
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from dfdc_lightning.report import provenance
from dfdc_lightning.report.answer import answer
from dfdc_lightning.report.evidence import Evidence
from dfdc_lightning.report.style import Picture
from dfdc_lightning.report.table import Table
from dfdc_lightning.report.tables import how_best

_TEMPLATE = Path(__file__).with_name("page.html.jinja")
_PNG = b"\x89PNG\r\n\x1a\n"


class Image(NamedTuple):
    """A picture inside the page."""

    source: str
    width: int
    height: int
    caption: str


class Section(NamedTuple):
    """A heading with what belongs under it."""

    anchor: str
    title: str
    text: str
    tables: list[Table]
    images: list[Image]


# anchor, title, text, tables by name, figures by the beginning of their names
_LAYOUT = (
    ("results", "Results", "{best}", ("auroc", "accuracy", "f1", "eer"), ("runs_",)),
    (
        "certainty",
        "How sure is that?",
        "Two things vary: which videos were tested and which seed was trained. No number covers both.",
        ("differences", "significance", "chosen"),
        ("differences",),
    ),
    ("errors", "Right and wrong", "", ("confusion",), ("confusion_", "scores_")),
    ("thresholds", "Thresholds", "", ("thresholds",), ("roc", "det")),
    ("calibration", "Can a score be read as a probability?", "", ("calibration",), ("reliability_",)),
    ("frames", "Frames and videos", "", ("levels",), ("uncertain",)),
    ("learning", "Learning curves", "", (), ("learning_",)),
    ("runs", "Runs", "", ("runs", "configurations"), ()),
)


def html(evidence: Evidence, tables: Sequence[Table], pictures: Sequence[Picture], figures: Path) -> str:
    """The page as text.

    Args:
        evidence: All numbers.
        tables: As `all_tables` gives them.
        pictures: As `all_figures` gives them.
        figures: The folder where these lie as PNG.
    """
    by_name = {table.name: table for table in [*tables, provenance.differences(evidence)]}
    sections = []
    for anchor, title, text, names, beginnings in _LAYOUT:
        images = [
            embed(figures / f"{picture.name}.png", picture.caption)
            for beginning in beginnings
            for picture in pictures
            if picture.name.startswith(beginning)
        ]
        found = [by_name[name] for name in names if name in by_name]
        if found or images:
            sections.append(Section(anchor, title, text.format(best=how_best(evidence)), found, images))
    explained = explanations(evidence)
    if explained:
        sections.insert(-1, explained)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=f"Report on {' and '.join(study.name for study in evidence.studies)}",
        answer=answer(evidence),
        notes=evidence.notes,
        sections=sections,
        studies=[
            {
                "name": study.name,
                "data": provenance.data(study),
                "environment": provenance.environment(study),
                "commands": provenance.commands(study),
            }
            for study in evidence.studies
        ],
        n_resamples=f"{evidence.n_resamples:,}",
        seed=evidence.seed,
    )


def explanations(evidence: Evidence) -> Section | None:
    """Pictures that `explain` left in run folders (`explain/*.png`), if there are any."""
    images = [
        embed(path, f"{run.name}: {path.stem.replace('_', ' ')}")
        for study in evidence.studies
        for run in study.runs
        for path in sorted(run.path.glob("explain/*.png"))
        if path.read_bytes()[:8] == _PNG
    ]
    if not images:
        return None
    text = "Grad-CAM: where the score for FAKE comes from. Made by python -m dfdc_lightning.explain run=RUN."
    return Section("explain", "Where it looks", text, [], images)


def embed(path: Path, caption: str) -> Image:
    """A PNG file as a data URI with its size."""
    content = path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    return Image("data:image/png;base64," + base64.b64encode(content).decode(), width, height, caption)
