"""Which experiment tells forgeries of which method: what lies behind one AUROC over all of them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from dfdc_lightning.report import influence
from dfdc_lightning.report.evidence import Evidence, Experiment
from dfdc_lightning.report.inference import Estimate, Measured, mean_interval, run_interval
from dfdc_lightning.report.slices import FEWEST, known_rows
from dfdc_lightning.report.statistics import clusters
from dfdc_lightning.report.style import COLOURS, LINES, MARKERS, Picture, canvas, short
from dfdc_lightning.report.table import ABSENT, Table, interval, number, percent

_MOST_METHODS, _ROW = 8, 0.2


class OfMethod(NamedTuple):
    """AUROC of every seed of an experiment between all REAL test videos and the FAKE ones of one method."""

    runs: list[Measured]
    groups: int


def table(evidence: Evidence) -> Table:
    """Tabulate the AUROC of each experiment against each method's forgeries, with joint intervals."""
    measured = {e.label: of_methods(e) for e in evidence.experiments}
    names = sorted({name for one in measured.values() for name in one})
    rows = []
    for label, one in measured.items():
        estimates = [_estimate(one[name], evidence.confidence) if name in one else None for name in names]
        rows.append([label, *(f"{number(e.value)} ({interval(e)})" if e else ABSENT for e in estimates)])
    caption = (
        f"AUROC between all REAL test videos and the FAKE ones of one method: means over seeds, in brackets "
        f"{percent(evidence.confidence)} intervals over seeds and videos. A method needs {FEWEST} videos."
    )
    return Table("methods", "By method of forgery", caption, ["experiment", *names], rows if names else [])


def figure(evidence: Evidence) -> list[Picture]:
    """Draw the same: methods from top to bottom, one line per experiment."""
    measured = [(e, of_methods(e)) for e in evidence.experiments[: len(COLOURS)]]
    names = sorted({name for _, one in measured for name in one})
    if not 1 < len(names) <= _MOST_METHODS:
        return []
    drawing = canvas(1.3 + _ROW * len(names) * (len(measured) + 1))
    axes = drawing.subplots()
    for place, (experiment, one) in enumerate(measured):
        for row, name in enumerate(names):
            if name not in one:
                continue
            estimate = _estimate(one[name], evidence.confidence)
            y = row * (len(measured) + 1) + place
            colour, label = COLOURS[place], short(experiment.label, 18) if row == 0 else None
            if estimate.interval is not None:
                axes.plot(list(estimate.interval), [y, y], color=colour, ls=LINES[0], lw=1.6)
            axes.plot(estimate.value, y, MARKERS[place], color=colour, ms=5, label=label)
    middle = (len(measured) - 1) / 2
    axes.set_yticks([row * (len(measured) + 1) + middle for row in range(len(names))], names)
    axes.tick_params(axis="y", length=0)
    axes.axvline(0.5, color="black", lw=1)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="AUROC against all REAL test videos")
    drawing.legend(loc="outside lower center", ncols=3, fontsize=8)
    caption = (
        "AUROC of each experiment against the forgeries of each method: mean over seeds with its "
        f"{percent(evidence.confidence)} interval over seeds and videos. "
        "At 0.5 (line) a detector tells nothing."
    )
    return [Picture("methods", "By method of forgery", caption, drawing)]


def of_methods(experiment: Experiment) -> Mapping[str, OfMethod]:
    """Measure each method that has enough test videos; empty where the face cache is not on this machine."""
    read, test = known_rows(experiment), experiment.runs[0].test
    if read is None:
        return {}
    methods = np.array([row.method if (row := read[1].get(video)) else "" for video in test.video])
    found = {}
    for name in sorted(set(methods[test.label].tolist()) - {""}):
        mask: Bool[np.ndarray, " v"] = ~test.label | (methods == name)
        if min((mask & test.label).sum(), (~test.label).sum()) >= FEWEST:
            design = clusters(test.label[mask], [test.group[i] for i in np.flatnonzero(mask)])
            runs = [
                influence.auroc(run.test.score, run.test.label, mask, experiment.design.of_video)
                for run in experiment.runs
            ]
            found[name] = OfMethod(runs, design.smaller)
    return found


def _estimate(one: OfMethod, confidence: float) -> Estimate:
    if len(one.runs) == 1:
        return run_interval(one.runs[0], one.groups, confidence)
    return mean_interval(one.runs, one.groups, confidence)
