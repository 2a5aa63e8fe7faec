"""The two tables of a sweep: what it is going to do, and what became of it, read off the run folders."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from dfdc_lightning.results.run_folder import RunFolder
from dfdc_lightning.sweep.plan import Plan, PlannedRun, State, duration

_IN_WORDS = {
    State.START: "start",
    State.RESUME: "resume",
    State.SKIP: "skip: finished",
    State.REFUSE: "refuse",
}


class Outcome(NamedTuple):
    """What became of one run of a sweep."""

    planned: PlannedRun
    word: str  # done, resumed, skipped, failed, or open: not reached
    reason: str = ""


def outcomes(plan: Plan) -> list[Outcome]:
    """Read what the run folders say after the sweep."""
    return [_outcome(planned) for planned in plan.runs]


def _outcome(planned: PlannedRun) -> Outcome:
    run = RunFolder(planned.folder)
    if planned.state == State.REFUSE:
        return Outcome(planned, "failed", planned.reason)
    if run.finished:
        words = {State.SKIP: "skipped", State.RESUME: "resumed", State.START: "done"}
        return Outcome(planned, words[planned.state])
    if run.error_file.is_file():
        return Outcome(planned, "failed", f"{run.failure()} ({run.error_file})")
    return Outcome(planned, "open", "not reached, in another process's hands, or ended without a word")


def show_outcomes(found: Sequence[Outcome]) -> str:
    """Lay out the table that a sweep ends with."""
    rows = [("experiment", "seed", "outcome", "test AUROC", "val AUROC", "minutes")]
    for outcome in found:
        run = RunFolder(outcome.planned.folder)
        figures = ("", "", "")
        if run.finished and outcome.word != "failed":
            result = run.result
            figures = (
                f"{result.test['auroc']:.3f}",
                f"{result.val['auroc']:.3f}",
                f"{result.seconds / 60:.1f}",
            )
        rows.append((outcome.planned.experiment, str(outcome.planned.seed), outcome.word, *figures))
    counts = Counter(outcome.word for outcome in found)
    summary = f"{_runs(len(found))}: {', '.join(f'{n} {word}' for word, n in counts.items())}"
    reasons = [f"{item.planned.title} {item.word}: {item.reason}" for item in found if item.reason]
    return "\n".join([*_aligned(rows), summary, *reasons])


def show_plan(plan: Plan) -> str:
    """Lay out the table that `plan=true` prints."""
    rows = [("experiment", "seed", "plan", "epochs left", "estimate")]
    for run in plan.runs:
        left = run.epochs_left
        seconds = plan._replace(at_once=1).seconds([run])
        estimate = "" if not left else "?" if seconds is None else duration(seconds)
        rows.append((run.experiment, str(run.seed), _IN_WORDS[run.state], str(left or ""), estimate))
    reasons = [f"{run.title} refused: {run.reason}" for run in plan.runs if run.reason]
    return "\n".join([*_aligned(rows), summary(plan), *reasons])


def summary(plan: Plan) -> str:
    """Say in one line what a sweep will do and how long that takes."""
    counts = Counter(run.state for run in plan.runs)
    parts = [f"{counts[state]} to {state}" for state in State if counts[state]]
    if not plan.to_do:
        time = "nothing to train"
    else:
        seconds = plan.seconds(plan.to_do)
        time = (
            "no finished run to estimate the time from"
            if seconds is None
            else f"about {duration(seconds)} of training"
        )
        time += ", one after another" if plan.at_once == 1 else f", {plan.at_once} runs at once"
    return f"{_runs(len(plan.runs))}: {', '.join(parts)}; {time}"


def _runs(n: int) -> str:
    return f"{n} run" if n == 1 else f"{n} runs"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
