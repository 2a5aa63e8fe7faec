"""Averages maps over rightly judged test videos: is evidence for FAKE on the face, and only in FAKE videos?

The study shows two examples; the crops are aligned with the face, so all videos can be laid over each other
instead.
"""

from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dfdc_lightning.explain.overlay import overlay
from dfdc_lightning.explain.strip import PredictedClip, legend
from dfdc_lightning.faces.cache import FAKE, REAL

LABELS = (FAKE, REAL)
_SIDE = 224  # pixels of a drawn map
_COARSE = 2  # places on a side with which every map, stretched, has the same share inside a centred square


class MeanMap:
    """Sums evidence and faces, one video after another, so that no more than one batch is ever held.

    Args:
        face: Share of the crop's side that the detected face spans; it lies in the middle.
    """

    def __init__(self, face: float) -> None:
        self.face = face
        self.n = dict.fromkeys(LABELS, 0)
        self._faces: dict[str, np.ndarray] = {}
        self._maps: dict[tuple[str, str], np.ndarray] = {}

    def add(self, subject: PredictedClip) -> None:
        """Lay one rightly judged video over the others of its label."""
        label = subject.label
        self.n[label] += 1
        faces = subject.faces.mean(axis=0, dtype=np.float64)
        self._faces[label] = self._faces.get(label, 0.0) + faces
        for speaks_for in LABELS:
            maps = subject.evidence(speaks_for == FAKE).mean(axis=0, dtype=np.float64)
            self._maps[label, speaks_for] = self._maps.get((label, speaks_for), 0.0) + maps

    def map(self, label: str, speaks_for: str) -> np.ndarray:
        """Average the evidence (h, w) for FAKE or REAL over the videos of a label."""
        mean: np.ndarray = self._maps[label, speaks_for] / self.n[label]
        return mean

    def numbers(self) -> dict[str, Any]:
        """Measure what the maps say: how much evidence there is, and how much of it lies on the face.

        `strength` is the evidence of a place, averaged over places, frames and videos (in the logit's unit;
        only its ratios mean something); `on_face` the share of it inside the detected face, `face_area` what
        that share would be if evidence lay anywhere. Maps of two places a side cannot tell: their share is
        that of the area, whatever they show.
        """
        present = [label for label in LABELS if self.n[label]]
        return {
            "videos": self.n,
            "face_area": self.face**2,
            "strength": {
                label: {each: float(self.map(label, each).mean()) for each in LABELS} for label in present
            },
            "on_face": {
                label: {each: self._on_face(self.map(label, each)) for each in LABELS} for label in present
            },
        }

    def sentence(self) -> str:
        """Say the numbers in a sentence, as the figure's caption."""
        numbers = self.numbers()
        parts = [f"{self.n[FAKE]} FAKE and {self.n[REAL]} REAL test videos, all of them rightly judged."]
        if any(max(each.shape) <= _COARSE for each in self._maps.values()):
            parts.append(
                "Crops this small give maps of two places a side at most: whether evidence lies on the face "
                "cannot be told."
            )
        elif self.n[FAKE]:
            share = numbers["on_face"][FAKE][FAKE]
            parts.append(
                f"On FAKE videos {share:.0%} of the evidence for FAKE lies on the detected face "
                f"({self.face**2:.0%} of the crop)."
            )
        if all(self.n.values()):
            fake, real = (numbers["strength"][label][FAKE] for label in LABELS)
            parts.append(f"REAL videos show {real / max(fake, 1e-12):.0%} of that evidence for FAKE.")
        return " ".join(parts)

    def draw(self) -> Figure:
        """Draw labels below each other, evidence for FAKE and REAL side by side, one scale for all four."""
        figure = Figure(figsize=(5.2, 5.6))
        grid = figure.subplots(2, 2)
        present = [label for label in LABELS if self.n[label]]
        full = max((float(self.map(a, b).max()) for a in present for b in LABELS), default=1.0) or 1.0
        for line, label in zip(grid, LABELS, strict=True):
            for axes, speaks_for in zip(line, LABELS, strict=True):
                axes.set_axis_off()
                axes.set_title(f"{label} videos (n={self.n[label]}):\nevidence for {speaks_for}", fontsize=9)
                if label not in present:
                    axes.text(0.5, 0.5, "none was rightly judged", ha="center", transform=axes.transAxes)
                    continue
                face = self._face(label)
                axes.imshow(overlay(face, self.map(label, speaks_for).astype(np.float32), full))
                corner, width = _SIDE * (1 - self.face) / 2 - 0.5, _SIDE * self.face
                axes.add_patch(
                    Rectangle((corner, corner), width, width, fill=False, linestyle=":", edgecolor="white")
                )
        legend(figure, grid.ravel().tolist())
        return figure

    def _face(self, label: str) -> np.ndarray:
        mean = (self._faces[label] / self.n[label]).round().astype(np.uint8).transpose(1, 2, 0)
        large: np.ndarray = cv2.resize(mean, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
        return large.transpose(2, 0, 1)

    def _on_face(self, mean: np.ndarray) -> float:
        """Compute the share of a map's mass inside the centred square, stretched as in the picture."""
        smooth = cv2.resize(mean.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
        edge = round(_SIDE * (1 - self.face) / 2)
        inside = smooth[edge : _SIDE - edge, edge : _SIDE - edge]
        return float(inside.sum() / max(smooth.sum(), 1e-12))
