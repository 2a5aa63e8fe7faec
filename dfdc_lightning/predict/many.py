"""Many videos: prepared by workers while the model judges; every outcome is kept as soon as it is known."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError, writing
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
            raise UserError(
                f"video={path} does not exist: give a video file, a folder with videos, or [several,files]"
            )
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
        except UserError:  # not the video's fault
            raise
        # What a hostile file makes of FFmpeg and OpenCV has no common type, and must not cost the others of
        # a folder their verdicts. Nothing is swallowed: its row names the type, the last line counts it.
        except Exception as error:
            return failed(path, "failed", f"{path}: {type(error).__name__}: {error}")


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
        UserError: When the file holds outcomes of other settings, is damaged or cannot be written.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self._known: dict[str, Outcome] = {}
        self._path, self._file = path, None
        if path is None:
            return
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
        whole = lines[:-1]  # what follows the last line break was being written when the run was killed
        try:
            there, *entries = [json.loads(line) for line in whole or [json.dumps(settings)]]
            self._known = {entry["key"]: entry["outcome"] for entry in entries}
        except (ValueError, TypeError, KeyError):
            raise UserError(f"{path} is damaged: delete it, and the verdicts are found again") from None
        if there != settings:
            raise UserError(
                f"{path} holds verdicts of another model, threshold or html setting: delete it or give "
                f"another out=FILE"
            )
        with writing("out", path):
            atomic.write_text(path, "".join(f"{json.dumps(entry)}\n" for entry in (settings, *entries)))
            self._file = path.open("a", encoding="utf-8")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def get(self, key: str) -> Outcome | None:
        """What is known of a video in one state of its file; None where nothing is."""
        return self._known.get(key)

    def add(self, key: str, outcome: Outcome) -> None:
        """Keep an outcome."""
        self._known[key] = outcome
        if self._file is not None and self._path is not None:
            with writing("out", self._path):
                self._file.write(json.dumps({"key": key, "outcome": outcome}, allow_nan=False) + "\n")
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
    keys = {video: _key(video) for video in videos}  # once: a file may be written to or go away meanwhile
    outcomes = {video: known for video, key in keys.items() if (known := journal.get(key)) is not None}
    for _ in outcomes:
        advance()
    left = [video for video in videos if video not in outcomes]
    if left:
        for video, result in prepare_all(left, prepare, workers):
            outcomes[video] = judge(result) if isinstance(result, Prepared) else result
            journal.add(keys[video], outcomes[video])
            advance()
    return [outcomes[video] for video in videos]


def _key(video: Path) -> str:
    status = video.stat()
    return f"{video.resolve()} {status.st_size} {status.st_mtime_ns}"
