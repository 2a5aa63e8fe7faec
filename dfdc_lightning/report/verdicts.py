"""What runs say of videos: confusion matrices, score histograms, reliability, scores over time."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dfdc_lightning.report.evidence import Evidence, Experiment, RunEvidence
from dfdc_lightning.report.style import (
    FAKE_COLOUR,
    GREY,
    REAL_COLOUR,
    Picture,
    canvas,
    panels,
    short,
    shown,
)
from dfdc_lightning.results import measures


def confusions(evidence: Evidence) -> list[Picture]:
    """Draw the confusion matrix of each experiment's chosen run."""
    kept, left_out = shown(evidence.experiments)
    figure, grid = panels(len(kept), height=1.75, columns=3)
    for [axes], experiment in zip(grid, kept, strict=True):
        run = _run_of(experiment)
        _matrix(axes, run)
        axes.set_title(f"{short(experiment.label, 16)}, seed {run.run.seed}", fontsize=8)
    figure.supxlabel("called", fontsize=9)
    figure.supylabel("is", fontsize=9)
    caption = (
        "Verdicts on test videos of the run of each experiment that validation chooses, at its own "
        f"threshold: counts, and the share of the true label.{left_out}"
    )
    return [Picture("confusion", "Right and wrong verdicts", caption, figure)]


def _matrix(axes: Axes, run: RunEvidence) -> None:
    c = measures.confusion(run.test.score, run.test.label, run.threshold)
    counts = np.array([[c.real_right, c.real_wrong], [c.fake_wrong, c.fake_right]])
    share = counts / counts.sum(axis=1, keepdims=True)
    axes.imshow(share, cmap="Greys", vmin=0, vmax=1.15)
    for i in range(2):
        for j in range(2):
            colour = "white" if share[i, j] > 0.55 else "black"
            text = f"{counts[i, j]}\n{share[i, j]:.0%}"
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
    axes.grid(visible=False)
    axes.set_xticks([0, 1], ["REAL", "FAKE"], fontsize=7)
    axes.set_yticks([0, 1], ["REAL", "FAKE"], fontsize=7, rotation=90, va="center")


def histograms(evidence: Evidence) -> list[Picture]:
    """Draw the scores of each experiment's chosen run by label."""
    kept, left_out = shown(evidence.experiments)
    figure, grid = panels(len(kept), height=1.5, columns=2)
    bins = np.linspace(0, 1, 21).tolist()
    for [axes], experiment in zip(grid, kept, strict=True):
        run = _run_of(experiment)
        score, label = run.test.score, run.test.label
        axes.hist(score[~label], bins=bins, color=REAL_COLOUR, alpha=0.75, label="REAL")
        axes.hist(
            score[label], bins=bins, color=FAKE_COLOUR, label="FAKE", histtype="step", hatch="////", lw=1.2
        )
        axes.axvline(run.threshold, color="black", lw=1.1, ls="--", label="threshold")
        axes.set(xlim=(0, 1))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_title(f"{short(experiment.label, 20)}, seed {run.run.seed}", fontsize=8)
    figure.supxlabel("video score (0 = REAL, 1 = FAKE)", fontsize=9)
    figure.supylabel("test videos (count)", fontsize=9)
    handles, names = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=8)
    caption = (
        "Scores of the same runs on test videos, REAL filled and FAKE hatched; the dashed line is the run's "
        f"threshold.{left_out}"
    )
    return [Picture("scores", "Scores by label", caption, figure)]


def reliabilities(evidence: Evidence) -> list[Picture]:
    """Draw how often videos of a score are FAKE: each seed's points, and all seeds as a line."""
    kept, left_out = shown(evidence.experiments)
    figure, grid = panels(len(kept), height=1.7, columns=2)
    for [axes], experiment in zip(grid, kept, strict=True):
        axes.plot([0, 100], [0, 100], color="#bbbbbb", lw=1, label="perfect")
        for i, run in enumerate(experiment.runs):
            seed = measures.reliability(run.test.score, run.test.label)
            label = "one seed" if i == 0 else None
            axes.plot(100 * seed.score, 100 * seed.fake, "o", ms=2.5, mfc="none", color=GREY, label=label)
        pooled = measures.reliability(
            np.concatenate([run.test.score for run in experiment.runs]),
            np.concatenate([run.test.label for run in experiment.runs]),
        )
        filled = pooled.n > 0
        points = 100 * pooled.score[filled], 100 * pooled.fake[filled]
        axes.plot(*points, color="#0072B2", marker="s", ms=3.5, lw=1.2, label="all seeds")
        axes.set(xlim=(-3, 103), ylim=(-3, 103))
        axes.set_title(short(experiment.label, 24), fontsize=8)
    figure.supxlabel("video score (%)", fontsize=9)
    figure.supylabel("of these FAKE (%)", fontsize=9)
    handles, names = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=8)
    caption = (
        "How often test videos of a score are FAKE, in ten bins of equal width; on the diagonal a score can "
        f"be read as a probability.{left_out}"
    )
    return [Picture("reliability", "Reliability", caption, figure)]


def uncertain(evidence: Evidence, n: int = 6) -> list[Picture]:
    """Draw frame scores over time of the videos whose score lies closest to the threshold."""
    scored = [e for e in evidence.experiments if _run_of(e).test.frames is not None]
    if not scored:
        return []
    experiment = max(scored, key=lambda e: e.mean["auroc"].value)
    run = _run_of(experiment)
    threshold = run.threshold
    order = np.argsort(np.abs(run.test.score - threshold), kind="stable")[:n]
    figure = canvas(1.0 + 1.35 * -(-len(order) // 2))
    grid = figure.subplots(-(-len(order) // 2), 2, sharex=True, sharey=True, squeeze=False).ravel()
    frames = run.test.frames
    assert frames is not None  # of a run among `scored`
    time = np.arange(1, frames.shape[1] + 1)
    for axes, i in zip(grid, order, strict=False):
        colour, word = (FAKE_COLOUR, "FAKE") if run.test.label[i] else ("#0072B2", "REAL")
        axes.plot(time, frames[i], marker="s" if run.test.label[i] else "o", ms=3.5, color=colour)
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
        f"{experiment.label}, seed {run.run.seed}; dashed: threshold {threshold:g}, dotted: the video's "
        "score."
    )
    return [Picture("uncertain", "The most uncertain videos over time", caption, figure)]


def _run_of(experiment: Experiment) -> RunEvidence:
    """Take the run that validation chooses, or the best on test where no run has usable validation scores."""
    return experiment.chosen() or experiment.best()
