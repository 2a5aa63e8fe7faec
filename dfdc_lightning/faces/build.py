"""Many videos → a balanced face cache without leaks: in parallel, in shards, resumed after any kill."""

import os
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dfdc_lightning import atomic, checks
from dfdc_lightning.errors import UserError, writing
from dfdc_lightning.faces.cache import FAKE, REAL, SPLITS, CacheError, FaceCache, Row
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.joined import joined_pairs
from dfdc_lightning.faces.needs import needs
from dfdc_lightning.faces.pool import Pool, WorkerFailure
from dfdc_lightning.faces.profile import claim_profile
from dfdc_lightning.faces.quota import Quota, shard_of
from dfdc_lightning.faces.shard import Shard, journal_of, locked, noted_rows, remove_journals
from dfdc_lightning.faces.split import Candidate, Splitter
from dfdc_lightning.faces.split_record import record_split
from dfdc_lightning.faces.summary import summary, tallied
from dfdc_lightning.faces.worker import VideoTask
from dfdc_lightning.machine import cores
from dfdc_lightning.progress import tally
from dfdc_lightning.video.sources import Source, Stage, Video

WHOLE = Shard()
REDOABLE = ("unreadable", "too_short", "no_face", "timeout", "crashed", "failed")
LISTING_STATUSES = ("missing", "unlisted")  # follow from the listing, not from the video


def prepare(
    source: Source,
    preparation: FacePreparation,
    splitter: Splitter,
    out: Path,
    *,
    per_label: int | None = 1568,
    workers: int | None = None,
    timeout: float = 120.0,
    shard: Shard = WHOLE,
    redo: Collection[str] = (),
    labels: str = "both",
    join: Path | None = None,
) -> list[Row]:
    """Fill a face cache from a source and print what is in it.

    Args:
        source: Where the videos are.
        preparation: How a video becomes a clip.
        splitter: How groups become splits.
        out: The cache's folder.
        per_label: Good clips wanted of each label over all splits; None tries every video.
        workers: Processes; None takes one per core.
        timeout: Seconds that a video may take.
        shard: The part of the work this process does. Only a whole run writes the manifest: run one last.
        redo: Videos that ended with one of these statuses are tried again.
        labels: "both" balances each split; "any" takes what there is, one label alone even.
        join: A CSV file of pairs of videos that belong in one group; the cache remembers them.

    Returns:
        The rows of the manifest, or of what is known so far in a shard of many.

    Raises:
        UserError: When the source, the folder, the profile or the face detector's model cannot be used.
    """
    _refuse_settings(per_label, workers, timeout, redo)
    checks.one_of("labels", labels, ("both", "any"))
    cache = FaceCache(Path(out))
    with _stoppable(cache.root), ExitStack() as held:
        stages = list(source.stages())
        held.enter_context(writing("out", cache.root))
        held.enter_context(locked(cache.root, shard))
        claim_profile(cache.root, preparation.settings)
        task = VideoTask(source, preparation, cache.root, preparation.profile)
        outcomes = _known_before(stages, _known(cache, redo, task.profile), task)
        candidates = _candidates(stages, outcomes)
        joined = joined_pairs(cache.root, join, {video.name for video in candidates})
        quota = Quota(candidates, splitter, per_label, labels == "both", joined)
        if quota.balanced:
            _refuse_one_label(quota, stages)
        if shard.n == 1:
            atomic.remove_leftovers(cache.root)
        if left := _left(stages, quota, outcomes, shard):
            preparation.ready()
            chosen = [video for videos in left.values() for video in videos]
            print(needs(chosen, workers or cores(), preparation, cache.root), end="")
        with journal_of(cache.root, shard) as journal, Pool(task, workers or cores(), timeout) as pool:
            for video, outcome in _prepared(stages, quota, outcomes, shard, pool):
                row = outcome if isinstance(outcome, Row) else task.failed(video, outcome, timeout)
                outcomes[video.name] = row
                journal.add(row)
        rows = quota.rows(outcomes)
        if shard.n == 1:
            if not cache.manifest.is_file() or cache.rows() != rows:
                cache.write_rows(rows)
            record_split(cache.root, splitter, rows, labels)
            remove_journals(cache.root)
    print(summary(cache, quota, rows, shard))
    if shard.n == 1 and not any(row.split for row in rows):
        raise UserError(
            f"no clip of {cache.root} can be used: read the reasons in the column detail of {cache.manifest}"
        )
    return rows


def _known(cache: FaceCache, redo: Collection[str], profile: str) -> dict[str, Row]:
    """Choose the rows of earlier runs that need not be made again."""
    rows = {row.video: row for row in (cache.rows() if cache.manifest.is_file() else [])}
    rows.update({row.video: row for row in noted_rows(cache.root)})
    if others := sorted({row.profile for row in rows.values()} - {profile}):
        raise CacheError(
            f"{cache.manifest} has rows of profile {others[0]}, not {profile}: use another out=FOLDER"
        )
    folder = cache.root / "clips"
    clips = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    return {
        name: row
        for name, row in rows.items()
        if row.status not in redo and (row.status != "ok" or cache.clip_path(name).name in clips)
    }


def _known_before(stages: Sequence[Stage], known: Mapping[str, Row], task: VideoTask) -> dict[str, Row]:
    """Collect the outcomes before anything is decoded: known ones, and what the listing says of the rest."""
    outcomes = {name: row for name, row in known.items() if row.status not in LISTING_STATUSES}
    for video in _listed(stages):
        if video.name in outcomes:
            outcomes[video.name] = outcomes[video.name]._replace(
                label=video.label,
                original=video.original,
                method=video.method,
                person=video.person,
                part=video.part,
            )
        elif video.status != "ok":
            outcomes[video.name] = task.blank(video)._replace(status=video.status, detail=video.detail)
    return outcomes


def _candidates(stages: Sequence[Stage], outcomes: Mapping[str, Row]) -> list[Candidate]:
    """List what the listing names, and videos of earlier runs that it does not name any more."""
    listed = [
        Candidate(video.name, video.label, video.original, video.part, video.person, video.official)
        for video in _listed(stages)
    ]
    names = {video.name for video in listed}
    return listed + [
        Candidate(row.video, row.label, row.original, person=row.person)
        for name, row in outcomes.items()
        if name not in names
    ]


def _prepared(
    stages: Sequence[Stage], quota: Quota, outcomes: Mapping[str, Row], shard: Shard, pool: Pool[Video, Row]
) -> Iterator[tuple[Video, Row | WorkerFailure]]:
    """Prepare what the quota waits for, until it waits for nothing more; the caller adds to the outcomes."""
    with tally("faces", 0, "videos") as progress:
        seen: Counter[str] = Counter()
        while left := _left(stages, quota, outcomes, shard):
            number = next(iter(left))
            with stages[number].held:
                while videos := left.get(number):
                    progress.expect(sum(len(others) for others in left.values()))
                    for video, outcome in pool.map(videos):
                        yield video, outcome
                        seen[outcomes[video.name].status] += 1
                        progress.advance(note=tallied(seen))
                    left = _left(stages, quota, outcomes, shard)


def _left(
    stages: Sequence[Stage], quota: Quota, outcomes: Mapping[str, Row], shard: Shard
) -> dict[int, list[Video]]:
    """List the videos still to be tried, by the number of their stage."""
    pending = quota.pending({name: row.status == "ok" for name, row in outcomes.items()})
    ours = {name for name in pending if shard_of(name, shard.n) == shard.number}
    return {
        number: videos
        for number, stage in enumerate(stages)
        if (videos := [video for video in stage.videos if video.name in ours])
    }


def _listed(stages: Iterable[Stage]) -> Iterator[Video]:
    return (video for stage in stages for video in stage.videos)


def _refuse_settings(
    per_label: int | None, workers: int | None, timeout: float, redo: Collection[str]
) -> None:
    if per_label is not None:
        checks.whole("per_label", per_label, 1, other="null")
    if workers is not None:
        checks.whole("workers", workers, 1, other="auto")
    checks.number("timeout", timeout, above=0, unit="seconds")
    for status in redo:
        checks.one_of("redo", status, REDOABLE)


def _refuse_one_label(quota: Quota, stages: Sequence[Stage]) -> None:
    n = Counter(video.label for video in _listed(stages))
    if not any(all(quota.queues[split, label] for label in (REAL, FAKE)) for split in SPLITS):
        raise UserError(
            f"the source lists {n[REAL]} REAL and {n[FAKE]} FAKE videos, which gives no split with both: "
            "a balanced cache needs some of each, and labels=any takes what there is"
        )


@contextmanager
def _stoppable(root: Path) -> Iterator[None]:
    """Turn Ctrl-C into a sentence and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        said = f"stopped: what is done lies safe in {root}; the same command goes on from there"
        print(said, file=sys.stderr)
        raise SystemExit(130) from None
