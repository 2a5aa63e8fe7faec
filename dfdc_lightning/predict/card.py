"""What must be known of a trained model besides its weights; an export has it in model.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dfdc_lightning import checks
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FAKE, REAL
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.predict.calibration import Calibration, calibrate
from dfdc_lightning.predict.conformal import calibration_scores
from dfdc_lightning.predict.level import spread_within
from dfdc_lightning.results.result import Level
from dfdc_lightning.runs import Run


class Card(NamedTuple):
    """Holds what users of a trained model must know; every field is a JSON value."""

    name: str
    level: Level  # what one logit judges; where that is the clip, a frame only adds to it
    preparation: dict[str, Any]
    profile: str
    conditions: dict[str, list[float]]
    threshold: float
    threshold_source: str
    temperature: float | None
    calibration: str
    training_threshold: float
    counts: dict[str, dict[str, int]]
    test: dict[str, float]
    tested_on: str = ""  # where these are not the other splits of the training cache
    validation: dict[str, list[float]] = {}  # scores by label, ascending, one per source group
    spread: float | None = None  # how much a REAL video's score varies with the frames, see `level.py`

    @classmethod
    def of_run(cls, run: Run) -> "Card":
        """Collect it from a finished run.

        Raises:
            UserError: When the run is not finished or does not say how its faces were prepared.
        """
        result = run.result
        data = result.data
        if not data.get("preparation"):
            raise UserError(
                f"{run.result_file} does not say how the faces of its cache were prepared: train again with "
                "this version on a cache made by prepare_faces.py"
            )
        splits, faults = run.predictions
        learned: Calibration = calibrate(splits.get("val"), faults.get("val", ""), result.threshold)
        return cls(
            name=f"{result.experiment}, seed {result.seed}, of study {result.study}",
            level=result.level,
            preparation=data["preparation"],
            profile=data["profile"],
            conditions=data.get("conditions") or {},
            threshold=learned.threshold,
            threshold_source=learned.threshold_source,
            temperature=learned.temperature,
            calibration=learned.reason,
            training_threshold=result.threshold,
            counts=data["counts"],
            test=result.test,
            tested_on=_tested_on(data),
            validation=calibration_scores(splits.get("val")),
            spread=spread_within(splits.get("val")),
        )

    @classmethod
    def read(cls, path: Path) -> "Card":
        """Read an export's model.json.

        Raises:
            UserError: When it is absent or not such a file.
        """
        if not path.is_file():
            raise UserError(f"{path} does not exist: it belongs beside the model, export writes both")
        try:
            content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            needed = {name: content[name] for name in cls._fields if name not in cls._field_defaults}
            needed["tested_on"] = str(content.get("tested_on", ""))
            given = content.get("spread")
            spread = None if given is None else checks.number("spread", given, above=0)
            return cls(**needed, validation=_scores(content.get("validation") or {}), spread=spread)
        except (ValueError, KeyError, TypeError, UserError) as error:
            raise UserError(
                f"{path} cannot be read as a model card of this version ({error!r}): export the run again"
            ) from None

    def make_preparation(self, face_model: str | None = None) -> FacePreparation:
        """Build the preparation that the model was trained with.

        Args:
            face_model: Where the face detector's file lies, if not where it is looked for.

        Raises:
            UserError: When this version or this face detector would give other pixels.
        """
        arguments = {} if face_model is None else {"model": face_model}
        preparation = FacePreparation.from_settings(self.preparation, **arguments)
        if preparation.profile != self.profile:
            raise UserError(
                f"{self.name}: its faces have profile {self.profile}, the recorded preparation gives "
                f"{preparation.profile}: the record was changed, so a score would mean nothing; export or "
                f"train again"
            )
        return preparation


def _tested_on(data: Mapping[str, Any]) -> str:
    if data.get("evaluated_on"):
        return "held-out REAL videos and FAKEs blended from them: no forgery made by anybody else"
    return f"the cache {data['validation_cache']}" if data.get("validation_cache") else ""


def _scores(content: Mapping[str, Any]) -> dict[str, list[float]]:
    """Check the validation scores of a model.json."""
    scores = {label: sorted(float(score) for score in content.get(label, [])) for label in (REAL, FAKE)}
    if not all(0 <= score <= 1 for label in scores for score in scores[label]):
        raise ValueError("validation must hold scores from 0 to 1")
    return scores
