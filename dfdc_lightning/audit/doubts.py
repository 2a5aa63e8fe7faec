"""Labels in doubt: videos that contradict every run which has not trained on them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dfdc_lightning.faces.cache import FAKE, Row
from dfdc_lightning.results.run_folder import RunFolder

_LEAST_RUNS = 2
_MOST = 50


def doubtful(rows: Sequence[Row], runs: Iterable[RunFolder]) -> list[dict[str, Any]]:
    """List the videos whose label every run contradicts, the clearest first.

    A run speaks of its validation and test videos alone, which it was not trained on, and contradicts a label
    where its score lies on the other side of its own threshold.

    Args:
        rows: Used videos.
        runs: Finished runs.
    """
    label = {row.video: row.label for row in rows}
    scores: dict[str, list[float]] = {}
    wrong: dict[str, int] = {}
    for run in runs:
        for split in run.predictions.splits.values():
            for video, score in zip(split.video, split.score.tolist(), strict=True):
                if video in label:
                    scores.setdefault(video, []).append(score)
                    wrong[video] = wrong.get(video, 0) + (
                        (score > run.result.threshold) != (label[video] == FAKE)
                    )
    found = [
        {"video": video, "label": label[video], "scores": [round(score, 4) for score in values]}
        for video, values in scores.items()
        if len(values) >= _LEAST_RUNS and wrong[video] == len(values)
    ]
    return sorted(found, key=lambda entry: -_distance(entry))[:_MOST]


def runs_on(profile: str, split_hash: str, studies: Path) -> list[RunFolder]:
    """Find the finished runs below a folder that were made with these clips and this split."""
    found = []
    for folder in sorted(studies.glob("*/*/*")):
        run = RunFolder(folder)
        if not run.finished:
            continue
        data = run.result.data
        if (data.get("profile"), data.get("split_hash")) == (profile, split_hash):
            found.append(run)
    return found


def _distance(entry: dict[str, Any]) -> float:
    """Measure how far the mean score lies from the label."""
    mean: float = sum(entry["scores"]) / len(entry["scores"])
    return 1 - mean if entry["label"] == FAKE else mean
