"""Curves: learning over epochs, ROC and DET."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy.special import ndtri

from dfdc_lightning.report.evidence import Evidence, label_of
from dfdc_lightning.report.study import Run
from dfdc_lightning.report.style import COLOURS, LINES, Picture, canvas, legend, look, short, slug
from dfdc_lightning.results import measures
from dfdc_lightning.results.ranking import MEASURES

_DET_TICKS = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6])
_MOST_POINTS = 2000


def learning(evidence: Evidence) -> list[Picture]:
    """Loss and AUROC over epochs, a picture for each experiment with an epoch to show."""
    pictures = []
    for study in evidence.studies:
        for name in study.experiments:
            runs = [run for run in study.runs if run.experiment == name and run.epochs]
            if runs:
                pictures.append(_learning(label_of(name, study, evidence.studies), runs))
    return pictures


def _learning(label: str, runs: list[Run]) -> Picture:
    """Mean over seeds, band from lowest to highest seed, best epochs marked."""
    figure = canvas(4.8)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, key, unit in ((upper, "loss", "loss (nats)"), (lower, "auroc", "AUROC")):
        for i, split in enumerate(("train", "val")):
            _band(axes, runs, f"{split}/{key}", i, {"train": "training", "val": "validation"}[split])
        axes.set_ylabel(unit)
    for run in runs:
        best = max(run.epochs, key=lambda row: row.get("val/auroc", -1.0))
        if "val/auroc" in best:
            lower.plot(
                best["epoch"], best["val/auroc"], "*", color=COLOURS[2], ms=10, mec="white", mew=0.6, zorder=4
            )
    lower.plot([], [], "*", color=COLOURS[2], ms=10, label="best epoch of a seed")
    lower.set_xlabel("epoch")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, names = lower.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    figure.suptitle(f"{short(label)}: learning curves", fontsize=10)
    caption = (
        f"Loss and AUROC of {label} over epochs: mean over {_seeds(len(runs))}, the band reaches from the "
        "lowest to the highest seed; stars mark each seed's best epoch by validation AUROC."
    )
    return Picture(f"learning_{slug(label)}", f"{label}: learning curves", caption, figure)


def _band(axes: Axes, runs: list[Run], key: str, i: int, label: str) -> None:
    epochs = sorted({row["epoch"] for run in runs for row in run.epochs if key in row and "epoch" in row})
    if not epochs:
        return
    values = [
        [r[key] for run in runs for r in run.epochs if r.get("epoch") == epoch and key in r]
        for epoch in epochs
    ]
    means = [float(np.mean(v)) for v in values]
    colour = COLOURS[1 - i]
    axes.plot(epochs, means, LINES[1 - i], color=colour, label=label, marker="." if len(epochs) == 1 else "")
    axes.fill_between(
        epochs, [min(v) for v in values], [max(v) for v in values], color=colour, alpha=0.18, lw=0
    )


def roc(evidence: Evidence) -> list[Picture]:
    """ROC curves of the best runs."""
    figure = canvas(4.6)
    axes = figure.subplots()
    for curve, line in _of_best_runs(evidence, "auroc"):
        axes.plot(100 * curve.fpr, 100 * curve.tpr, **line)
    axes.plot([0, 100], [0, 100], color="#bbbbbb", lw=1, zorder=1)
    axes.set(xlabel="REAL called FAKE (false-positive rate, %)", ylabel="FAKE found (true-positive rate, %)")
    axes.set(xlim=(-1, 101), ylim=(-1, 101), aspect="equal", title="ROC of the best runs (AUROC)")
    legend(figure, [str(line.get_label()) for line in axes.lines[:-1]])
    caption = "ROC curve of each experiment's best run on test videos; the grey diagonal is chance."
    return [Picture("roc", "ROC curves", caption, figure)]


def det(evidence: Evidence) -> list[Picture]:
    """Detection error trade-off: both error rates on normal-deviate axes (Martin et al., 1997)."""
    figure = canvas(4.6)
    axes = figure.subplots()
    for curve, line in _of_best_runs(evidence, "eer"):
        inside = (curve.fpr > 0) & (curve.tpr < 1)
        axes.plot(ndtri(curve.fpr[inside]), ndtri(1 - curve.tpr[inside]), **line)
    ends = (float(ndtri(0.005)), float(ndtri(0.7)))
    axes.plot(ends, ends, color="#bbbbbb", lw=1, zorder=1)
    ticks, names = ndtri(_DET_TICKS), [f"{100 * tick:g}" for tick in _DET_TICKS]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set(
        xlabel="REAL called FAKE (false-positive rate, %)", ylabel="FAKE missed (false-negative rate, %)"
    )
    axes.set(xlim=ends, ylim=ends, aspect="equal", title="DET of the best runs (EER)")
    legend(figure, [str(line.get_label()) for line in axes.lines[:-1]])
    caption = (
        "Detection error trade-off of each experiment's best run on test videos, on normal-deviate axes; "
        "lower left is better, the grey line crosses each curve at its equal error rate. A run that "
        "separates all videos has no curve here."
    )
    return [Picture("det", "DET curves", caption, figure)]


def _of_best_runs(evidence: Evidence, measure: str) -> Iterator[tuple[measures.Curve, dict[str, Any]]]:
    """The ROC of each experiment's best run, and how to draw it, the value of a measure in its label."""
    for i, experiment in enumerate(evidence.experiments):
        best = experiment.best()
        label = (
            f"{short(experiment.label)}, seed {best.run.seed} ({best.values[MEASURES.index(measure)]:.3f})"
        )
        line = {"linestyle": look(i).linestyle, "color": look(i).color, "label": label}
        yield _thinned(measures.roc(best.test.score, best.test.label)), line


def _thinned(curve: measures.Curve) -> measures.Curve:
    """At most a few thousand points, so that a large test set does not make a huge SVG."""
    if len(curve.fpr) <= _MOST_POINTS:
        return curve
    kept: Float64[np.ndarray, " k"] = np.unique(
        np.linspace(0, len(curve.fpr) - 1, _MOST_POINTS).round().astype(int)
    )
    return measures.Curve(curve.fpr[kept], curve.tpr[kept], curve.threshold[kept])


def _seeds(n: int) -> str:
    return "one seed" if n == 1 else f"{n} seeds"
