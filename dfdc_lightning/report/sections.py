"""The report in one list: tables/, figures/ and the page follow from SECTIONS, in its order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import matplotlib

from dfdc_lightning.report import (
    cache_check,
    cost,
    curves,
    explanations,
    foreign,
    forest,
    methods,
    operating,
    planning,
    provenance,
    robustness_figures,
    robustness_tables,
    slices,
    tables,
    verdicts,
)
from dfdc_lightning.report.evidence import Evidence
from dfdc_lightning.report.style import RC, Picture
from dfdc_lightning.report.table import Table
from dfdc_lightning.results.ranking import MEASURES


@dataclass(frozen=True)
class Section:
    """One heading of the page, and how to make what stands under it.

    Each function takes the evidence alone. A table without rows and a function that gives no picture are left
    out, and so is a section of which nothing is left.

    Args:
        anchor: Its address on the page.
        title: The heading.
        tables: Each makes one table; its name becomes a file of tables/.
        figures: Each makes any number of pictures; their names become files of figures/.
        text: A sentence or two below the heading.
        large: Whether its figures stand first and large.
    """

    anchor: str
    title: str
    tables: Sequence[Callable[[Evidence], Table]] = ()
    figures: Sequence[Callable[[Evidence], list[Picture]]] = ()
    text: Callable[[Evidence], str] | str = ""
    large: bool = False


@dataclass(frozen=True)
class Content:
    """A section of one report."""

    anchor: str
    title: str
    text: str
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    large: bool = False


SECTIONS = (
    Section(
        "results",
        "Results",
        tables=(tables.results,),
        figures=(forest.forest, curves.roc),
        large=True,
    ),
    Section(
        "measures",
        "Every measure, beside the study's own numbers",
        tables=tuple(partial(tables.one_measure, name=name) for name in MEASURES),
    ),
    Section(
        "certainty", "How sure is that?", tables=(tables.differences, planning.sample_sizes, tables.chosen)
    ),
    Section(
        "slices",
        "Where is it strong, where weak?",
        tables=(methods.table, slices.slices),
        figures=(methods.figure,),
    ),
    Section(
        "errors",
        "Right and wrong",
        tables=(operating.thresholds, operating.confusions),
        figures=(verdicts.confusions, verdicts.histograms, curves.det),
    ),
    Section(
        "calibration",
        "Can a score be read as a probability?",
        tables=(operating.calibration,),
        figures=(verdicts.reliabilities,),
    ),
    Section("frames", "Frames and videos", tables=(operating.levels,), figures=(verdicts.uncertain,)),
    Section(
        "robustness",
        "How far does it hold?",
        tables=(robustness_tables.elsewhere, robustness_tables.corruptions),
        figures=(robustness_figures.corruption_curves, robustness_figures.corruption_levels),
        text=robustness_tables.sentences,
    ),
    Section(
        "detectors",
        "Beside other people's detectors",
        tables=(foreign.results, foreign.differences, foreign.uncounted),
        text=foreign.sentences,
    ),
    Section("data_check", "Is the data sound?", tables=(cache_check.findings, cache_check.doubts)),
    Section("learning", "Learning curves", figures=(curves.learning,)),
    Section("explain", "Where it looks", figures=(explanations.pictures,), text=explanations.TEXT),
    Section("cost", "What it costs", tables=(cost.costs,)),
    Section("runs", "Runs", tables=(tables.runs, provenance.differences)),
    Section("data", "Data, versions, hardware", tables=(provenance.data, provenance.environment)),
)


def contents(evidence: Evidence, sections: Sequence[Section] = SECTIONS) -> list[Content]:
    """Make every section that has something to show."""
    with matplotlib.rc_context(RC):
        made = [_content(section, evidence) for section in sections]
    return [content for content in made if content.tables or content.pictures]


def _content(section: Section, evidence: Evidence) -> Content:
    return Content(
        section.anchor,
        section.title,
        section.text if isinstance(section.text, str) else section.text(evidence),
        [table for make in section.tables if (table := make(evidence)).rows],
        [picture for draw in section.figures for picture in draw(evidence)],
        section.large,
    )
