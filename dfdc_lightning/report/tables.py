"""The results as tables: means with joint intervals, each measure, the runs; captions say what counts."""

from dfdc_lightning.report.answer import rates
from dfdc_lightning.report.evidence import Comparison, Evidence
from dfdc_lightning.report.inference import Difference
from dfdc_lightning.report.published import SOURCE, published
from dfdc_lightning.report.table import (
    ABSENT,
    Table,
    gap,
    interval,
    number,
    p_value,
    percent,
    possible,
    rate,
)
from dfdc_lightning.results.measures import LOWER_IS_BETTER, NAMES
from dfdc_lightning.results.ranking import MEASURES


def results(evidence: Evidence) -> Table:
    """Put the result in one table: each method's AUROC and its difference to the baseline, with intervals."""
    compared = any(evidence.comparison(experiment) for experiment in evidence.experiments)
    columns = ["experiment", "seeds", "AUROC", percent(evidence.confidence), "SD", "best*"]
    columns += [f"Δ to {evidence.baseline} ({percent(evidence.confidence)})", "verdict"] if compared else []
    rows = []
    for experiment in evidence.experiments:
        mean = experiment.mean["auroc"]
        row = [experiment.label, str(mean.seeds), number(mean.value), interval(mean), number(mean.deviation)]
        row.append(number(experiment.best().values["auroc"]))
        if compared:
            found = evidence.comparison(experiment)
            row += [gap(found.auroc), verdict(found)] if found else [ABSENT, ABSENT]
        rows.append(row)
    return Table("results", "Test results", how_sure(evidence), columns, rows)


def verdict(comparison: Comparison) -> str:
    """Say what may be said of an experiment's AUROC against its reference's."""
    return judged(comparison.auroc)


def judged(d: Difference) -> str:
    """Say better, worse, or how large a difference is still possible."""
    if d.interval is None:
        return "no verdict"
    if d.clear:
        return "better" if d.difference > 0 else "worse"
    return f"not told apart (≤ {possible(d)})"


def one_measure(evidence: Evidence, name: str) -> Table:
    """Make one of the study's tables, beside the study's own numbers."""
    known = {experiment: theirs for (experiment, measure), theirs in published().items() if measure == name}
    columns = ["experiment", "mean", percent(evidence.confidence), "SD", "best*", "interval of best"]
    columns += ["study: mean", "study: best", "study: interval of best"]
    rows = []
    for experiment in evidence.experiments:
        mean, best = experiment.mean[name], experiment.best(name).estimates[name]
        row = [experiment.label, number(mean.value), interval(mean), number(mean.deviation)]
        row += [number(best.value), interval(best)]
        theirs = known.get(experiment.name)
        row += [f"{theirs.mean:.2f}", f"{theirs.best:.2f}"] if theirs else [ABSENT, ABSENT]
        of_best = theirs.interval if theirs else None
        row.append(f"{of_best.low:.3f}–{of_best.high:.3f}" if of_best else ABSENT)
        rows.append(row)
    direction = "lower" if name in LOWER_IS_BETTER else "higher"
    title = f"{NAMES[name]} on test videos ({direction} is better)"
    at = f", at {thresholds_of(evidence)}" if name in ("accuracy", "f1") else ""
    caption = (
        f"Mean over seeds{at}, its interval over seeds and videos, and SD over seeds. *Best is chosen on "
        f"test; its interval covers the choice of videos only. Study: {SOURCE}; its videos and its split are "
        "not ours, so this tests neither."
    )
    if name == "eer":
        caption += " Intervals of EER are wider than they must be: they cover more than they say."
    return Table(name, title, caption, columns, rows)


def chosen(evidence: Evidence) -> Table:
    """List the run of each experiment that validation chooses, with its test values."""
    columns = ["experiment", "seed", "validation AUROC", "test AUROC", percent(evidence.confidence)]
    columns += ["threshold", "accuracy", "REAL called FAKE", "FAKE missed", "seed best on test"]
    rows = []
    for experiment in evidence.experiments:
        run = experiment.chosen()
        if run is not None and run.validation is not None:
            right, accused, missed = rates(run)
            rows.append(
                [experiment.label, str(run.run.seed), number(run.validation[0])]
                + [number(run.values["auroc"]), interval(run.estimates["auroc"])]
                + [f"{run.threshold:g}", rate(right), rate(accused), rate(missed)]
                + [str(experiment.best().run.seed)]
            )
    caption = (
        "Choose on validation, touch test once: these seeds have the highest validation AUROC (of equals, "
        "the lowest validation loss), so the choice does not inflate their test values, unlike those of the "
        "best. Intervals cover the choice of videos. Rates at each run's own threshold."
    )
    return Table("chosen", "Runs chosen on validation", caption, columns, rows)


def runs(evidence: Evidence) -> Table:
    """List every run, whatever its state."""
    measured = {r.run.name: r for e in evidence.experiments for r in e.runs}
    rows = []
    for study in evidence.studies:
        for run in study.runs:
            found = measured.get(run.name)
            state = run.status.state if found or not run.finished else "left out, see notes"
            row = [run.name, state, *(number(found.values[name] if found else None) for name in MEASURES)]
            row.insert(3, interval(found.estimates["auroc"]) if found else ABSENT)
            result = run.result if run.finished else None
            row += [str(result.best_epoch + 1), str(result.epochs)] if result else [ABSENT, ABSENT]
            rows.append(row)
    columns = ["run", "state", "AUROC", percent(evidence.confidence)]
    columns += [*(NAMES[name] for name in MEASURES[1:]), "best epoch", "epochs"]
    caption = "Test values of each run; its interval covers the choice of videos. Epochs count from 1."
    return Table("runs", "All runs", caption, columns, rows)


def differences(evidence: Evidence) -> Table:
    """List the differences of means over seeds for all measures."""
    columns = [
        "experiment",
        "compared with",
        *(f"Δ {NAMES[name]}" for name in MEASURES),
        "p of AUROC",
        "Holm",
    ]
    rows = [
        [c.experiment.label, c.reference.label, *(gap(c.differences[name]) for name in MEASURES)]
        + [p_value(c.auroc.p), p_value(c.auroc.p_holm)]
        for c in evidence.comparisons
    ]
    caption = (
        f"Differences of means over seeds with {percent(evidence.confidence)} intervals over seeds and "
        "videos. Holm: p adjusted for all comparisons of this report; the verdicts go by it."
    )
    return Table("differences", "Differences to the reference", caption, columns, rows)


def how_sure(evidence: Evidence) -> str:
    """Say what the intervals cover, and what the best is."""
    return (
        "AUROC on test videos: mean over seeds; interval over seeds and videos together (Obuchowski and "
        "Rockette, 1995, with the critical values of Cochran and Cox, 1950; variances from "
        f"{evidence.n_resamples:,} resamples of whole source groups); SD over seeds. *Best: the seed with "
        "the best value on the test videos, chosen on test and so optimistic. A verdict is given where p, "
        "adjusted for all comparisons (Holm), is below "
        f"{1 - evidence.confidence:.3g}; otherwise the largest difference still possible. Each interval is "
        "for one comparison alone: where there are several, one can leave out zero and the verdict still be "
        "open."
    )


def thresholds_of(evidence: Evidence) -> str:
    """Say which thresholds the runs use."""
    values = sorted({run.threshold for experiment in evidence.experiments for run in experiment.runs})
    return "threshold " + " or ".join(f"{value:g}" for value in values)


def whole(value: float | None) -> str:
    """Write a count, or a dash."""
    return ABSENT if value is None else f"{value:,.0f}"
