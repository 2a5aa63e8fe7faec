"""Predicts for many videos: workers prepare them, and each outcome is kept as soon as it is known."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from dfdc_lightning.errors import UserError, writing
from dfdc_lightning.faces.pool import Pool, WorkerFailure
from dfdc_lightning.faces.worker import fault_of
from dfdc_lightning.journal import Journal
from dfdc_lightning.predict.scan import Scanned, ScanTask
from dfdc_lightning.predict.verdict import Prepared

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
_SCAN_SECONDS = 7200.0

Outcome = dict[str, Any]  # `Verdict.as_json`, or video, status and detail of one that has no verdict


def find_videos(given: Sequence[str]) -> list[Path]:
    """List the video files that files and folders (with all folders inside) stand for.

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


Look = Callable[[Path], "Prepared | Scanned"]


class Attempt:
    """Makes `Prepare` or `ScanTask` a worker's task: what is wrong with one video becomes its outcome."""

    def __init__(self, look: Look) -> None:
        self.look = look

    def __call__(self, path: Path) -> Prepared | Scanned | Outcome:
        """Try to prepare or scan one video; its fault becomes its outcome.

        Raises:
            UserError: When no video can be prepared.
        """
        try:
            return self.look(path)
        except Exception as error:  # one video must not cost the others of a folder their verdicts
            status, sentence = fault_of(error)
            return failed(path, status, sentence if str(path) in sentence else f"{path}: {sentence}")


def failed(path: Path, status: str, detail: str) -> Outcome:
    """Build the outcome of a video without a verdict."""
    return {"video": str(path), "status": status, "detail": detail}


def prepare_all(
    videos: Sequence[Path], look: Look, workers: int
) -> Iterator[tuple[Path, Prepared | Scanned | Outcome]]:
    """Prepare or scan videos in worker processes; they come as they are ready."""
    seconds = _SCAN_SECONDS if isinstance(look, ScanTask) else _TIMEOUT_SECONDS
    with Pool(Attempt(look), min(workers, len(videos)), seconds) as pool:
        for path, result in pool.map(videos):
            if isinstance(result, WorkerFailure):
                yield path, failed(path, result.value, f"{path}: {result.sentence(seconds)}")
            else:
                yield path, result


class KnownOutcomes(AbstractContextManager["KnownOutcomes"]):
    """Keeps outcomes in a journal, so that a command killed at any moment goes on where it was.

    Args:
        path: The file; None keeps outcomes in memory only.
        settings: All that decides an outcome besides the video.

    Raises:
        UserError: When the file holds outcomes of other settings, is damaged or cannot be written.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self._known: dict[str, Outcome] = {}
        self._journal = None if path is None else Journal(path)
        if path is None or self._journal is None:
            return
        try:
            there, *entries = self._journal.read() or [None]
            self._known = {entry["key"]: entry["outcome"] for entry in entries}
            if there is None and path.is_file() and b"\n" in path.read_bytes():
                raise ValueError("no line can be read")
        except (ValueError, TypeError, KeyError):
            raise UserError(f"{path} is damaged: delete it, and the verdicts are found again") from None
        if there not in (None, settings):
            raise UserError(
                f"{path} holds verdicts of another model or of other settings: delete it or give another "
                "out=FILE"
            )
        with writing("out", path):
            self._journal.__enter__()
            if there is None:
                self._journal.add(settings)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._journal is not None:
            self._journal.__exit__(kind, error, trace)

    def get(self, key: str) -> Outcome | None:
        """Look up a video in one state of its file; None where nothing is known."""
        return self._known.get(key)

    def add(self, key: str, outcome: Outcome) -> None:
        """Keep an outcome."""
        self._known[key] = outcome
        if self._journal is not None:
            with writing("out", self._journal.path):
                self._journal.add({"key": key, "outcome": outcome})


def predict_all(
    videos: Sequence[Path],
    look: Look,
    predict: Callable[[Prepared | Scanned], Outcome],
    journal: KnownOutcomes,
    workers: int,
    advance: Callable[[], None],
) -> list[Outcome]:
    """Judge many videos; failures are outcomes too.

    Args:
        videos: The files.
        look: Sent to the workers.
        predict: Called in this process, where the model is.
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
        for video, result in prepare_all(left, look, workers):
            outcomes[video] = result if isinstance(result, dict) else predict(result)
            journal.add(keys[video], outcomes[video])
            advance()
    return [outcomes[video] for video in videos]


def _key(video: Path) -> str:
    status = video.stat()
    return f"{video.resolve()} {status.st_size} {status.st_mtime_ns}"
