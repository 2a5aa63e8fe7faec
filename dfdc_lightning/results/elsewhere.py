"""What a run says of other videos than its own: `elsewhere/<name>/` in its folder, a folder per evaluation.

An evaluation has `predictions.csv` in the form of the run's own and `evaluation.json`, which is written last
and means that both are whole. Where its videos were corrupted first, it lies one folder deeper, in
`elsewhere/<name>/<corruption>-<level>/`.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.results.predictions import (
    PREDICTIONS,
    ScoredVideo,
    Scores,
    read_predictions,
    write_predictions,
)
from dfdc_lightning.results.result import Level
from dfdc_lightning.results.run_folder import ELSEWHERE, EVALUATION

LEVELS = (1, 2, 3, 4, 5)  # of every corruption
SPLIT = "test"  # what every evaluated video is called, since none was trained on


class About(NamedTuple):
    """What an evaluation was made with.

    Attributes:
        data: Name of the face cache.
        condition: The corruption and its level; "" for videos as they are.
        own: Whether these are the run's own test videos.
        cache: Where the face cache lay.
        content: Fingerprint of its clips.
        model: Fingerprint of the run.
        level: What one logit of its detector judges.
        trained_on: Videos that were left out because the run was trained on them.
        doubt: Why these could not be found out.
        without_score: The reason of each video that has no score.
    """

    data: str
    condition: str
    own: bool
    cache: str
    content: str
    model: str
    level: Level
    trained_on: list[str]
    doubt: str
    without_score: dict[str, str]


class Evaluation(NamedTuple):
    """The scores of one run on one data set in one condition; `fault` says why they cannot be used."""

    about: About
    scores: Scores | None
    fault: str = ""


def folder_of(run: Path, data: str, condition: str = "") -> Path:
    """Say in which folder one evaluation lies.

    Args:
        run: The run folder, or the folder of an exported model.
        data: Name of the data set.
        condition: The corruption with its level, as "jpeg-3"; "" for videos as they are.
    """
    return run / ELSEWHERE / data / condition


def strip_of(run: Path, data: str, corruption: str) -> Path:
    """Say where the picture lies that shows one face as it is and at each level of a corruption."""
    return folder_of(run, data) / f"{corruption}.png"


def fingerprint_of(path: Path) -> str:
    """Hash a file that tells a model's weights apart: a run's own predictions.csv."""
    return sha256(path.read_bytes()).hexdigest()[:12]


def read_about(folder: Path) -> About | None:
    """Read what an evaluation was made with; None before it is finished.

    Raises:
        UserError: When evaluation.json is damaged.
    """
    path = folder / EVALUATION
    if not path.is_file():
        return None
    try:
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        about = About(**content)
        if not isinstance(about.without_score, dict) or not isinstance(about.trained_on, list):
            raise TypeError("trained_on must be a list and without_score an object")
        return about
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): delete it and evaluate again") from None


def write_evaluation(folder: Path, about: About, videos: Iterable[ScoredVideo]) -> None:
    """Write the scores and then what they were made with."""
    (folder / EVALUATION).unlink(missing_ok=True)  # a kill must not leave it beside other scores
    write_predictions(folder / PREDICTIONS, videos)
    atomic.write_json(folder / EVALUATION, about._asdict())


def read_evaluation(folder: Path) -> Evaluation | None:
    """Read an evaluation's scores and what they were made with; None before it is finished.

    Raises:
        UserError: When evaluation.json is damaged.
    """
    about = read_about(folder)
    if about is None:
        return None
    predictions = read_predictions(folder / PREDICTIONS, about.level)
    return Evaluation(about, predictions.splits.get(SPLIT), predictions.faults.get(SPLIT, ""))


def evaluation_folders(run: Path) -> list[Path]:
    """List the folders of a run's finished evaluations, in the order of data sets and conditions."""
    found = [*run.glob(f"{ELSEWHERE}/*/{EVALUATION}"), *run.glob(f"{ELSEWHERE}/*/*/{EVALUATION}")]
    return sorted(path.parent for path in found)
