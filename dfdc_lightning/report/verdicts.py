"""What a run says of videos: confusion matrices, score histograms, reliability, scores over time."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dfdc_lightning.report.evidence import Evidence, Experiment, RunEvidence
from dfdc_lightning.report.style import FAKE_COLOUR, GREY, REAL_COLOUR, Picture, canvas, short, slug
from dfdc_lightning.results import measures


def confusions(evidence: Evidence) -> list[Picture]:
    """Confusion matrices, a picture for each experiment."""
    return [_confusion(slug(experiment.label), experiment) for experiment in evidence.experiments]


def _confusion(name: str, experiment: Experiment) -> Picture:
    """Confusion matrix of the best run, and below of each seed."""
    columns = min(len(experiment.runs), 5)
    rows = -(-len(experiment.runs) // columns)
    figure = canvas(3.0 + 1.25 * rows)
    upper, lower = figure.subfigures(2, 1, height_ratios=[2.9, 1.25 * rows])
    best = experiment.best()
    _matrix(upper.subplots(), best, large=True)
    grid = lower.subplots(rows, columns, squeeze=False).ravel()
    for axes, run in zip(grid, experiment.runs, strict=False):
        _matrix(axes, run, large=False)
    for axes in grid[len(experiment.runs) :]:
        axes.set_axis_off()
    upper.suptitle(f"{short(experiment.label)}: best run (seed {best.run.seed}), test videos", fontsize=10)
    caption = (
        f"Verdicts of {experiment.label} on test videos above and below threshold {best.run.threshold:g}: "
        "counts, and in the large matrix the share of the true label; below, each seed with the same "
        "order of cells."
    )
    return Picture(f"confusion_{name}", f"{experiment.label}: verdicts", caption, figure)


def _matrix(axes: Axes, run: RunEvidence, large: bool) -> None:
    c = measures.confusion(run.test.score, run.test.label, run.run.threshold)
    counts = np.array([[c.real_right, c.real_wrong], [c.fake_wrong, c.fake_right]])
    share = counts / counts.sum(axis=1, keepdims=True)
    axes.imshow(share, cmap="Greys", vmin=0, vmax=1.15)
    for i in range(2):
        for j in range(2):
            text = f"{counts[i, j]}\n{share[i, j]:.0%}" if large else f"{counts[i, j]}"
            colour = "white" if share[i, j] > 0.55 else "black"
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=11 if large else 8)
    axes.grid(visible=False)
    names = ["REAL", "FAKE"]
    if large:
        axes.set_xticks([0, 1], names)
        axes.set_yticks([0, 1], names)
        axes.set(xlabel="called", ylabel="is")
    else:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"seed {run.run.seed}", fontsize=8)


def histograms(evidence: Evidence) -> list[Picture]:
    """Scores by label, a picture for each experiment."""
    return [_histogram(slug(experiment.label), experiment) for experiment in evidence.experiments]


def _histogram(name: str, experiment: Experiment) -> Picture:
    """Scores of the best run by label."""
    best = experiment.best()
    figure = canvas(3.2)
    axes = figure.subplots()
    bins = np.linspace(0, 1, 21).tolist()
    score, label = best.test.score, best.test.label
    axes.hist(score[~label], bins=bins, color=REAL_COLOUR, alpha=0.75, label="REAL")
    axes.hist(score[label], bins=bins, color=FAKE_COLOUR, label="FAKE", histtype="step", hatch="////", lw=1.4)
    axes.axvline(
        best.run.threshold, color="black", lw=1.2, ls="--", label=f"threshold {best.run.threshold:g}"
    )
    axes.set(xlabel="video score (0 = REAL, 1 = FAKE)", ylabel="test videos (count)", xlim=(0, 1))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(f"{short(experiment.label)}: scores, seed {best.run.seed}")
    figure.legend(loc="outside lower center", ncols=3)
    caption = f"Scores of the best {experiment.label} run on test videos, REAL filled and FAKE hatched."
    return Picture(f"scores_{name}", f"{experiment.label}: scores by label", caption, figure)


def reliabilities(evidence: Evidence) -> list[Picture]:
    """Reliability, a picture for each experiment."""
    return [_reliability(slug(experiment.label), experiment) for experiment in evidence.experiments]


def _reliability(name: str, experiment: Experiment) -> Picture:
    """How often videos of a score are FAKE: each seed's points, all seeds as a line, and where scores lie."""
    figure = canvas(4.2)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    bins = [measures.reliability(run.test.score, run.test.label) for run in experiment.runs]
    pooled = measures.reliability(
        np.concatenate([run.test.score for run in experiment.runs]),
        np.concatenate([run.test.label for run in experiment.runs]),
    )
    axes.plot([0, 100], [0, 100], color="#bbbbbb", lw=1, label="perfect")
    for i, seed in enumerate(bins):
        label = "one seed" if i == 0 else None
        axes.plot(100 * seed.score, 100 * seed.fake, "o", ms=3.5, mfc="none", color=GREY, label=label)
    filled = pooled.n > 0
    points = 100 * pooled.score[filled], 100 * pooled.fake[filled]
    axes.plot(*points, color="#0072B2", marker="s", ms=4.5, label="all seeds")
    axes.set(ylabel="of these FAKE (%)", ylim=(-3, 103), title=f"{short(experiment.label)}: reliability")
    below.bar(np.arange(5, 100, 10), pooled.n / len(bins), width=9, color="#9a9a9a")
    below.set(xlabel="video score (%)", ylabel="videos\n(a seed)", xlim=(-3, 103))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    caption = (
        f"How often test videos of a score are FAKE, {experiment.label}, ten bins of equal width; on the "
        "diagonal a score can be read as a probability. Below: videos in a bin, averaged over seeds."
    )
    return Picture(f"reliability_{name}", f"{experiment.label}: reliability", caption, figure)


def uncertain(evidence: Evidence, n: int = 6) -> list[Picture]:
    """Frame scores over time of the videos whose score lies closest to the threshold."""
    scored = [experiment for experiment in evidence.experiments if experiment.runs[0].test.frames.size]
    if not scored:
        return []
    experiment = max(scored, key=lambda e: e.values("auroc").mean())
    run = experiment.best()
    if not run.test.frames.size:
        return []
    threshold = run.run.threshold
    order = np.argsort(np.abs(run.test.score - threshold), kind="stable")[:n]
    figure = canvas(1.0 + 1.35 * -(-len(order) // 2))
    grid = figure.subplots(-(-len(order) // 2), 2, sharex=True, sharey=True, squeeze=False).ravel()
    time = np.arange(1, run.test.frames.shape[1] + 1)
    for axes, i in zip(grid, order, strict=False):
        colour, word = (FAKE_COLOUR, "FAKE") if run.test.label[i] else ("#0072B2", "REAL")
        axes.plot(time, run.test.frames[i], marker="s" if run.test.label[i] else "o", ms=3.5, color=colour)
        axes.axhline(threshold, color="black", lw=1, ls="--")
        axes.axhline(run.test.score[i], color=GREY, lw=1, ls=":")
        axes.set_title(f"{short(run.test.video[i], 16)}: is {word}", fontsize=8)
        axes.set(ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    for axes in grid[len(order) :]:
        axes.set_axis_off()
    figure.supxlabel("frame (evenly spaced over the video)", fontsize=9)
    figure.supylabel("score of the frame", fontsize=9)
    caption = (
        f"Frame scores over time of the {len(order)} test videos whose score is closest to the threshold, "
        f"best run of {experiment.label} (seed {run.run.seed}); dashed: threshold {threshold:g}, dotted: "
        "the video's score."
    )
    return [Picture("uncertain", "The most uncertain videos over time", caption, figure)]
