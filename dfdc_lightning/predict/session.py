"""One call of `predict.py`: which videos, which model, what is written where."""

import contextlib
import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from dfdc_lightning import atomic, checks
from dfdc_lightning.errors import UserError, writing
from dfdc_lightning.machine import cores
from dfdc_lightning.predict import tables, words
from dfdc_lightning.predict.judges import Judge, open_judge
from dfdc_lightning.predict.many import KnownOutcomes, Outcome, find_videos, judge_all
from dfdc_lightning.predict.verdict import Prepare, Prepared, Verdict, judge_video
from dfdc_lightning.progress import tally

FORMATS: dict[str, Callable[[Sequence[Outcome]], str]] = {
    "text": tables.to_text,
    "json": tables.to_json,
    "csv": tables.to_csv,
}


class Wishes(NamedTuple):
    """How verdicts are wanted: threshold (None: validation's), format, files, how many processes prepare."""

    threshold: float | None = None
    format: str = "text"
    out: Path | None = None
    html: Path | None = None
    workers: int | None = None


def predict(given: Sequence[str], run: Path, wishes: Wishes, face_model: str | None = None) -> None:
    """Judge videos and print or write what was asked for.

    Args:
        given: Video files and folders.
        run: A run folder or an exported model.
        wishes: What is wanted.
        face_model: The face detector's file, where it does not lie in the user's cache folder.

    Raises:
        UserError: When nothing can be judged: no such model or video, or a single video without a verdict.
    """
    _check(wishes)
    videos = find_videos(given)
    single = len(videos) == 1 and Path(given[0]).is_file()
    _check_places(wishes, single)
    judge = open_judge(run)
    prepare = Prepare(judge.card.make_preparation(face_model))
    if single:
        verdict = judge_video(prepare(videos[0]), judge, wishes.threshold, maps=wishes.html is not None)
        _write_page(verdict, wishes.html)
        plain = wishes.format == "text"
        text = words.as_text(verdict) if plain else FORMATS[wishes.format]([verdict.as_json()])
    else:
        text = FORMATS[wishes.format](_many(videos, prepare, judge, wishes))
    if wishes.out is None:
        print(text.encode(errors="backslashreplace").decode())  # a name may hold bytes that are no UTF-8
    else:
        with writing("out", wishes.out):
            atomic.write_text(wishes.out, text + "\n")
        print(wishes.out, file=sys.stderr)


def _check(wishes: Wishes) -> None:
    threshold, workers = wishes.threshold, wishes.workers
    checks.one_of("format", wishes.format, FORMATS)
    if threshold is not None:
        checks.number("threshold", threshold, 0, 1, other="null")
    if workers is not None:
        checks.whole("workers", workers, 1, other="auto")


def _check_places(wishes: Wishes, single: bool) -> None:
    """Refuse at once what would fail when the work is done."""
    if wishes.out is not None and wishes.out.is_dir():
        raise UserError(f"out={wishes.out} is a folder: name a file")
    if wishes.html is not None and wishes.html.exists() and wishes.html.is_dir() == single:
        wrong, right = ("folder", "file") if single else ("file", "folder, as there is a page a video")
        raise UserError(f"html={wishes.html} is a {wrong}: name a {right}")


def _many(videos: list[Path], prepare: Prepare, judge: Judge, wishes: Wishes) -> list[Outcome]:
    prepare.preparation.ready()

    def judged(prepared: Prepared) -> Outcome:
        verdict = judge_video(prepared, judge, wishes.threshold, maps=wishes.html is not None)
        page = None if wishes.html is None else wishes.html / _page_name(Path(prepared.path))
        _write_page(verdict, page)
        return verdict.as_json()

    # The journal stays: the same command again judges only what is new or has changed.
    journal_file = None if wishes.out is None else wishes.out.with_name(f".{wishes.out.name}.journal")
    settings = {
        "model": judge.identity,
        "profile": judge.card.profile,
        "threshold": wishes.threshold,
        "html": wishes.html and str(wishes.html),
    }
    with (
        contextlib.redirect_stdout(sys.stderr),  # stdout is for the verdicts alone
        KnownOutcomes(journal_file, settings) as journal,
        tally("verdicts", len(videos), "videos") as done,
    ):
        outcomes = judge_all(videos, prepare, judged, journal, wishes.workers or cores(), done.advance)
    failures = sum(outcome["status"] != "ok" for outcome in outcomes)
    print(
        f"{len(videos) - failures} of {len(videos)} videos judged, {failures} without a verdict",
        file=sys.stderr,
    )
    return outcomes


def _page_name(video: Path) -> str:
    return f"{video.stem}-{hashlib.sha256(str(video.resolve()).encode()).hexdigest()[:6]}.html"


def _write_page(verdict: Verdict, path: Path | None) -> None:
    if path is not None:
        from dfdc_lightning.predict.page import write_page

        with writing("html", path):
            write_page(verdict, path)
