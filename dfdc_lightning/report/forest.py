"""The figure of the answer: means with joint intervals, seeds, differences."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dfdc_lightning.report.evidence import Evidence, Experiment
from dfdc_lightning.report.style import COLOURS, GREY, Picture, canvas, short
from dfdc_lightning.report.table import percent
from dfdc_lightning.results.measures import NAMES

_MOST_INCHES = 19.0  # below 4,000 pixels
_ROW = 0.36


def forest(evidence: Evidence, measure: str = "auroc") -> list[Picture]:
    """Draw means and seeds on the left, differences to the baseline on the right, the best mean on top."""
    order = sorted(evidence.experiments, key=lambda e: e.mean[measure].value)
    compared = [evidence.comparison(experiment) for experiment in order]
    row = min(_ROW, (_MOST_INCHES - 1.2) / len(order))
    figure = canvas(1.2 + row * len(order))
    if any(compared):
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.25, 1])
        _differences(right, order, evidence, measure)
        right.set(xlabel=f"Δ {NAMES[measure]} to {short(evidence.baseline, 14)}")
    else:
        left = figure.subplots()
    _means(left, order, measure)
    left.set_yticks(range(len(order)), [short(e.label, 18) for e in order], fontsize=9 if row > 0.2 else 7)
    left.set_ylim(-0.6, len(order) - 0.4)
    left.set(xlabel=f"{NAMES[measure]} on test videos")
    sure = percent(evidence.confidence)
    left.set_title(f"mean, {sure} interval, seeds", fontsize=9)
    caption = (
        f"{NAMES[measure]} of each experiment, the highest mean on top: mean over seeds (square) with its "
        f"{sure} interval over seeds and videos (line), and one dot per seed. "
    )
    if any(compared):
        caption += (
            "Right: difference to the baseline with its interval; filled where the verdict is clear after "
            "Holm's correction, hollow where it is not."
        )
    return [Picture("forest", f"{NAMES[measure]} of each experiment", caption, figure)]


def _means(axes: Axes, order: Sequence[Experiment], measure: str) -> None:
    for y, experiment in enumerate(order):
        estimate = experiment.mean[measure]
        if estimate.interval is not None:
            axes.plot(list(estimate.interval), [y, y], color=COLOURS[1], lw=2, zorder=2)
        values = experiment.values(measure)
        axes.plot(values, [y - 0.22] * len(values), "o", color=GREY, ms=3, mec="none", alpha=0.8)
        axes.plot(estimate.value, y, "s", color=COLOURS[1], ms=6, zorder=3)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _differences(axes: Axes, order: Sequence[Experiment], evidence: Evidence, measure: str) -> None:
    for y, experiment in enumerate(order):
        found = evidence.comparison(experiment)
        if found is None:
            continue
        d = found.differences[measure]
        if d.interval is not None:
            axes.plot(list(d.interval), [y, y], color=COLOURS[2], lw=2)
        fill = COLOURS[2] if found.auroc.clear else "white"
        axes.plot(d.difference, y, "o", color=COLOURS[2], ms=6, mfc=fill)
    axes.axvline(0, color="black", lw=1)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_title("difference", fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(4))
