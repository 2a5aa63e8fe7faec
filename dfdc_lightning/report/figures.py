"""Every figure of the report, as PNG and SVG; the same evidence gives the same bytes."""

import re
from pathlib import Path

import matplotlib

from dfdc_lightning import atomic
from dfdc_lightning.report import curves, dots, verdicts
from dfdc_lightning.report.evidence import Evidence, label_of
from dfdc_lightning.report.style import RC, Picture

_NO_DATES = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def all_figures(evidence: Evidence) -> list[Picture]:
    """Draw every figure, in the order of the page; those without data are left out."""
    with matplotlib.rc_context(RC):
        pictures: list[Picture | None] = [dots.differences(evidence), dots.all_runs(evidence)]
        pictures += [curves.roc(evidence), curves.det(evidence)]
        for study in evidence.studies:
            for name in study.experiments:
                label = label_of(name, study, evidence.studies)
                runs = [run for run in study.runs if run.experiment == name]
                pictures.append(curves.learning(slug(label), label, runs))
        for draw in (verdicts.confusion, verdicts.histogram, verdicts.reliability):
            pictures += [draw(slug(experiment.label), experiment) for experiment in evidence.experiments]
        pictures.append(verdicts.uncertain(evidence))
    return [picture for picture in pictures if picture is not None]


def save(picture: Picture, folder: Path) -> None:
    """Write `folder/<name>.png` and `.svg`."""
    with matplotlib.rc_context(RC):
        for ending, metadata in _NO_DATES.items():
            with atomic.replacing(folder / f"{picture.name}.{ending}") as temporary:
                picture.figure.savefig(temporary, format=ending, metadata=metadata)
            picture.figure.set_layout_engine("none")  # laid out once is enough


def slug(label: str) -> str:
    """A label as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", label)
