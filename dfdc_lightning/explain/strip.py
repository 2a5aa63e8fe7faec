"""Draws one clip: its faces, the evidence in each, and the score of each frame."""

import textwrap
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure

from dfdc_lightning.explain.overlay import brightest, overlay, row
from dfdc_lightning.explain.prediction import Prediction, evidence
from dfdc_lightning.report.style import FAKE_COLOUR, GREY, REAL_COLOUR
from dfdc_lightning.results.result import Level

_GAP = 4  # pixels between faces
_LEAST_WIDTH = 4.2  # inches, so that a title has room above few faces too
_NAMES = 0.75  # inches for the rows' names
_LETTERS = 11  # of a title, per inch
# A number may lie on the threshold's line.
_ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}


class PredictedClip(NamedTuple):
    """One clip and its prediction. `label` is "REAL", "FAKE", or empty where nobody knows."""

    video: str
    label: str
    faces: UInt8[np.ndarray, "t 3 h w"]
    score: float
    frame_scores: Float32[np.ndarray, " t"]
    maps: Float32[np.ndarray, "t h2 w2"]

    def evidence(self, fake: bool) -> Float32[np.ndarray, "t h2 w2"]:
        """Return what speaks for FAKE, or for REAL, in each frame."""
        return evidence(self.maps, fake)


def predicted_clips(
    videos: list[str], labels: list[str], faces: UInt8[np.ndarray, "b t 3 h w"], prediction: Prediction
) -> list[PredictedClip]:
    """Make one of these per clip of a batch that was predicted with maps."""
    assert prediction.maps is not None
    together = zip(
        videos, labels, faces, prediction.scores, prediction.frame_scores, prediction.maps, strict=True
    )
    return [
        PredictedClip(video, label, clip, float(score), *rest)
        for video, label, clip, score, *rest in together
    ]


def draw_strip(subject: PredictedClip, threshold: float, level: Level) -> Figure:
    """Draw the faces above, overlays below, then the frames' scores.

    Args:
        subject: The clip.
        threshold: A higher score is called FAKE; decides which evidence is shown.
        level: What the detector judges; where that is the clip, a frame's score is only what it adds.
    """
    fake = subject.score > threshold
    maps = subject.evidence(fake)
    full = brightest(maps)
    plain = row([face.transpose(1, 2, 0) for face in subject.faces], _GAP)
    painted = row([overlay(face, each, full) for face, each in zip(subject.faces, maps, strict=True)], _GAP)
    t, side = len(subject.faces), subject.faces.shape[-1]
    width = max(1.05 * t, _LEAST_WIDTH)
    face = (width - _NAMES) / t
    figure = Figure(figsize=(width, 2 * face + 2))
    upper, middle, lower = figure.subplots(3, 1, height_ratios=[face, face, 1.05])
    verdict, colour = ("FAKE", FAKE_COLOUR) if fake else ("REAL", REAL_COLOUR)
    truth = f", is {subject.label}" if subject.label else ""
    title = f"{subject.video}: called {verdict}{truth}, score {subject.score:.3f} (threshold {threshold:.3g})"
    figure.suptitle(textwrap.fill(title, round(_LETTERS * width)))
    for axes, image, name in ((upper, plain, "faces"), (middle, painted, f"evidence\nfor {verdict}")):
        axes.imshow(image, aspect="auto")
        _only_name(axes, name)
    legend(figure, [upper, middle])
    places = np.arange(t) * (side + _GAP) + side / 2
    lower.axhline(threshold, color=GREY, linewidth=1, linestyle="--")
    lower.bar(places, subject.frame_scores, width=0.62 * side, color=colour)
    for place, value in zip(places, subject.frame_scores, strict=True):
        lower.text(
            place,
            min(value + 0.03, 1.02),
            f"{value:.2f}",
            ha="center",
            va="bottom",
            fontsize=8,
            bbox=_ON_WHITE,
        )
    lower.set(xlim=(0, plain.shape[1]), ylim=(0, 1.18), yticks=[0, 0.5, 1])
    lower.set_xticks(places, [str(index + 1) for index in range(t)])
    lower.set(xlabel="frame", ylabel="adds to\nthe clip" if level == "clip" else "score")
    lower.grid(visible=False, axis="x")
    return figure


def legend(figure: Figure | SubFigure, beside: list[Axes]) -> None:
    """Draw the colours of evidence beside painted faces."""
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), "turbo"), ax=beside, shrink=0.8, pad=0.01)
    bar.set_ticks([0, 1], labels=["none", "most"])
    bar.outline.set_visible(False)


def _only_name(axes: Axes, name: str) -> None:
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_ylabel(name)
