"""Runs one call of `predict.py`: which videos, which model, what is written where."""

import contextlib
import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from dfdc_lightning import atomic, checks
from dfdc_lightning.errors import UserError, writing
from dfdc_lightning.machine import cores
from dfdc_lightning.predict import formats, text
from dfdc_lightning.predict.many import KnownOutcomes, Outcome, find_videos, predict_all
from dfdc_lightning.predict.predictors import Predictor, open_predictor
from dfdc_lightning.predict.verdict import RULES, Prepare, Prepared, Rules, Verdict, predict_video
from dfdc_lightning.predict.verdict_record import record
from dfdc_lightning.progress import tally

FORMATS: dict[str, Callable[[Sequence[Outcome]], str]] = {
    "text": formats.to_text,
    "json": formats.to_json,
    "csv": formats.to_csv,
}


class Options(NamedTuple):
    """What the user chose: how to answer, format, files, and how many processes prepare."""

    rules: Rules = RULES
    format: str = "text"
    out: Path | None = None
    html: Path | None = None
    workers: int | None = None


def predict(given: Sequence[str], run: Path, options: Options, face_model: str | None = None) -> None:
    """Judge videos and print or write what was asked for.

    Args:
        given: Video files and folders.
        run: A run folder or an exported model.
        options: What the user chose.
        face_model: The face detector's file, where it does not lie in the user's cache folder.

    Raises:
        UserError: When the model or a video does not exist, or a single video gets no verdict.
    """
    _check(options)
    videos = find_videos(given)
    single = len(videos) == 1 and Path(given[0]).is_file()
    _check_places(options, single)
    predictor = open_predictor(run)
    prepare = Prepare(predictor.card.make_preparation(face_model))
    predictor.load()  # only now: what is refused above is refused within a second
    if single:
        verdict = recorded(prepare(videos[0]), predictor, run, options, face_model)
        _write_page(verdict, options.html)
        plain = options.format == "text"
        written = text.as_text(verdict) if plain else FORMATS[options.format]([verdict.as_json()])
    else:
        written = FORMATS[options.format](_many(videos, prepare, predictor, run, options, face_model))
    if options.out is None:
        print(written.encode(errors="backslashreplace").decode())  # a name may hold bytes that are no UTF-8
    else:
        with writing("out", options.out):
            atomic.write_text(options.out, written + "\n")
        print(options.out, file=sys.stderr)


def _check(options: Options) -> None:
    workers = options.workers
    checks.one_of("format", options.format, FORMATS)
    options.rules.check()
    if workers is not None:
        checks.whole("workers", workers, 1, other="auto")


def _check_places(options: Options, single: bool) -> None:
    """Refuse at once what would fail when the work is done."""
    if options.out is not None and options.out.is_dir():
        raise UserError(f"out={options.out} is a folder: name a file")
    if options.html is not None and options.html.exists() and options.html.is_dir() == single:
        wrong, right = ("folder", "file") if single else ("file", "folder, as there is one page per video")
        raise UserError(f"html={options.html} is a {wrong}: name a {right}")


def recorded(
    prepared: Prepared, predictor: Predictor, run: Path, options: Options, face_model: str | None = None
) -> Verdict:
    """Judge a prepared video and note what is needed to repeat that."""
    verdict = predict_video(prepared, predictor, options.rules, maps=options.html is not None)
    return verdict._replace(record=record(Path(prepared.path), predictor, run, options.rules, face_model))


def _many(
    videos: list[Path],
    prepare: Prepare,
    predictor: Predictor,
    run: Path,
    options: Options,
    face_model: str | None,
) -> list[Outcome]:
    prepare.preparation.ready()

    def judged(prepared: Prepared) -> Outcome:
        verdict = recorded(prepared, predictor, run, options, face_model)
        page = None if options.html is None else options.html / _page_name(Path(prepared.path))
        _write_page(verdict, page)
        return verdict.as_json()

    # The journal stays: the same command again judges only what is new or has changed.
    journal_file = None if options.out is None else options.out.with_name(f".{options.out.name}.journal")
    settings = {
        "model": predictor.identity,
        "profile": predictor.card.profile,
        "rules": list(options.rules),
        "html": options.html and str(options.html),
    }
    with (
        contextlib.redirect_stdout(sys.stderr),  # stdout is for the verdicts alone
        KnownOutcomes(journal_file, settings) as journal,
        tally("verdicts", len(videos), "videos") as done,
    ):
        outcomes = predict_all(videos, prepare, judged, journal, options.workers or cores(), done.advance)
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
        from dfdc_lightning.predict.verdict_page import write_page

        with writing("html", path):
            write_page(verdict, path)
