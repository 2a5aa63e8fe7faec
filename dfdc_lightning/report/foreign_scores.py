"""Scores of somebody else's detector: a CSV file with video, score and, if wanted, label and frame."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from dfdc_lightning.errors import UserError
from dfdc_lightning.results.csv_file import read_table
from dfdc_lightning.results.predictions import Scores

_NEEDED, _KNOWN = ("video", "score"), ("video", "score", "label", "frame")
_LABELS = {"REAL": False, "FAKE": True, "0": False, "1": True}
_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm")


class Matched(NamedTuple):
    """The scores of a detector on those test videos of a study that it has scored.

    Attributes:
        scores: Of the common videos, with the study's groups and labels.
        missing: Test videos that it has not scored.
        unknown: Videos of its file that are none of the test videos.
    """

    scores: Scores
    missing: list[str]
    unknown: list[str]


def match(path: Path, test: Scores) -> Matched:
    """Read a file of scores and match it with a study's test videos.

    A video's score is the mean of its frames'. Videos may be called as in the study, or by the name of their
    file ("abc.mp4" for "abc").

    Raises:
        UserError: When the file cannot be read, a score lies outside 0 to 1, a video or frame has
            several scores, a label contradicts the study's, or the common videos are of one label.
    """
    scores, labels = _read(path)
    place = {video: index for index, video in enumerate(test.video)}
    found: dict[int, str] = {}
    unknown = []
    for video in scores:
        name = video if video in place or PurePath(video).suffix not in _ENDINGS else PurePath(video).stem
        if name not in place:
            unknown.append(video)
        elif place[name] in found:
            raise UserError(f"{path} has {name} and {video}, which are one video: keep one of them")
        else:
            found[place[name]] = video
    order = sorted(found)
    for index in order:
        said = labels.get(found[index])
        if said is not None and said != test.label[index]:
            ours = "FAKE" if test.label[index] else "REAL"
            raise UserError(
                f"{path} calls {found[index]} {'FAKE' if said else 'REAL'}, in the study it is {ours}: "
                "correct the label, or leave the column out"
            )
    label = test.label[order]
    if not order or label.all() or not label.any():
        kind = "none of them" if not order else f"{len(order)} of them, all {'FAKE' if label[0] else 'REAL'}"
        raise UserError(
            f"{path} must have scores of REAL and FAKE test videos of the study ({len(test.video)}: "
            f"{', '.join(test.video[:3])} …): it has {kind}"
        )
    matched = Scores(
        [test.video[index] for index in order],
        [test.group[index] for index in order],
        label,
        np.array([scores[found[index]] for index in order]),
        None,
    )
    return Matched(matched, [video for video in test.video if video not in {*matched.video}], unknown)


def _read(path: Path) -> tuple[dict[str, float], dict[str, bool]]:
    """Read scores and labels by video."""
    try:
        head, *lines = read_table(path)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    strange = [name for name in head if name not in _KNOWN]
    if strange or len(set(head)) < len(head) or not {*_NEEDED} <= {*head}:
        raise UserError(
            f"{path} has the columns {','.join(head)}: they must be video and score, with label and frame "
            "if wanted"
        )
    values: dict[str, list[float]] = defaultdict(list)
    labels: dict[str, bool] = {}
    seen = set()
    for number, line in enumerate(lines, start=2):
        row = dict(zip(head, line, strict=True))
        video, where = row["video"], f"{path}, line {number}"
        key = (video, row.get("frame"))
        if key in seen:
            what = "more than once" if "frame" not in row else f"with frame {row['frame']} more than once"
            raise UserError(f"{where}: {video} is listed {what}: keep one score")
        seen.add(key)
        values[video].append(_score(row["score"], where))
        if row.get("label"):
            if row["label"] not in _LABELS:
                raise UserError(f"{where}: label must be REAL or FAKE (got {row['label']!r})")
            if labels.setdefault(video, _LABELS[row["label"]]) != _LABELS[row["label"]]:
                raise UserError(f"{where}: {video} is REAL in one line and FAKE in another")
    return {video: _mean(of_frames) for video, of_frames in values.items()}, labels


def _score(text: str, where: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = float("nan")
    if not 0 <= score <= 1:
        raise UserError(
            f"{where}: score must be the probability of FAKE, 0 to 1 (got {text!r}): put logits through a "
            "sigmoid"
        )
    return score


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
