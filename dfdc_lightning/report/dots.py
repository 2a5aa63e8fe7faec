"""Dot plots: every run with its interval, and the differences to the reference."""

from matplotlib.ticker import MaxNLocator

from dfdc_lightning.report.evidence import Evidence
from dfdc_lightning.report.style import COLOURS, Picture, canvas, look, short
from dfdc_lightning.report.table import percent
from dfdc_lightning.results.measures import NAMES
from dfdc_lightning.results.ranking import MEASURES


def all_runs(evidence: Evidence, measure: str = "auroc") -> list[Picture]:
    """One dot a run with its bootstrap interval, grouped by experiment; a bar marks the mean over seeds."""
    place = MEASURES.index(measure)
    n = sum(len(experiment.runs) for experiment in evidence.experiments)
    figure = canvas(1.2 + 0.17 * n + 0.2 * len(evidence.experiments))
    axes = figure.subplots()
    y, ticks, names = 0.0, [], []
    for i, experiment in enumerate(evidence.experiments):
        top, (colour, _, marker) = y, look(i)
        for run in experiment.runs:
            low, high = run.intervals[place]
            axes.plot([low, high], [y, y], color=colour, lw=1.3)
            axes.plot(run.values[place], y, marker, color=colour, ms=4.5)
            ticks.append(y)
            names.append(
                f"{short(experiment.label)}  {run.run.seed}"
                if run is experiment.runs[0]
                else f"{run.run.seed}"
            )
            y += 1
        mean = experiment.values(measure).mean()
        axes.plot(
            [mean, mean],
            [top - 0.4, y - 0.6],
            color=colour,
            lw=3.2,
            alpha=0.35,
            solid_capstyle="butt",
        )
        y += 0.9
    axes.set_yticks(ticks, names, fontsize=8)
    axes.set_ylim(y - 0.6, -0.8)
    axes.grid(visible=False, axis="y")
    axes.set(xlabel=f"{NAMES[measure]} on test videos", ylabel="experiment and seed")
    axes.set_title(f"All runs, {percent(evidence.confidence)} intervals")
    caption = (
        f"{NAMES[measure]} of every run with its {percent(evidence.confidence)} bootstrap interval over "
        "test videos; the pale bar is the experiment's mean over seeds."
    )
    return [Picture(f"runs_{measure}", f"All runs: {NAMES[measure]}", caption, figure)]


def differences(evidence: Evidence) -> list[Picture]:
    """AUROC differences of means with their paired intervals."""
    if not evidence.comparisons:
        return []
    figure = canvas(1.2 + 0.36 * len(evidence.comparisons))
    axes = figure.subplots()
    for y, c in enumerate(evidence.comparisons):
        low, high = c.intervals[0]
        axes.plot([low, high], [y, y], color=COLOURS[1], lw=2)
        # Filled: clear after Holm's correction; hollow: not.
        axes.plot(c.differences[0], y, "o", color=COLOURS[1], ms=7, mfc=COLOURS[1] if c.clear else "white")
    axes.axvline(0, color="black", lw=1)
    pairs = [(short(c.experiment.label), short(c.reference.label)) for c in evidence.comparisons]
    names = [f"{a} − {b}" if len(a + b) < 24 else f"{a}\n− {b}" for a, b in pairs]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="Δ AUROC (means over seeds)")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    caption = (
        f"Difference of mean AUROC with its paired {percent(evidence.confidence)} bootstrap interval over "
        "test videos; filled dots are clear of zero after Holm's correction, hollow ones are not."
    )
    return [Picture("differences", "Differences to the reference", caption, figure)]
