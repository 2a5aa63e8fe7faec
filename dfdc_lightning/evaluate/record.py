"""What is known of one model on one data set: noted video by video, written when a condition is complete."""

import fcntl
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.evaluate.dataset import DataSet
from dfdc_lightning.evaluate.subject import Subject
from dfdc_lightning.faces.cache import FAKE
from dfdc_lightning.journal import Journal
from dfdc_lightning.results.elsewhere import SPLIT, About, folder_of, read_about, write_evaluation
from dfdc_lightning.results.predictions import ScoredVideo

PLAIN = ""  # the condition of videos as they are


class Record(AbstractContextManager["Record"]):
    """The evaluations of one model on one data set. Enter it to work on them; one process at a time may.

    Args:
        subject: The model.
        data: The data set; its faces must be prepared as the model's were.
        conditions: `PLAIN`, or corruptions with their levels.
        overwrite: Whether to evaluate again what is finished.

    Raises:
        UserError: When the data set does not fit the model, or a data set of the same name is there already.
    """

    def __init__(
        self, subject: Subject, data: DataSet, conditions: Sequence[str], overwrite: bool = False
    ) -> None:
        subject.refuse_profile(data)
        self.subject, self.data, self.overwrite = subject, data, overwrite
        self.folder = folder_of(subject.folder, data.name)
        self.conditions = [each for each in conditions if not self._finished(each)]
        self.rows, self.trained_on, self.own = subject.wanted(data) if self.conditions else ([], [], False)
        self.names = {row.video for row in self.rows}
        self._journal = Journal(self.folder / "journal.jsonl")
        self._scores: dict[str, dict[str, list[float]]] = defaultdict(dict)
        self._reasons: dict[str, dict[str, str]] = defaultdict(dict)
        self._written: set[str] = set()
        self.fault = ""

    def _finished(self, condition: str) -> bool:
        there = read_about(self.place(condition))
        if there is None or self.overwrite or there.model != self.subject.fingerprint:
            return False  # scores of other weights are worth nothing now
        if there.content == self.data.content:
            return True
        if Path(there.cache).resolve() != self.data.cache.root.resolve():
            raise UserError(
                f"{self.folder} holds an evaluation on {there.cache}, which has other clips than "
                f"{self.data.cache.root}: rename one of the two folders, or give overwrite=true"
            )
        return False  # the cache has grown since

    def __enter__(self) -> "Record":
        """Take the folder and read what an interrupted call noted.

        Raises:
            UserError: When another process works on it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise UserError(f"{self.folder} is being worked on by another process: wait for it") from None
        atomic.remove_leftovers(self.folder)
        made_with = {"model": self.subject.fingerprint, "content": self.data.content}
        noted = self._journal.read()
        if noted[:1] != [made_with] or self.overwrite:
            self._journal.path.unlink(missing_ok=True)
            noted = []
        for entry in noted[1:]:
            self._keep(entry)
        self._journal.__enter__()
        if not noted:
            self._journal.add(made_with)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.__exit__(kind, error, trace)
        noted = {condition for condition, known in (*self._scores.items(), *self._reasons.items()) if known}
        if noted <= self._written:
            self._journal.path.unlink()
        self._lock.close()

    def place(self, condition: str) -> Path:
        """Say in which folder one condition's scores lie."""
        return folder_of(self.subject.folder, self.data.name, condition)

    def lacks(self, condition: str, video: str) -> bool:
        """Say whether a video is wanted in a condition and nothing is known of it."""
        wanted = not self.fault and condition in self.conditions and video in self.names
        return wanted and video not in self._scores[condition] and video not in self._reasons[condition]

    def score(self, condition: str, videos: Sequence[str], faces: UInt8[np.ndarray, "b t 3 h w"]) -> None:
        """Let the model predict for clips and note their scores; what it cannot do ends up in `fault`."""
        try:
            prediction = self.subject.predict(faces)
        except UserError as error:  # a damaged checkpoint: the other models go on
            self.fault = str(error)
            return
        for index, video in enumerate(videos):
            values = [prediction.scores[index]]
            if self.subject.card.level == "frame":
                values += [*prediction.frame_scores[index]]
            scores = [float(value) for value in values]
            self._note({"condition": condition, "video": video, "scores": scores})

    def fail(self, condition: str, video: str, reason: str) -> None:
        """Note why a video has no score."""
        self._note({"condition": condition, "video": video, "reason": reason})

    def _note(self, entry: dict[str, Any]) -> None:
        self._keep(entry)
        self._journal.add(entry)

    def _keep(self, entry: dict[str, Any]) -> None:
        if "scores" in entry:
            self._scores[entry["condition"]][entry["video"]] = entry["scores"]
        else:
            self._reasons[entry["condition"]][entry["video"]] = entry["reason"]

    def finish(self, condition: str) -> About:
        """Write the scores of a condition of which every video is known.

        Raises:
            UserError: When the videos with a score are of one label.
        """
        scores, reasons = self._scores[condition], self._reasons[condition]
        rows = [row for row in self.rows if row.video in scores]
        if len({row.label for row in rows}) < 2:
            example = next(iter(reasons.items()), ("", ""))
            raise UserError(
                f"{self.subject.name} on {self.data.name}{f' ({condition})' if condition else ''}: "
                f"{len(reasons)} of {len(self.rows)} videos have no score, and the rest has one label only "
                f"({' '.join(example)})"
            )
        about = About(
            data=self.data.name,
            condition=condition,
            own=self.own,
            cache=str(self.data.cache.root),
            content=self.data.content,
            model=self.subject.fingerprint,
            level=self.subject.card.level,
            trained_on=self.trained_on,
            doubt=self.subject.learned.doubt,
            without_score=reasons,
        )
        videos = [
            ScoredVideo(SPLIT, row.video, row.group, row.label == FAKE, score, frames)
            for row in rows
            for score, *frames in [scores[row.video]]
        ]
        write_evaluation(self.place(condition), about, videos)
        self._written.add(condition)
        return about
