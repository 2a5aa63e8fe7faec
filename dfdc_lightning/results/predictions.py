"""predictions.csv: the score of every validation and test video, and what would falsify a number from it."""

from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from dfdc_lightning import atomic
from dfdc_lightning.results.csv_file import read_table
from dfdc_lightning.results.result import Level

PREDICTIONS = "predictions.csv"
SPLITS = ("val", "test")
_COLUMNS = ["split", "video", "group", "label", "score"]
_FRAME = "score_frame_"
_LABELS = {"0": False, "1": True, "REAL": False, "FAKE": True}


class ScoredVideo(NamedTuple):
    """The score of one video, and of its frames where the detector judges frames."""

    split: str
    video: str
    group: str
    fake: bool
    score: float
    frames: Sequence[float] = ()


class Scores(NamedTuple):
    """The scored videos of one split, sorted by video; `frames` is None where no frame was scored."""

    video: list[str]
    group: list[str]
    label: Bool[np.ndarray, " v"]
    score: Float64[np.ndarray, " v"]
    frames: Float64[np.ndarray, "v t"] | None


class Predictions(NamedTuple):
    """What could be used of the file, and a sentence on each split (or "frames") that could not."""

    splits: dict[str, Scores]
    faults: dict[str, str]


def write_predictions(path: Path, videos: Iterable[ScoredVideo]) -> None:
    """Write the file, whole or not at all; all videos have as many frame scores.

    Scores are written with nine digits, which give a number of single precision back.
    """
    rows = [
        [each.split, each.video, each.group, "FAKE" if each.fake else "REAL"]
        + [f"{value:.9g}" for value in (each.score, *each.frames)]
        for each in videos
    ]
    frames = len(rows[0]) - len(_COLUMNS) if rows else 0
    atomic.write_csv(path, [*_COLUMNS, *_frame_columns(frames)], rows)


def read_predictions(path: Path, level: Level) -> Predictions:
    """Read and check one file; a split with any fault is left out whole, with its reason in `faults`.

    Args:
        path: The file.
        level: What the run's detector judges, as its result.json says: frames have scores of their own only
            where it is "frame".
    """
    if not path.is_file():
        return _unusable("is missing")
    try:
        head, *lines = read_table(path)
    except ValueError as error:
        return _unusable(str(error).removeprefix("it "))
    frames = len(head) - len(_COLUMNS)
    if head[: len(_COLUMNS)] != _COLUMNS:
        return _unusable(f"begins with {','.join(head[:6])!r}, expected {','.join(_COLUMNS)}")
    if head[len(_COLUMNS) :] != _frame_columns(frames) or (frames == 0) != (level == "clip"):
        return _unusable(f"has the columns {','.join(head)!r}, which are not those of a {level} detector")
    return _by_split(lines, level)


def restricted(scores: Scores, videos: Container[str]) -> Scores:
    """Take the scores of those videos alone, in the same order."""
    kept = [index for index, video in enumerate(scores.video) if video in videos]
    return Scores(
        [scores.video[index] for index in kept],
        [scores.group[index] for index in kept],
        scores.label[kept],
        scores.score[kept],
        None if scores.frames is None else scores.frames[kept],
    )


def _frame_columns(n: int) -> list[str]:
    return [f"{_FRAME}{index}" for index in range(n)]


def _by_split(lines: list[list[str]], level: Level) -> Predictions:
    splits: dict[str, Scores] = {}
    faults: dict[str, str] = {}
    rows: dict[str, list[list[str]]] = {split: [] for split in SPLITS}
    for line in lines:
        rows.setdefault(line[0], []).append(line)
    for split, members in rows.items():
        try:
            scores = _scores(split, sorted(members, key=lambda line: line[1]), level)
        except ValueError as error:
            faults[split] = str(error)
            continue
        if scores.frames is not None and not _probabilities(scores.frames).all():
            if split == "test":
                faults["frames"] = f"{PREDICTIONS} has frame scores that are not between 0 and 1"
            scores = scores._replace(frames=None)
        splits[split] = scores
    return Predictions(splits, faults)


def _scores(split: str, lines: list[list[str]], level: Level) -> Scores:
    video = [line[1] for line in lines]
    twice = next((a for a, b in zip(video, video[1:], strict=False) if a == b), None)
    if twice is not None:
        raise ValueError(f"{PREDICTIONS} has video {twice} more than once in {split}")
    unknown = next((line for line in lines if line[3] not in _LABELS), None)
    if unknown is not None:
        raise ValueError(f"{PREDICTIONS} has the label {unknown[3]!r} for {split} video {unknown[1]}")
    label = np.array([_LABELS[line[3]] for line in lines], bool)
    if not lines or label.all() or not label.any():
        only = "no videos" if not lines else "only FAKE videos" if label.all() else "only REAL videos"
        raise ValueError(f"{PREDICTIONS} has {only} in {split}")
    score = np.array([_number(line[4]) for line in lines])
    if not _probabilities(score).all():
        worst = lines[int(np.argmin(_probabilities(score)))]
        raise ValueError(
            f"{PREDICTIONS} has the score {worst[4]!r} for {split} video {worst[1]}, expected 0 to 1"
        )
    frames = None
    if level == "frame":
        frames = np.array([[_number(value) for value in line[5:]] for line in lines])
    # Videos without a group stand for themselves.
    return Scores(video, [line[2] or f"video {line[1]}" for line in lines], label, score, frames)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _probabilities(values: np.ndarray) -> np.ndarray:
    inside: np.ndarray = (values >= 0) & (values <= 1)  # NaN is neither
    return inside


def _unusable(reason: str) -> Predictions:
    sentence = f"{PREDICTIONS} {reason}"
    return Predictions({}, dict.fromkeys(SPLITS, sentence))
