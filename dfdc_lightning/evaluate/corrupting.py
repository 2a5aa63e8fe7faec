"""Score corrupted videos: workers corrupt them and cut faces as the cache did, models score these."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from dfdc_lightning.errors import UserError
from dfdc_lightning.evaluate.corruptions import Condition
from dfdc_lightning.evaluate.record import Record
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.pool import Pool, WorkerFailure
from dfdc_lightning.faces.worker import fault_of
from dfdc_lightning.progress import Tally
from dfdc_lightning.video.frames import Frames
from dfdc_lightning.video.sources import Source, Video

_TIMEOUT_SECONDS = 600.0  # for one video in all levels of one corruption, encoded twice each by `social`


class Job(NamedTuple):
    """One video and levels of one corruption, which share the decoded frames where they can."""

    video: Video
    conditions: tuple[Condition, ...]


Faces = UInt8[np.ndarray, "t 3 s s"]
Outcome = list[tuple[Condition, Faces | str]]  # the faces, or why there are none


class CorruptedFaces:
    """The task of a worker: the faces of one video after each level of a corruption.

    Args:
        source: Opens the video.
        preparation: Cuts faces as the cache did.
    """

    def __init__(self, source: Source, preparation: FacePreparation) -> None:
        self.source, self.preparation = source, preparation

    def __call__(self, job: Job) -> Outcome:
        """Corrupt one video.

        Raises:
            UserError: When no video can be opened or searched for faces for now.
        """
        try:
            with self.source.open(job.video) as path:
                frames = None if job.conditions[0].of_files else self.preparation.read(path)
                return [
                    (condition, self._faces(job.video.name, path, frames, condition))
                    for condition in job.conditions
                ]
        except Exception as error:  # one video's fault must not end the work on the others
            return [
                (condition, _reason(error, job.video.path, job.video.name)) for condition in job.conditions
            ]

    def _faces(self, video: str, path: Path, frames: Frames | None, condition: Condition) -> Faces | str:
        place = path
        try:
            with condition.file(path) as place:
                frames = self.preparation.read(place) if frames is None else frames
                corrupted = frames._replace(images=condition.apply(frames.images, video))
                person = self.preparation.persons(corrupted, place)[0]
                return self.preparation.clip(corrupted, person).faces
        except Exception as error:  # as above: this one level's fault
            return _reason(error, str(place), video)


def _reason(error: Exception, place: str, video: str) -> str:
    status, sentence = fault_of(error)
    return f"{status}: {' '.join(sentence.replace(place, video).split())}"


def find_videos(source: Source, wanted: Sequence[str]) -> dict[str, Video]:
    """Find the videos of a source that are wanted, by name.

    Raises:
        UserError: When none of them is there.
    """
    listed = {video.name: video for stage in source.stages() for video in stage.videos}
    found = {name: listed[name] for name in wanted if name in listed and listed[name].status == "ok"}
    if not found:
        raise UserError(
            f"the source lists {len(listed)} videos, but none of the {len(wanted)} that are wanted "
            f"({', '.join(wanted[:3])} …): give the videos the cache was made of (source.path=FOLDER)"
        )
    return found


def score_corrupted(
    records: Sequence[Record],
    conditions: Sequence[Condition],
    videos: Mapping[str, Video],
    task: CorruptedFaces,
    workers: int,
    done: Tally,
) -> None:
    """Score every video in every condition that a record lacks.

    Args:
        records: One for each model, all on one data set and profile.
        conditions: Corruptions with their levels.
        videos: By name; what is wanted and missing here is noted as such.
        task: Sent to the workers.
        workers: How many processes corrupt and prepare.
        done: Counts videos times conditions.
    """
    lacking = {
        (row.video, str(condition))
        for record in records
        for condition in conditions
        for row in record.rows
        if record.lacks(str(condition), row.video)
    }
    for name, level in sorted(lacking):
        if name not in videos:
            _note(records, name, level, "missing: the source does not have it")
    jobs = _jobs(conditions, lacking, videos)
    with Pool(task, min(workers, max(1, len(jobs))), _TIMEOUT_SECONDS) as pool:
        for job, outcome in pool.map(jobs):
            if isinstance(outcome, WorkerFailure):
                reason = f"{outcome.value}: {outcome.sentence(_TIMEOUT_SECONDS)}"
                outcome = [(condition, reason) for condition in job.conditions]
            for condition, faces in outcome:
                _note(records, job.video.name, str(condition), faces)
            done.advance(len(job.conditions))


def _jobs(
    conditions: Sequence[Condition], lacking: set[tuple[str, str]], videos: Mapping[str, Video]
) -> list[Job]:
    jobs = []
    for name, video in videos.items():
        for corruption in dict.fromkeys(condition.corruption for condition in conditions):
            levels = tuple(
                condition
                for condition in conditions
                if condition.corruption == corruption and (name, str(condition)) in lacking
            )
            if levels:
                jobs.append(Job(video, levels))
    return jobs


def _note(records: Sequence[Record], video: str, condition: str, faces: Faces | str) -> None:
    """Give the faces of one video in one condition to every model that lacks them."""
    for record in records:
        if not record.lacks(condition, video):
            continue
        if isinstance(faces, str):
            record.fail(condition, video, faces)
        else:  # by itself: what comes ready together differs from call to call
            record.score(condition, [video], faces[None])
