"""Repeats the verdicts of a file that `predict.py format=json out=FILE` wrote, and compares."""

import json
from pathlib import Path
from typing import Any

from dfdc_lightning.errors import UserError
from dfdc_lightning.predict.many import Outcome
from dfdc_lightning.predict.predictors import open_predictor
from dfdc_lightning.predict.session import Options, look, recorded

TOLERANCE = 1e-4  # of a score: other processors add in another order


def verify(
    path: Path, video: Path | None = None, run: Path | None = None, face_model: str | None = None
) -> None:
    """Judge again what a file of verdicts is about, and say whether the same comes out.

    Args:
        path: The file.
        video: Where its one video lies now; None takes the recorded place.
        run: Where the model lies now; None takes the recorded place.
        face_model: The face detector's file, where it does not lie in the user's cache folder.

    Raises:
        UserError: When the file is damaged or of an earlier version, or something else comes out.
    """
    outcomes = [outcome for outcome in _read(path) if outcome.get("status") == "ok"]
    if not outcomes:
        raise UserError(f"{path} holds no verdict that could be repeated: give a file of format=json")
    if video is not None and len(outcomes) > 1:
        raise UserError(f"{path} holds {len(outcomes)} verdicts, video= names one file: leave it out")
    for outcome in outcomes:
        place = Path(outcome["video"]) if video is None else video
        if not place.is_file():
            raise UserError(f"{place} does not exist: give video=FILE, where the video lies now")
        print(f"{place}: {_repeated(outcome, place, path, run, face_model)}")


def _read(path: Path) -> list[Outcome]:
    if not path.is_file():
        raise UserError(f"verify={path} does not exist: give a file that predict.py format=json wrote")
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        outcomes: list[Outcome] = content if isinstance(content, list) else [content]
        for outcome in outcomes:
            if outcome["status"] == "ok":
                _ = [outcome["record"][key] for key in ("run", "video_sha256", "model_sha256")]
                Options.of(outcome["record"]["settings"])
                float(outcome["score"])
    except (ValueError, KeyError, TypeError, UserError) as error:
        raise UserError(
            f"{path} holds no verdicts of this version ({error!r}): judge the video again"
        ) from None
    return outcomes


def _repeated(outcome: Outcome, video: Path, path: Path, run: Path | None, face_model: str | None) -> str:
    """Repeat one verdict and say how it compares."""
    old = outcome["record"]
    place = Path(old["run"]) if run is None else run
    predictor = open_predictor(place)
    options = Options.of(old["settings"])
    again = recorded(look(predictor, options, face_model)(video), predictor, place, options, face_model)
    for key, what in (("video_sha256", f"the video {video}"), ("model_sha256", f"the model {place}")):
        if again.record[key] != old[key]:
            raise UserError(
                f"{path}: {what} is not the one that was judged (sha256 {again.record[key][:12]}…, recorded "
                f"{str(old[key])[:12]}…): give the right file"
            )
    apart = abs(again.person.score - float(outcome["score"]))
    if again.called != outcome["verdict"] or apart > TOLERANCE:
        raise UserError(
            f"{path} does not hold what comes out: {outcome['verdict']} with score {outcome['score']:.6f} is "
            f"recorded, {again.called} with {again.person.score:.6f} comes out: the file was changed, or the "
            "program or its packages were (see record)"
        )
    score = f"score {again.person.score:.6f}, which differs by {apart:.1g}"
    return f"repeated, the same comes out: {again.called}, {score}"
