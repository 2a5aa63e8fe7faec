"""Makes a video's verdict: every person gets a score; the highest of one seen long enough decides."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from dfdc_lightning.faces.cache import FAKE, REAL, FaceClip
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.predict.calibration import sharpened
from dfdc_lightning.predict.card import Card
from dfdc_lightning.predict.predictors import Predictor
from dfdc_lightning.predict.warnings import warnings

_LONG_ENOUGH = 0.3  # share of frames; one or two boxes are as likely a misdetection as a person
_BATCH = 4  # clips read at once


class Prepared(NamedTuple):
    """A video cut into its persons, the one found longest first."""

    path: str
    width: int
    height: int
    fps: float
    n_frames: int
    seconds: float
    clips: list[FaceClip]


class Person(NamedTuple):
    """One person's prediction. Number 1 is the person found longest, whom predictions.csv is about."""

    number: int
    score: float
    probability: float | None
    frame_scores: list[float]
    found: int
    decides: bool
    warnings: list[str]
    clip: FaceClip
    maps: Float32[np.ndarray, "t h w"] | None

    @property
    def times(self) -> list[int]:
        """List the numbers of the frames that were used."""
        return [int(frame) for frame in self.clip.frames]


class Verdict(NamedTuple):
    """An answer about a video and what it rests on; of the persons, the deciding one comes first."""

    video: str
    prepared: Prepared
    persons: list[Person]
    threshold: float
    threshold_source: str
    card: Card

    @property
    def person(self) -> Person:
        """Return the person whose score is the video's."""
        return self.persons[0]

    @property
    def called(self) -> str:
        """Say FAKE where the score is above the threshold, else REAL."""
        return FAKE if self.person.score > self.threshold else REAL

    def as_json(self) -> dict[str, Any]:
        """Return all but the pictures, as JSON values."""
        prepared = self.prepared
        return {
            "video": self.video,
            "status": "ok",
            "verdict": self.called,
            "score": self.person.score,
            "probability": self.person.probability,
            "calibration": self.card.calibration,
            "threshold": self.threshold,
            "threshold_source": self.threshold_source,
            "person": self.person.number,
            "persons": [
                {
                    "person": person.number,
                    "score": person.score,
                    "probability": person.probability,
                    "decides": person.decides,
                    "found": person.found,
                    "frames": person.times,
                    "frame_scores": person.frame_scores,
                    "boxes": person.clip.boxes.tolist(),
                    "warnings": person.warnings,
                }
                for person in self.persons
            ],
            "warnings": self.person.warnings,
            "width": prepared.width,
            "height": prepared.height,
            "fps": prepared.fps,
            "n_frames": prepared.n_frames,
            "seconds": prepared.seconds,
            "model": self.card.name,
            "profile": self.card.profile,
        }


class Prepare:
    """Cuts a video into its persons, as for the model's training; can be sent to a worker.

    Args:
        preparation: From `Card.make_preparation`.
    """

    def __init__(self, preparation: FacePreparation) -> None:
        self.preparation = preparation

    def __call__(self, path: Path) -> Prepared:
        """Prepare one video.

        Raises:
            FrameError: When it gives no frames or shows no face.
        """
        frames = self.preparation.read(path)
        clips = [self.preparation.clip(frames, person) for person in self.preparation.persons(frames, path)]
        return Prepared(
            str(path), frames.width, frames.height, frames.fps, frames.n_frames, frames.seconds, clips
        )


def predict_video(
    prepared: Prepared, predictor: Predictor, threshold: float | None, maps: bool = False
) -> Verdict:
    """Predict for every person of a prepared video.

    Args:
        prepared: From `Prepare`.
        predictor: The model.
        threshold: Scores above it are FAKE; None takes the one that validation chose.
        maps: Whether to compute where the scores come from.
    """
    card = predictor.card
    persons = [
        person
        for start in range(0, len(prepared.clips), _BATCH)
        for person in _predict(prepared.clips[start : start + _BATCH], start, predictor, maps)
    ]
    anyone = any(person.decides for person in persons)
    persons = [person._replace(decides=person.decides or not anyone) for person in persons]
    persons.sort(key=lambda person: (not person.decides, -person.score, person.number))
    persons = [person._replace(decides=index == 0) for index, person in enumerate(persons)]
    chosen = (
        (card.threshold, card.threshold_source) if threshold is None else (threshold, "given by the user")
    )
    return Verdict(prepared.path, prepared, persons, *chosen, card)


def _predict(clips: Sequence[FaceClip], start: int, predictor: Predictor, maps: bool) -> list[Person]:
    prediction = predictor.predict(np.stack([clip.faces for clip in clips]), maps)
    temperature = predictor.card.temperature
    persons = []
    for index, clip in enumerate(clips):
        score = float(prediction.scores[index])
        probability = None if temperature is None else float(sharpened(np.array([score]), 1 / temperature)[0])
        persons.append(
            Person(
                number=start + index + 1,
                score=score,
                probability=probability,
                frame_scores=[float(value) for value in prediction.frame_scores[index]],
                found=int(clip.found.sum()),
                decides=bool(clip.found.mean() >= _LONG_ENOUGH),
                warnings=warnings(clip, predictor.card.conditions),
                clip=clip,
                maps=None if prediction.maps is None else prediction.maps[index],
            )
        )
    return persons
