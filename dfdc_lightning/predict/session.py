"""Runs one call of `predict.py`: which videos, which model, what is written where."""

import contextlib
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dfdc_lightning import atomic, checks
from dfdc_lightning.errors import UserError, writing
from dfdc_lightning.machine import cores
from dfdc_lightning.predict import formats, text
from dfdc_lightning.predict.many import KnownOutcomes, Outcome, find_videos, predict_all
from dfdc_lightning.predict.predictors import Predictor, open_predictor
from dfdc_lightning.predict.scan import SECONDS, Scan, Scanned, ScanTask
from dfdc_lightning.predict.scan_answer import predict_scanned
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
    scan: bool = False
    window: float = SECONDS  # of a scan
    damaged: str = "refuse"

    def settings(self) -> dict[str, Any]:
        """Return all that decides a verdict besides video and model, as JSON values."""
        chosen: dict[str, Any] = {"error": self.rules.error, "threshold": self.rules.threshold}
        chosen |= {"scan": True, "window": self.window} if self.scan else {}
        return chosen | ({"damaged": self.damaged} if self.damaged != "refuse" else {})

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Options":
        """Build the options with these settings.

        Raises:
            KeyError: When they are not settings.
            UserError: When one of them cannot be.
        """
        rules = Rules(settings["error"], settings["threshold"])
        options = cls(
            rules,
            scan=settings.get("scan", False),
            window=settings.get("window", SECONDS),
            damaged=settings.get("damaged", "refuse"),
        )
        options.check()
        return options

    def check(self) -> None:
        """Refuse options outside their range or list.

        Raises:
            UserError: Naming the key.
        """
        checks.one_of("format", self.format, FORMATS)
        self.rules.check()
        checks.number("window", self.window, above=0)
        checks.one_of("damaged", self.damaged, ("refuse", "use"))
        if self.workers is not None:
            checks.whole("workers", self.workers, 1, other="auto")


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
    options.check()
    videos = find_videos(given)
    single = len(videos) == 1 and Path(given[0]).is_file()
    _check_places(options, single)
    predictor = open_predictor(run)
    looks = look(predictor, options, face_model)
    predictor.load()  # only now: what is refused above is refused within a second
    if single:
        verdict = recorded(looks(videos[0]), predictor, run, options, face_model)
        _write_page(verdict, options.html)
        plain = options.format == "text"
        written = text.as_text(verdict) if plain else FORMATS[options.format]([verdict.as_json()])
    else:
        written = FORMATS[options.format](_many(videos, looks, predictor, run, options, face_model))
    if options.out is None:
        print(written.encode(errors="backslashreplace").decode())  # a name may hold bytes that are no UTF-8
    else:
        with writing("out", options.out):
            atomic.write_text(options.out, written + "\n")
        print(options.out, file=sys.stderr)


def _check_places(options: Options, single: bool) -> None:
    """Refuse at once what would fail when the work is done."""
    if options.out is not None and options.out.is_dir():
        raise UserError(f"out={options.out} is a folder: name a file")
    if options.html is not None and options.html.exists() and options.html.is_dir() == single:
        wrong, right = ("folder", "file") if single else ("file", "folder, as there is one page per video")
        raise UserError(f"html={options.html} is a {wrong}: name a {right}")


def look(predictor: Predictor, options: Options, face_model: str | None = None) -> Prepare | Scan:
    """Build what looks at a video as the options say.

    Raises:
        UserError: When this version or this face detector would give other pixels.
    """
    preparation = predictor.card.make_preparation(face_model)
    if options.scan:
        return Scan(preparation, predictor, options.window, options.damaged == "use")
    return Prepare(preparation, options.damaged == "use")


def recorded(
    seen: Prepared | Scanned,
    predictor: Predictor,
    run: Path,
    options: Options,
    face_model: str | None = None,
    maps: bool = False,
) -> Verdict:
    """Judge a video that was prepared or scanned, and note what is needed to repeat that."""
    maps = maps or options.html is not None
    if isinstance(seen, Scanned):
        verdict = predict_scanned(seen, predictor, options.rules, maps)
    else:
        verdict = predict_video(seen, predictor, options.rules, maps)
    return verdict._replace(
        record=record(Path(verdict.video), predictor, run, options.settings(), face_model)
    )


def _many(
    videos: list[Path],
    looks: Prepare | Scan,
    predictor: Predictor,
    run: Path,
    options: Options,
    face_model: str | None,
) -> list[Outcome]:
    looks.preparation.ready()

    def judged(seen: Prepared | Scanned) -> Outcome:
        verdict = recorded(seen, predictor, run, options, face_model)
        page = None if options.html is None else options.html / _page_name(Path(verdict.video))
        _write_page(verdict, page)
        return verdict.as_json()

    # The journal stays: the same command again judges only what is new or has changed.
    journal_file = None if options.out is None else options.out.with_name(f".{options.out.name}.journal")
    settings = {
        "model": predictor.identity,
        "profile": predictor.card.profile,
        "settings": options.settings(),
        "html": options.html and str(options.html),
    }
    with (
        contextlib.redirect_stdout(sys.stderr),  # stdout is for the verdicts alone
        KnownOutcomes(journal_file, settings) as journal,
        tally("verdicts", len(videos), "videos") as done,
    ):
        work = ScanTask(run, face_model, options.window, options.damaged == "use") if options.scan else looks
        outcomes = predict_all(videos, work, judged, journal, options.workers or cores(), done.advance)
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
