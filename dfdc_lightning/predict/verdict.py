"""Makes a video's verdict: every person gets a score, and those seen long enough decide by the highest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from dfdc_lightning import checks
from dfdc_lightning.faces.cache import FAKE, FaceClip
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.tracks import Track
from dfdc_lightning.predict.calibration import sharpened
from dfdc_lightning.predict.card import Card
from dfdc_lightning.predict.conformal import ERROR, INCONCLUSIVE, check_error
from dfdc_lightning.predict.decision import Answer, answer
from dfdc_lightning.predict.likeness import Likeness, likeness
from dfdc_lightning.predict.predictors import Predictor
from dfdc_lightning.predict.timeline import Timeline
from dfdc_lightning.predict.warnings import warnings
from dfdc_lightning.video.frames import Frames

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
    damage: str = ""  # what is to be said of a video of which only a part is sound


class Person(NamedTuple):
    """One person's prediction. Number 1 is the person found longest, whom predictions.csv is about."""

    number: int
    score: float
    probability: float | None
    frame_scores: list[float]
    found: int
    decides: bool
    warnings: list[str]
    likeness: Likeness
    clip: FaceClip
    maps: Float32[np.ndarray, "t h w"] | None

    @property
    def times(self) -> list[int]:
        """List the numbers of the frames that were used."""
        return [int(frame) for frame in self.clip.frames]


class Rules(NamedTuple):
    """What the user chose: the share of answers that may be wrong, or a threshold of the user's own."""

    error: float = ERROR
    threshold: float | None = None

    def check(self) -> "Rules":
        """Refuse an error rate or a threshold outside its range.

        Raises:
            UserError: Naming the key.
        """
        check_error(self.error)
        if self.threshold is not None:
            checks.number("threshold", self.threshold, 0, 1, other="null")
        return self


RULES = Rules()


class Verdict(NamedTuple):
    """An answer about a video and what it rests on; of the persons, the deciding one comes first."""

    video: str
    prepared: Prepared
    persons: list[Person]
    answer: Answer
    rules: Rules
    card: Card
    record: dict[str, Any] = {}  # what is needed to repeat it, see `verdict_record.py`
    scan: Timeline | None = None

    @property
    def person(self) -> Person:
        """Return the person whose score is the video's."""
        return self.persons[0]

    @property
    def called(self) -> str:
        """Say FAKE, REAL or INCONCLUSIVE."""
        return self.answer.called

    @property
    def warnings(self) -> list[str]:
        """List what makes the verdict unsure, the deciding person's warnings included."""
        damage = [self.prepared.damage] if self.prepared.damage else []
        return damage + list(self.person.warnings)

    @property
    def leaning(self) -> bool:
        """Whether FAKE is what the score speaks for, however little: decides which evidence is shown."""
        if self.called != INCONCLUSIVE:
            return self.called == FAKE
        return self.person.score > self.card.threshold

    def as_json(self) -> dict[str, Any]:
        """Return all but the pictures, as JSON values."""
        prepared = self.prepared
        return {
            "video": self.video,
            "status": "ok",
            "verdict": self.called,
            "reason": self.answer.reason,
            "error": self.rules.error if self.rules.threshold is None else None,
            "real_up_to": self.answer.low,
            "fake_from": self.answer.high,
            "score": self.person.score,
            "probability": self.person.probability,
            "calibration": self.card.calibration,
            "threshold": self.rules.threshold,
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
                    "unlike_training": person.likeness.reason,
                    "strangeness": person.likeness.strangeness,
                    "strangeness_limit": person.likeness.limit,
                }
                for person in self.persons
            ],
            "warnings": self.warnings,
            "damage": prepared.damage,
            "width": prepared.width,
            "height": prepared.height,
            "fps": prepared.fps,
            "n_frames": prepared.n_frames,
            "seconds": prepared.seconds,
            "model": self.card.name,
            "profile": self.card.profile,
            "scan": None if self.scan is None else self.scan.as_json(),
            "record": self.record,
        }


class Prepare:
    """Cuts a video into its persons, as for the model's training; can be sent to a worker.

    Args:
        preparation: From `Card.make_preparation`.
        damaged: Whether what is sound of a damaged video is used.
    """

    def __init__(self, preparation: FacePreparation, damaged: bool = False) -> None:
        self.preparation, self.damaged = preparation, damaged

    def __call__(self, path: Path) -> Prepared:
        """Read a video's frames and cut out each person.

        Raises:
            FrameError: When it gives no frames or shows no face.
        """
        return prepared_of(self.preparation.read(path, self.damaged), self.preparation, path)[0]


def prepared_of(frames: Frames, preparation: FacePreparation, path: Path) -> tuple[Prepared, list[Track]]:
    """Cut the persons out of a video's frames; also give their boxes.

    Raises:
        FrameError: "no_face" when nobody is found.
    """
    tracks = preparation.persons(frames, path)
    prepared = Prepared(
        str(path),
        frames.width,
        frames.height,
        frames.fps,
        frames.n_frames,
        frames.seconds,
        [preparation.clip(frames, track) for track in tracks],
        frames.damage,
    )
    return prepared, tracks


def predict_video(
    prepared: Prepared, predictor: Predictor, rules: Rules = RULES, maps: bool = False
) -> Verdict:
    """Predict for every person of a prepared video and answer.

    Args:
        prepared: From `Prepare`.
        predictor: The model.
        rules: What the user chose.
        maps: Whether to compute where the scores come from.
    """
    persons = [
        person
        for start in range(0, len(prepared.clips), _BATCH)
        for person in _predict(prepared.clips[start : start + _BATCH], start, predictor, maps)
    ]
    anyone = any(person.decides for person in persons)
    persons = [person._replace(decides=person.decides or not anyone) for person in persons]
    persons.sort(key=lambda person: (not person.decides, -person.score, person.number))
    counted = [person for person in persons if person.decides]
    said = answer(
        [person.score for person in counted],
        [person.likeness for person in counted],
        predictor.card,
        rules.error,
        rules.threshold,
    )
    persons = [person._replace(decides=index == 0) for index, person in enumerate(persons)]
    return Verdict(prepared.path, prepared, persons, said, rules, predictor.card)


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
                warnings=warnings(clip),
                likeness=likeness(
                    clip,
                    None if prediction.appearance is None else prediction.appearance[index],
                    predictor.reference,
                    predictor.remedy,
                ),
                clip=clip,
                maps=None if prediction.maps is None else prediction.maps[index],
            )
        )
    return persons
