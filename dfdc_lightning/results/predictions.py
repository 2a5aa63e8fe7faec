"""Read predictions.csv and refuse what would falsify a number: each fault is named for what it spoils."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

_COLUMNS = ["split", "video", "group", "label", "score"]
_LABELS = {"0": False, "1": True, "REAL": False, "FAKE": True}


class Scores(NamedTuple):
    """The scored videos of one split, sorted by video; `frames` is empty where clips are scored whole."""

    video: list[str]
    group: list[str]
    label: Bool[np.ndarray, " v"]
    score: Float64[np.ndarray, " v"]
    frames: Float64[np.ndarray, "v t"]


class Predictions(NamedTuple):
    """What could be used of the file, and a sentence on each split (or "frames") that could not."""

    splits: dict[str, Scores]
    faults: dict[str, str]


def read_predictions(path: Path) -> Predictions:
    """Read and check one file; a split with any fault is left out whole, with its reason in `faults`."""
    if not path.is_file():
        return _unusable("predictions.csv is missing")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        return _unusable(f"predictions.csv cannot be read: {error}")
    if not lines or lines[0][: len(_COLUMNS)] != _COLUMNS:
        head = ",".join(lines[0][:6]) if lines else "nothing"
        return _unusable(f"predictions.csv begins with {head!r}, expected {','.join(_COLUMNS)}")
    width = len(lines[0])
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != width:
            return _unusable(f"predictions.csv is truncated: line {number} has {len(line)} of {width} fields")
    return _by_split(lines[1:])


def _by_split(lines: list[list[str]]) -> Predictions:
    splits: dict[str, Scores] = {}
    faults: dict[str, str] = {}
    rows: dict[str, list[list[str]]] = {"val": [], "test": []}
    for line in lines:
        rows.setdefault(line[0], []).append(line)
    for split, members in rows.items():
        try:
            scores = _scores(split, sorted(members, key=lambda line: line[1]))
        except ValueError as error:
            faults[split] = str(error)
            continue
        if scores.frames.size and not _probabilities(scores.frames).all():
            if split == "test":
                faults["frames"] = "predictions.csv has frame scores that are not between 0 and 1"
            scores = scores._replace(frames=np.empty((len(scores.video), 0)))
        splits[split] = scores
    return Predictions(splits, faults)


def _scores(split: str, lines: list[list[str]]) -> Scores:
    video = [line[1] for line in lines]
    twice = next((a for a, b in zip(video, video[1:], strict=False) if a == b), None)
    if twice is not None:
        raise ValueError(f"predictions.csv has video {twice} more than once in {split}")
    unknown = next((line for line in lines if line[3] not in _LABELS), None)
    if unknown is not None:
        raise ValueError(f"predictions.csv has the label {unknown[3]!r} for {split} video {unknown[1]}")
    label = np.array([_LABELS[line[3]] for line in lines], bool)
    if not lines or label.all() or not label.any():
        only = "no videos" if not lines else "only FAKE videos" if label.all() else "only REAL videos"
        raise ValueError(f"predictions.csv has {only} in {split}")
    score = np.array([_number(line[4]) for line in lines])
    if not _probabilities(score).all():
        worst = lines[int(np.argmin(_probabilities(score)))]
        raise ValueError(
            f"predictions.csv has the score {worst[4]!r} for {split} video {worst[1]}, expected 0 to 1"
        )
    frames = np.array([[_number(value) for value in line[5:]] for line in lines]).reshape(len(lines), -1)
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


def _unusable(sentence: str) -> Predictions:
    return Predictions({}, {"val": sentence, "test": sentence})
