"""Curves: learning over epochs, ROC and DET."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy.special import ndtri

from dfdc_lightning.report.evidence import Evidence, Experiment, label_of
from dfdc_lightning.report.style import (
    COLOURS,
    LINES,
    Picture,
    canvas,
    legend,
    line_style,
    panels,
    short,
    shown,
)
from dfdc_lightning.results import measures
from dfdc_lightning.results.epochs import Epoch

_DET_TICKS = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6])
_MOST_POINTS = 2000
_MOST_CURVES = 7  # colours that are told apart


def learning(evidence: Evidence) -> list[Picture]:
    """Draw loss and AUROC over epochs: a row of two panels per experiment that has trained an epoch."""
    found = [
        (label_of(name, study, evidence.studies), runs, study.best_epochs(name))
        for study in evidence.studies
        for name in study.experiments
        if (runs := study.curves(name))
    ]
    if not found:
        return []
    kept, left_out = shown(found)
    figure, rows = panels(len(kept), height=1.45, columns=2, each=2)
    for row, (label, runs, best) in zip(rows, kept, strict=True):
        for axes, key, unit in zip(row, ("loss", "auroc"), ("loss (nats)", "AUROC"), strict=True):
            for i, split in enumerate(("train", "val")):
                _band(axes, runs, f"{split}/{key}", i, {"train": "training", "val": "validation"}[split])
            axes.set_ylabel(unit, fontsize=8)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        row[0].set_title(short(label, 22), fontsize=9, loc="left")
        for epoch in best:
            axes.plot(
                epoch["epoch"] + 1, epoch["val/auroc"], "*", color=COLOURS[2], ms=9, mec="white", mew=0.6
            )
    for axes in rows[-1]:
        axes.set_xlabel("epoch")
    rows[-1][1].plot([], [], "*", color=COLOURS[2], ms=9, label="best epoch of a seed")
    handles, names = rows[-1][1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8)
    monitors = " or ".join(sorted({study.monitor(run) for study in evidence.studies for run in study.runs}))
    caption = (
        f"Loss and AUROC over epochs of {_named([label for label, *_ in kept])}: mean over seeds, the band "
        f"reaches from the lowest to the highest seed; stars mark each seed's best epoch by {monitors}. "
        f"Epochs count from 1.{left_out}"
    )
    return [Picture("learning", "Learning curves", caption, figure)]


def _band(axes: Axes, runs: Sequence[list[Epoch]], key: str, i: int, label: str) -> None:
    epochs = sorted({row["epoch"] for run in runs for row in run if key in row})
    if not epochs:
        return
    values = [
        [row[key] for run in runs for row in run if row["epoch"] == epoch and key in row] for epoch in epochs
    ]
    means = [float(np.mean(v)) for v in values]
    colour = COLOURS[1 - i]
    counted = [epoch + 1 for epoch in epochs]  # files count from 0
    axes.plot(counted, means, LINES[1 - i], color=colour, label=label, marker="." if len(epochs) == 1 else "")
    axes.fill_between(
        counted, [min(v) for v in values], [max(v) for v in values], color=colour, alpha=0.18, lw=0
    )


def roc(evidence: Evidence) -> list[Picture]:
    """Draw the ROC curves of the runs that validation chooses."""
    figure = canvas(4.6)
    axes = figure.subplots()
    kept, left_out = _chosen_curves(evidence)
    for curve, line in kept:
        axes.plot(100 * curve.fpr, 100 * curve.tpr, **line)
    axes.plot([0, 100], [0, 100], color="#bbbbbb", lw=1, zorder=1)
    axes.set(xlabel="REAL called FAKE (false-positive rate, %)", ylabel="FAKE found (true-positive rate, %)")
    axes.set(xlim=(-1, 101), ylim=(-1, 101), aspect="equal", title="ROC (AUROC)")
    legend(figure, [str(line.get_label()) for line in axes.lines[:-1]])
    caption = (
        "ROC curve on test videos of the run of each experiment that validation chooses; the grey diagonal "
        f"is chance.{left_out}"
    )
    return [Picture("roc", "ROC curves", caption, figure)]


def det(evidence: Evidence) -> list[Picture]:
    """Draw the detection error trade-off: both error rates on normal-deviate axes (Martin et al., 1997)."""
    figure = canvas(4.6)
    axes = figure.subplots()
    kept, left_out = _chosen_curves(evidence, "eer")
    drawn = 0
    for curve, line in kept:
        inside = (curve.fpr > 0) & (curve.tpr < 1)
        drawn += bool(inside.any())
        axes.plot(ndtri(curve.fpr[inside]), ndtri(1 - curve.tpr[inside]), **line)
    if not drawn:
        return []
    ends = (float(ndtri(0.005)), float(ndtri(0.7)))
    axes.plot(ends, ends, color="#bbbbbb", lw=1, zorder=1)
    ticks, names = ndtri(_DET_TICKS), [f"{100 * tick:g}" for tick in _DET_TICKS]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set(
        xlabel="REAL called FAKE (false-positive rate, %)", ylabel="FAKE missed (false-negative rate, %)"
    )
    axes.set(xlim=ends, ylim=ends, aspect="equal", title="Detection error trade-off (EER)")
    legend(figure, [str(line.get_label()) for line in axes.lines[:-1]])
    caption = (
        "Both error rates of the same runs on normal-deviate axes; lower left is better, the grey line "
        "crosses each curve at its equal error rate. A run that separates all videos has no curve here."
        f"{left_out}"
    )
    return [Picture("det", "DET curves", caption, figure)]


def _chosen_curves(
    evidence: Evidence, measure: str = "auroc"
) -> tuple[list[tuple[measures.Curve, dict[str, Any]]], str]:
    """Yield the curve of each experiment's chosen run (without validation the best on test) and its style."""
    by_mean = sorted(evidence.experiments, key=lambda e: -e.mean["auroc"].value)
    kept, left_out = shown(by_mean, _MOST_CURVES)
    inside = {id(experiment) for experiment in kept}
    return list(_curves([e for e in evidence.experiments if id(e) in inside], measure)), left_out


def _curves(
    experiments: Sequence[Experiment], measure: str
) -> Iterator[tuple[measures.Curve, dict[str, Any]]]:
    for i, experiment in enumerate(experiments):
        run = experiment.chosen() or experiment.best()
        label = f"{short(experiment.label)}, seed {run.run.seed} ({run.values[measure]:.3f})"
        line = {"linestyle": line_style(i).linestyle, "color": line_style(i).color, "label": label}
        yield measures.roc(run.test.score, run.test.label).thinned(_MOST_POINTS), line


def _named(labels: Sequence[str]) -> str:
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"
