"""Draws the most confident right and wrong verdicts of a run on its test videos, face beside evidence."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure, SubFigure

from dfdc_lightning.explain.overlay import brightest, overlay, row
from dfdc_lightning.explain.strip import PredictedClip
from dfdc_lightning.faces.cache import FAKE, REAL
from dfdc_lightning.results.predictions import Scores

EACH = 4  # videos in a block of two by two
_LETTERS = 32  # of a title above one video


class Block(NamedTuple):
    """Videos of one label and one verdict, the most confident first."""

    label: str
    called: str
    videos: list[str]

    @property
    def title(self) -> str:
        """Name label and verdict, and say whether it was right."""
        return f"{self.label} called {self.called} ({'right' if self.label == self.called else 'wrong'})"


def choose(test: Scores, threshold: float, each: int = EACH) -> list[Block]:
    """Choose the videos of four blocks: REAL right and wrong, FAKE right and wrong.

    Args:
        test: The test scores of a run.
        threshold: A higher score is called FAKE.
        each: How many videos a block has at most.
    """
    blocks = []
    for label in (REAL, FAKE):
        for called in (label, FAKE if label == REAL else REAL):
            inside = (test.label == (label == FAKE)) & ((test.score > threshold) == (called == FAKE))
            confidence = test.score if called == FAKE else -test.score
            order = sorted(np.flatnonzero(inside), key=lambda i: (-confidence[i], test.video[i]))
            blocks.append(Block(label, called, [test.video[i] for i in order[:each]]))
    return blocks


def draw_gallery(blocks: Sequence[Block], seen: Mapping[str, PredictedClip]) -> Figure:
    """Draw two by two blocks of two by two videos: of each the frame with most evidence, face beside overlay.

    All overlays share one scale, so that faint means little evidence.

    Args:
        blocks: From `choose`.
        seen: What the detector predicts for each of their videos, by name.
    """
    shown = [seen[video].evidence(block.called == FAKE) for block in blocks for video in block.videos]
    full = brightest(np.concatenate([maps.reshape(-1, *maps.shape[-2:]) for maps in shown])) if shown else 1.0
    figure = Figure(figsize=(9.2, 6.4))
    parts: np.ndarray = np.asarray(figure.subfigures(2, 2, hspace=0.03, wspace=0.03))
    for part, block in zip(parts.ravel(), blocks, strict=True):
        _draw_block(part, block, [seen[video] for video in block.videos], full)
    return figure


def _draw_block(part: SubFigure, block: Block, seen: Sequence[PredictedClip], full: float) -> None:
    part.suptitle(block.title, fontsize=10, fontweight="bold")
    grid = part.subplots(2, 2).ravel()
    for axes in grid:
        axes.set_axis_off()
    if not seen:
        part.text(0.5, 0.5, "no such test video", ha="center", color="#777777")
    fake = block.called == FAKE
    for axes, subject in zip(grid, seen, strict=False):
        maps = subject.evidence(fake)
        frame = int(maps.sum(axis=(1, 2)).argmax())
        face = subject.faces[frame]
        axes.imshow(row([face.transpose(1, 2, 0), overlay(face, maps[frame], full)]))
        title = textwrap.fill(f"{subject.video}: {subject.score:.3f}", _LETTERS)
        axes.set_title(title, fontsize=8, pad=3)
