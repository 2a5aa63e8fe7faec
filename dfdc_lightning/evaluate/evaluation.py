"""One call of evaluate.py: models, data sets and conditions; a fault of one does not stop the others."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, TypeVar

from dfdc_lightning import checks
from dfdc_lightning.errors import UserError, writing
from dfdc_lightning.evaluate.corrupting import CorruptedFaces, find_videos, score_corrupted
from dfdc_lightning.evaluate.corruptions import CORRUPTIONS, Condition, conditions
from dfdc_lightning.evaluate.dataset import DataSet
from dfdc_lightning.evaluate.record import PLAIN, Record
from dfdc_lightning.evaluate.scoring import score_clips
from dfdc_lightning.evaluate.strips import write_strips
from dfdc_lightning.evaluate.subject import Subject
from dfdc_lightning.machine import cores
from dfdc_lightning.progress import tally
from dfdc_lightning.results.elsewhere import LEVELS
from dfdc_lightning.results.run_folder import RunFolder
from dfdc_lightning.video.sources import Source

Made = TypeVar("Made")


class Options(NamedTuple):
    """How to evaluate.

    `corrupt` names corruptions and `source` gives the videos they are applied to; `face_model` is the face
    detector's file, where it does not lie in the user's cache folder; `workers` are processes that corrupt
    (None: one per core).
    """

    corrupt: Sequence[str] = ()
    source: Source | None = None
    face_model: str | None = None
    workers: int | None = None
    overwrite: bool = False


class Evaluations:
    """The evaluations of one call, and how many things went wrong.

    Args:
        options: How to evaluate.

    Raises:
        UserError: When an option cannot be.
    """

    def __init__(self, options: Options) -> None:
        checks.switch("overwrite", options.overwrite)
        if options.workers is not None:
            checks.whole("workers", options.workers, 1, other="auto")
        self.options = options
        self.corruptions: list[Condition] = conditions(options.corrupt) if options.corrupt else []
        self.problems = 0
        self.done: list[Record] = []

    def run(self, runs: Sequence[Path], on: Sequence[Path]) -> None:
        """Evaluate models on data sets.

        Args:
            runs: Run folders and exported models.
            on: Face caches; none means the videos that each run was tested on, which must be corrupted then.

        Raises:
            UserError: When nothing is asked for, or two data sets have one name.
        """
        if not on and not self.corruptions:
            raise UserError(
                "on= is missing: give on=CACHE for other videos, or corrupt=all and source.path=FOLDER for "
                "the videos a run was tested on"
            )
        names = [Path(folder).resolve().name for folder in on]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UserError(
                f"on= names two folders called {twice}: rename one, or evaluate on each by itself"
            )
        subjects = [subject for path in runs if (subject := self._tried(lambda path=path: Subject(path)))]
        for folder, subset in self._data_sets(subjects, on):
            if data := self._tried(lambda folder=folder: DataSet.open(folder)):
                self._evaluate(data, subset, [*([PLAIN] if on else []), *map(str, self.corruptions)])

    def _data_sets(self, subjects: list[Subject], on: Sequence[Path]) -> Iterator[tuple[Path, list[Subject]]]:
        if on:
            yield from ((folder, subjects) for folder in on)
            return
        own: dict[Path, list[Subject]] = {}
        for subject in subjects:
            if subject.cache is None:
                self._problem(f"{subject.name} is an export, which has no cache of its own: give on=CACHE")
            else:
                own.setdefault(subject.cache, []).append(subject)
        yield from own.items()

    def _evaluate(self, data: DataSet, subjects: Sequence[Subject], wanted: Sequence[str]) -> None:
        made = [
            self._tried(lambda subject=subject: Record(subject, data, wanted, self.options.overwrite))
            for subject in subjects
        ]
        with ExitStack() as held:
            records = []
            for record in (record for record in made if record is not None):
                if not record.conditions:
                    self.done.append(record)
                elif self._tried(lambda record=record: _entered(held, record)):
                    records.append(record)
            if records:
                self._say(data, records)
                self._score(data, records)
            for record in records:
                self._finish(record)

    def _score(self, data: DataSet, records: Sequence[Record]) -> None:
        with writing("the run folder's elsewhere/", records[0].folder):
            clips = sum(record.lacks(PLAIN, row.video) for record in records for row in record.rows)
            if clips:
                with tally(f"scores on {data.name}", clips, "clips") as done:
                    score_clips(data, records, done)
            if self.corruptions and any(set(record.conditions) - {PLAIN} for record in records):
                self._tried(lambda: self._score_corrupted(records))

    def _score_corrupted(self, records: Sequence[Record]) -> None:
        if self.options.source is None:
            raise UserError("source.path= is missing: corruptions need the videos the cache was made of")
        preparation = records[0].subject.card.make_preparation(self.options.face_model)
        preparation.ready()
        wanted = sorted({name for record in records for name in record.names})
        videos = find_videos(self.options.source, wanted)
        task = CorruptedFaces(self.options.source, preparation)
        with tally("corrupted videos", len(videos) * len(self.corruptions), "videos") as done:
            score_corrupted(records, self.corruptions, videos, task, self.options.workers or cores(), done)
        whole = [name for name in CORRUPTIONS if {Condition(name, k) for k in LEVELS} <= {*self.corruptions}]
        write_strips(records, whole, next(iter(videos.values())), task)

    def _finish(self, record: Record) -> None:
        if record.fault:
            self._problem(f"{record.subject.name}: {record.fault}")
            return
        for condition in record.conditions:
            if not any(record.lacks(condition, row.video) for row in record.rows):
                self._tried(lambda condition=condition: record.finish(condition))
        self.done.append(record)

    def _say(self, data: DataSet, records: Sequence[Record]) -> None:
        """Tell what is left out before hours are spent."""
        for record in records:
            if record.trained_on:
                print(
                    f"{record.subject.name} was trained on {len(record.trained_on)} of the videos of "
                    f"{data.cache.root}, which are left out: {', '.join(record.trained_on[:3])} …"
                )
            if doubt := record.subject.learned.doubt:
                print(f"warning: {record.subject.name}: {doubt}, so none can be left out", file=sys.stderr)

    def _tried(self, make: Callable[[], Made]) -> Made | None:
        try:
            return make()
        except UserError as error:
            self._problem(str(error))
            return None

    def _problem(self, sentence: str) -> None:
        self.problems += 1
        print(f"error: {sentence}", file=sys.stderr, flush=True)


def finished_runs(root: Path, study: str) -> list[Path]:
    """List the folders of a study's finished runs, in order of experiment and seed.

    Raises:
        UserError: When no run of the study is finished.
    """
    found = sorted(
        (folder for folder in (root / study).glob("*/*") if folder.name.isdecimal()),
        key=lambda folder: (folder.parent.name, int(folder.name)),
    )
    finished = [folder for folder in found if RunFolder(folder).result_file.is_file()]
    if not finished:
        raise UserError(
            f"study={study}: {root / study} holds no finished run: train one with python train.py "
            f"study={study}"
        )
    return finished


def _entered(held: ExitStack, record: Record) -> Record:
    return held.enter_context(record)
