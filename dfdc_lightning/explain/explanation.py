"""Draws the pictures of one run: a strip per clip, the gallery, and the mean map over its test videos."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.explain.gallery import choose, draw_gallery
from dfdc_lightning.explain.gradcam import predict_with_maps
from dfdc_lightning.explain.mean_map import MeanMap
from dfdc_lightning.explain.strip import PredictedClip, draw_strip, predicted_clips
from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache
from dfdc_lightning.models.detector import Detector
from dfdc_lightning.progress import tally
from dfdc_lightning.report.style import RC
from dfdc_lightning.results.predictions import Scores

_BATCH = 4  # clips predicted at once

GALLERY = (
    "The most confident verdicts on test videos, four of each kind: the frame with most evidence, and beside "
    "it the evidence for what the video was called (orange for FAKE, blue for REAL, one scale for all; "
    "signed Grad-CAM on the last convolution)."
)


class Explanation:
    """Draws where one trained detector looks.

    Args:
        detector: The trained detector.
        cache: Where the clips lie.
        test: The detector's test scores.
        threshold: A higher score is called FAKE.
        margin: Share of the face's box that the crops have on each side.
    """

    def __init__(
        self, detector: Detector, cache: FaceCache, test: Scores, threshold: float, margin: float
    ) -> None:
        self.detector, self.cache, self.test = detector, cache, test
        self.threshold, self.margin = threshold, margin
        self._labels = dict(zip(test.video, (FAKE if fake else REAL for fake in test.label), strict=True))

    def predict(self, videos: Sequence[str]) -> Iterator[PredictedClip]:
        """Predict with maps for clips of the cache.

        Raises:
            UserError: When the cache has no such clip.
        """
        for start in range(0, len(videos), _BATCH):
            batch = list(videos[start : start + _BATCH])
            faces = np.stack([self.cache.read_faces(video) for video in batch])
            labels = [self._labels.get(video, "") for video in batch]
            yield from predicted_clips(batch, labels, faces, predict_with_maps(self.detector, faces))

    def write(self, folder: Path) -> list[Path]:
        """Write gallery.png, mean_map.png, their captions and the numbers behind the mean map.

        Args:
            folder: Usually `explain/` in the run folder, where the report looks for it.

        Returns:
            The files written.
        """
        gallery = draw_gallery_of(self)
        mean = self.mean_map()
        with matplotlib.rc_context(RC):
            pictures = {"gallery": gallery, "mean_map": mean.draw()}
        paths = [save(figure, folder / f"{name}.png") for name, figure in pictures.items()]
        atomic.write_json(folder / "mean_map.json", mean.numbers())
        atomic.write_json(folder / "captions.json", {"gallery": GALLERY, "mean_map": mean.sentence()})
        return [*paths, folder / "mean_map.json", folder / "captions.json"]

    def mean_map(self) -> MeanMap:
        """Lay the maps of all rightly judged test videos over each other."""
        right = (self.test.score > self.threshold) == self.test.label
        videos = [video for video, ok in zip(self.test.video, right, strict=True) if ok]
        mean = MeanMap(1 / (1 + 2 * self.margin))
        with tally("maps", len(videos), "videos") as done:
            for subject in self.predict(videos):
                mean.add(subject)
                done.advance()
        return mean

    def write_strips(self, videos: Sequence[str], folder: Path) -> list[Path]:
        """Write `folder/<video>.png` for clips of the cache."""
        missing = next((video for video in videos if not self.cache.clip_path(video).is_file()), None)
        if missing is not None:
            raise UserError(
                f"videos={missing}: {self.cache.root} has no such clip; give names from its manifest.csv, or "
                "run predict.py video=FILE html=FILE for a video outside of it"
            )
        return [self._write_strip(subject, folder) for subject in self.predict(videos)]

    def _write_strip(self, subject: PredictedClip, folder: Path) -> Path:
        with matplotlib.rc_context(RC):
            figure = draw_strip(subject, self.threshold, self.detector.level)
        return save(figure, folder / f"{subject.video}.png")


def draw_gallery_of(explanation: Explanation) -> Figure:
    """Draw the gallery of a run's test videos."""
    blocks = choose(explanation.test, explanation.threshold)
    videos = [video for block in blocks for video in block.videos]
    seen = {subject.video: subject for subject in explanation.predict(videos)}
    with matplotlib.rc_context(RC):
        return draw_gallery(blocks, seen)


def save(figure: Figure, path: Path) -> Path:
    """Write a picture, whole or not at all."""
    with matplotlib.rc_context(RC), atomic.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})
    return path
