"""What holds how far, in figures: AUROC over the levels of each corruption, and what a level looks like."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.image import imread

from dfdc_lightning.report.evidence import Evidence, Experiment
from dfdc_lightning.report.robustness import curves_of, robustness, untouched
from dfdc_lightning.report.style import WIDTH, Picture, canvas, legend, line_style, panels, short, slug
from dfdc_lightning.report.table import percent
from dfdc_lightning.results.elsewhere import LEVELS, strip_of


def corruption_curves(evidence: Evidence) -> list[Picture]:
    """Draw AUROC over level, a panel per corruption and a figure per data set."""
    pictures = []
    for data in dict.fromkeys(data for data, _, _ in curves_of(evidence)):
        names = _names(evidence, data)
        figure, grid = panels(len(names), 1.7, 2)
        for (axes,), name in zip(grid, names, strict=True):
            for i, experiment in enumerate(evidence.experiments):
                _draw(axes, i, experiment, evidence, data, name)
            axes.axhline(0.5, color="#bbbbbb", lw=1, zorder=1)
            axes.set(title=name, xticks=(0, *LEVELS), ylim=(_lowest(evidence, data), 1.02))
            axes.set_xlabel("level (0: untouched)" if name in names[-2:] else "")
        figure.supylabel("AUROC", fontsize=9)
        legend(figure, [short(e.label) for e in evidence.experiments])
        caption = (
            f"AUROC of each experiment on {data} over the five levels of each corruption: mean over seeds, "
            f"band: {percent(evidence.confidence)} interval over seeds and videos; grey: chance."
        )
        pictures.append(Picture(f"corruptions_{slug(data)}", f"Corruptions of {data}", caption, figure))
    return pictures


def corruption_levels(evidence: Evidence) -> list[Picture]:
    """Show one face at every level, a row per corruption; of the first run that has the pictures."""
    pictures = []
    for data in dict.fromkeys(data for data, _, _ in curves_of(evidence)):
        found = [
            (name, path)
            for name in _names(evidence, data)
            if (path := _strip(evidence, data, name)) is not None
        ]
        if not found:
            continue
        figure = canvas(0.3 + len(found) * (WIDTH - 0.6) / 6)
        for axes, (name, path) in zip(
            figure.subplots(len(found), 1, squeeze=False)[:, 0], found, strict=True
        ):
            image = imread(path)
            side = image.shape[0]
            axes.imshow(image)
            axes.grid(visible=False)
            axes.set_yticks([side / 2], [name])
            first = axes is figure.axes[0]
            axes.set_xticks(
                [side * (k + 0.5) for k in range(6)], ["none", *map(str, LEVELS)] if first else [""] * 6
            )
            axes.tick_params(length=0, labeltop=first, labelbottom=False)
            for spine in axes.spines.values():
                spine.set_visible(False)
        caption = (
            f"One face of {data} as it is and at each level of each corruption, cut out as detectors get it; "
            "grey where no face was found."
        )
        pictures.append(
            Picture(f"levels_{slug(data)}", f"What the levels look like on {data}", caption, figure)
        )
    return pictures


def _draw(axes: Axes, i: int, experiment: Experiment, evidence: Evidence, data: str, name: str) -> None:
    curve = robustness(evidence).curve(experiment, data, name)
    if not curve:
        return
    start = untouched(evidence, experiment, data)
    points = [(0, start)] if start is not None else []
    points += [(one.level, one.auroc) for one in curve]
    style = line_style(i)
    axes.plot(
        [level for level, _ in points],
        [estimate.value for _, estimate in points],
        color=style.color,
        linestyle=style.linestyle,
        marker=style.marker,
        ms=3,
        label=short(experiment.label) if axes is axes.figure.axes[0] else None,
    )
    sure = [(level, estimate.interval) for level, estimate in points if estimate.interval is not None]
    if sure:
        low, high = ([getattr(ends, side) for _, ends in sure] for side in ("low", "high"))
        axes.fill_between([level for level, _ in sure], low, high, color=style.color, alpha=0.13, lw=0)


def _names(evidence: Evidence, data: str) -> list[str]:
    return list(dict.fromkeys(name for there, _, name in curves_of(evidence) if there == data))


def _lowest(evidence: Evidence, data: str) -> float:
    """Choose where the axes of a data set begin: chance is always seen."""
    held = robustness(evidence).held
    return min(0.47, *(one.auroc.value for one in held if one.data == data and one.corruption)) - 0.02


def _strip(evidence: Evidence, data: str, name: str) -> Path | None:
    paths = [strip_of(r.run.folder, data, name) for e in evidence.experiments for r in e.runs]
    return next((path for path in paths if path.is_file()), None)
