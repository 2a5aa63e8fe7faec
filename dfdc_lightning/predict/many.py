"""Many videos: prepared by workers while the model judges; every outcome is kept as soon as it is known."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.pool import Loss, Pool
from dfdc_lightning.predict.verdict import Prepare, Prepared
from dfdc_lightning.video.frames import FrameError

ENDINGS = (
    ".mp4",
    ".mov",
    ".m4v",
    ".avi",
    ".mkv",
    ".webm",
    ".mpg",
    ".mpeg",
    ".ts",
    ".mts",
    ".wmv",
    ".flv",
    ".3gp",
)
_TIMEOUT_SECONDS = 300.0

Outcome = dict[str, Any]  # `Verdict.as_json`, or video, status and detail of one that has no verdict


def find_videos(given: Sequence[str]) -> list[Path]:
    """The video files meant by files and folders (looked through with all folders inside).

    Raises:
        UserError: When something does not exist or a folder holds no video.
    """
    found: dict[Path, None] = {}
    for path in map(Path, given):
        if path.is_file():
            found[path] = None
        elif path.is_dir():
            inside = sorted(
                file for file in path.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file()
            )
            if not inside:
                raise UserError(f"video={path} holds no video file ({', '.join(ENDINGS)})")
            found |= dict.fromkeys(inside)
        else:
            raise UserError(f"video={path} does not exist: give a video file or a folder with videos")
    return list(found)


class Attempt:
    """`Prepare` for a worker: a video's own fault becomes an outcome, the user's is raised."""

    def __init__(self, prepare: Prepare) -> None:
        self.prepare = prepare

    def __call__(self, path: Path) -> Prepared | Outcome:
        """Prepare one video."""
        cv2.setNumThreads(1)  # the workers are the parallelism
        try:
            return self.prepare(path)
        except FrameError as error:
            return failed(path, error.status, str(error))


def failed(path: Path, status: str, detail: str) -> Outcome:
    """The outcome of a video without a verdict."""
    return {"video": str(path), "status": status, "detail": detail}


def prepare_all(
    videos: Sequence[Path], prepare: Prepare, workers: int
) -> Iterator[tuple[Path, Prepared | Outcome]]:
    """Prepare videos in worker processes; they come as they are ready."""
    with Pool(Attempt(prepare), min(workers, len(videos)), _TIMEOUT_SECONDS) as pool:
        for path, result in pool.map(videos):
            if isinstance(result, Loss):
                yield (
                    path,
                    failed(
                        path,
                        result.value,
                        f"{path}: the process that read it gave no answer ({result.value})",
                    ),
                )
            else:
                yield path, result


class Journal(AbstractContextManager["Journal"]):
    """Outcomes on disk, one JSON line each, so that a run killed at any moment goes on where it was.

    Args:
        path: The file; None keeps outcomes in memory only.
        settings: All that decides an outcome besides the video.

    Raises:
        UserError: When the file holds outcomes of other settings.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self._known: dict[str, Outcome] = {}
        self._file = None
        if path is None:
            return
        lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
        whole = lines[:-1]  # what follows the last line break was being written when the run was killed
        if whole and json.loads(whole[0]) != settings:
            raise UserError(
                f"{path} holds verdicts of another model, threshold or html setting: delete it or give "
                f"another out=FILE"
            )
        self._known = {entry["key"]: entry["outcome"] for entry in map(json.loads, whole[1:])}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in whole or [json.dumps(settings)]), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def get(self, video: Path) -> Outcome | None:
        """What is known of a video; None where nothing is or the file has changed."""
        return self._known.get(_key(video))

    def add(self, video: Path, outcome: Outcome) -> None:
        """Keep an outcome."""
        self._known[_key(video)] = outcome
        if self._file is not None:
            self._file.write(json.dumps({"key": _key(video), "outcome": outcome}, allow_nan=False) + "\n")
            self._file.flush()


def judge_all(
    videos: Sequence[Path],
    prepare: Prepare,
    judge: Callable[[Prepared], Outcome],
    journal: Journal,
    workers: int,
    advance: Callable[[], None],
) -> list[Outcome]:
    """Judge many videos; failures are outcomes too.

    Args:
        videos: The files.
        prepare: Sent to the workers.
        judge: Called in this process, where the model is.
        journal: Knows what is done already and keeps what gets done.
        workers: Processes that prepare videos.
        advance: Called after each video.

    Returns:
        The outcomes in the order of `videos`.
    """
    left = [video for video in videos if journal.get(video) is None]
    for _ in range(len(videos) - len(left)):
        advance()
    if left:
        for video, result in prepare_all(left, prepare, workers):
            journal.add(video, judge(result) if isinstance(result, Prepared) else result)
            advance()
    return [journal.get(video) or {} for video in videos]


def _key(video: Path) -> str:
    status = video.stat()
    return f"{video.resolve()} {status.st_size} {status.st_mtime_ns}"
