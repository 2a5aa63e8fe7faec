"""Tables of what was measured; captions say what numbers account for and what not."""

import numpy as np

from dfdc_lightning.report.evidence import Evidence, RunEvidence
from dfdc_lightning.report.published import published
from dfdc_lightning.report.table import ABSENT, Table, number, p_value, percent, signed, span
from dfdc_lightning.results import measures
from dfdc_lightning.results.measures import LOWER_IS_BETTER, NAMES
from dfdc_lightning.results.ranking import MEASURES


def results(evidence: Evidence) -> Table:
    """The result in one table: mean, best and the interval of the best for each measure."""
    columns = ["experiment", "seeds"]
    for name in MEASURES:
        columns += [f"{NAMES[name]} mean", "best", f"{evidence.confidence:.0%} of best".replace("%", " %")]
    rows = []
    for experiment in evidence.experiments:
        row = [experiment.label, str(len(experiment.runs))]
        for name in MEASURES:
            best = experiment.best(name)
            row += [
                number(experiment.values(name).mean()),
                number(best.values[MEASURES.index(name)]),
                span(best.intervals[MEASURES.index(name)]),
            ]
        rows.append(row)
    return Table("results", "Test results", how_best(evidence), columns, rows)


def one_measure(evidence: Evidence, name: str) -> Table:
    """One of the study's tables, beside the study's own numbers as far as these are known."""
    known = {experiment: theirs for (experiment, measure), theirs in published().items() if measure == name}
    columns = ["experiment", "mean", "SD", "best", f"interval of best, {percent(evidence.confidence)}"]
    columns += ["study: mean", "study: best"] if known else []
    rows = []
    for experiment in evidence.experiments:
        best = experiment.best(name)
        row = [
            experiment.label,
            number(experiment.values(name).mean()),
            number(experiment.deviation(name)),
            number(best.values[MEASURES.index(name)]),
            span(best.intervals[MEASURES.index(name)]),
        ]
        if known:
            theirs = known.get(experiment.name)
            row += [f"{theirs.mean:.2f}", f"{theirs.best:.2f}"] if theirs else [ABSENT, ABSENT]
        rows.append(row)
    source = "The study's values of this measure are not available here."
    if known:
        sources = " and ".join(sorted({theirs.source for theirs in known.values()}))
        source = f"Study: {sources}; its videos and its split are not ours, so this is no test of either."
    direction = "lower" if name in LOWER_IS_BETTER else "higher"
    title = f"{NAMES[name]} on test videos ({direction} is better)"
    at = f" at {_threshold_text(evidence)}" if name in ("accuracy", "f1") else ""
    caption = (
        f"Mean and standard deviation over seeds{at}; best seed on test with its bootstrap interval over "
        f"source groups. {source}"
    )
    return Table(name, title, caption, columns, rows)


def chosen(evidence: Evidence) -> Table:
    """The run of each experiment that validation chooses, with its test values."""
    columns = ["experiment", "seed chosen on validation", "validation AUROC", "test AUROC"]
    columns += [f"interval, {percent(evidence.confidence)}", "accuracy", "F1", "EER", "seed best on test"]
    rows = []
    for experiment in evidence.experiments:
        run = experiment.chosen()
        if run is not None:
            rows.append(
                [experiment.label, str(run.run.seed), number(run.validation_auroc), number(run.values[0])]
                + [span(run.intervals[0]), *(number(value) for value in run.values[1:])]
                + [str(experiment.best().run.seed)]
            )
    caption = (
        "Choose on validation, touch test once: these seeds have the highest validation AUROC, so their "
        "test values are not inflated by the choice, unlike the 'best' of the tables above."
    )
    return Table("chosen", "Runs chosen on validation", caption, columns, rows)


def differences(evidence: Evidence) -> Table:
    """Differences of means over seeds for all measures."""
    columns = ["experiment", "compared with"]
    columns += [f"Δ {NAMES[name]} ({percent(evidence.confidence)})" for name in MEASURES]
    rows = [
        [c.experiment.label, c.reference.label]
        + [
            f"{signed(d)} ({signed(i.low)} to {signed(i.high)})"
            for d, i in zip(c.differences, c.intervals, strict=True)
        ]
        for c in evidence.comparisons
    ]
    caption = (
        "Difference of the means over seeds. The interval is a percentile bootstrap over test videos "
        f"({evidence.n_resamples:,} resamples, stratified by label, whole source groups drawn together), "
        "both sides on the same resamples: it accounts for which videos were tested, not for which seeds "
        "were trained."
    )
    return Table("differences", "Differences to the reference", caption, columns, rows)


def significance(evidence: Evidence) -> Table:
    """P-values of the AUROC differences, raw and adjusted."""
    columns = ["experiment", "compared with", "Δ AUROC of means", "p bootstrap", "Holm"]
    columns += ["Δ AUROC best vs best", "p DeLong", "Holm", "p over seeds"]
    rows = [
        [c.experiment.label, c.reference.label, signed(c.differences[0]), p_value(c.p), p_value(c.p_holm)]
        + [signed(c.best_difference), p_value(c.p_delong), p_value(c.p_delong_holm), p_value(c.p_seeds)]
        for c in evidence.comparisons
    ]
    caption = (
        "p bootstrap: the paired bootstrap over source groups above; it sees the test videos' variance, "
        "not the seeds'. p DeLong: best run against best run; it sees the videos' variance but takes "
        "videos of one source as independent, and does not know that the runs were picked as the best. "
        "Holm: adjusted for all comparisons of its column to the left; the columns are not adjusted for "
        "each other. p over seeds: Welch's t-test on the seeds' AUROCs; it sees the seeds' variance on "
        "these fixed videos, and with few seeds finds only large differences."
    )
    return Table("significance", "Is the AUROC difference more than chance?", caption, columns, rows)


def levels(evidence: Evidence) -> Table:
    """Frame-level beside video-level AUROC."""
    rows = []
    for experiment in evidence.experiments:
        frames = [run.frame_auroc for run in experiment.runs]
        known = [value for value in frames if value is not None]
        mean = number(float(np.mean(known))) if known else "scores whole clips"
        spread = number(float(np.std(known, ddof=1))) if len(known) > 1 else ABSENT
        video = experiment.values("auroc")
        gain = signed(float(video.mean() - np.mean(known))) if known else ABSENT
        rows.append(
            [
                experiment.label,
                mean,
                spread,
                number(video.mean()),
                number(experiment.deviation("auroc")),
                gain,
            ]
        )
    columns = [
        "experiment",
        "frame AUROC",
        "SD over seeds",
        "video AUROC",
        "SD over seeds",
        "gain by averaging",
    ]
    caption = (
        "Means over seeds. A frame takes its video's label; a video's score is the mean over its frames. "
        "Never set one level's number against the other's."
    )
    return Table("levels", "Frame level beside video level", caption, columns, rows)


def confusions(evidence: Evidence) -> Table:
    """Right and wrong verdicts by label, averaged over seeds."""
    rows = []
    for experiment in evidence.experiments:
        counts = [measures.confusion(r.test.score, r.test.label, r.run.threshold) for r in experiment.runs]
        mean = np.mean(counts, axis=0)
        rows.append([experiment.label, str(len(counts)), *(f"{value:.1f}" for value in mean)])
    columns = ["experiment", "seeds", "REAL right", "REAL wrong", "FAKE right", "FAKE wrong"]
    caption = f"Test videos, averaged over seeds, called FAKE above {_threshold_text(evidence)}."
    return Table("confusion", "Verdicts by label", caption, columns, rows)


def thresholds(evidence: Evidence) -> Table:
    """The same runs under three thresholds."""
    rules = {
        "Youden on validation": measures.youden_threshold,
        "EER point on validation": measures.eer_threshold,
    }
    rows = []
    for experiment in evidence.experiments:
        rows.append(
            _at_thresholds(experiment.label, "fixed", [(r, r.run.threshold) for r in experiment.runs])
        )
        validated = [(r, r.run.splits["val"]) for r in experiment.runs if "val" in r.run.splits]
        for name, rule in rules.items():
            if validated:
                found = [(r, rule(measures.roc(val.score, val.label))) for r, val in validated]
                rows.append(_at_thresholds(experiment.label, name, found))
    columns = [
        "experiment",
        "threshold from",
        "threshold",
        "accuracy",
        "F1",
        "FAKE found (TPR)",
        "REAL accused (FPR)",
    ]
    caption = (
        "Means over seeds on test videos; above the threshold is FAKE. Youden: largest TPR − FPR on "
        "validation. EER point: where both error rates are closest on validation. Neither has seen a test "
        "video."
    )
    return Table("thresholds", "Thresholds", caption, columns, rows)


def calibration(evidence: Evidence) -> Table:
    """Whether a score can be read as a probability, and detection at low false-positive rates."""
    rows = []
    for experiment in evidence.experiments:
        values = []
        for run in experiment.runs:
            score, label = run.test.score, run.test.label
            curve = measures.roc(score, label)
            error = measures.calibration_error(measures.reliability(score, label))
            losses = [error, measures.brier(score, label), measures.log_loss(score, label)]
            values.append([*losses, measures.tpr_at(curve, 0.01), measures.tpr_at(curve, 0.05)])
        rows.append([experiment.label, *(number(value) for value in np.mean(values, axis=0))])
    columns = ["experiment", "ECE", "Brier", "log-loss", "TPR at 1 % FPR", "TPR at 5 % FPR"]
    n_real = int((~evidence.experiments[0].runs[0].test.label).sum())
    caption = (
        "Means over seeds on test videos. ECE: expected calibration error in 10 bins of equal width. "
        f"Log-loss: scores kept 1e-7 away from 0 and 1. 1 % of {n_real} REAL videos is "
        f"{int(0.01 * n_real)} of them, so that column is coarse."
    )
    return Table("calibration", "Calibration and low false-positive rates", caption, columns, rows)


def runs(evidence: Evidence) -> Table:
    """Every run, whatever its state."""
    measured = {r.run.name: r for e in evidence.experiments for r in e.runs}
    rows = []
    for study in evidence.studies:
        for run in study.runs:
            found = measured.get(run.name)
            values = found.values if found else [None] * len(MEASURES)
            state = run.state if found or run.state != "finished" else "left out, see notes"
            row = [
                run.name,
                state,
                *(number(v) for v in values),
                span(found.intervals[0]) if found else ABSENT,
            ]
            for key in ("best_epoch", "epochs", "seconds", "trainable_parameters"):
                value = run.result.get(key)
                row.append(ABSENT if value is None else f"{value:,.0f}")
            rows.append(row)
    columns = [
        "run",
        "state",
        *(NAMES[name] for name in MEASURES),
        f"AUROC interval, {percent(evidence.confidence)}",
    ]
    columns += ["best epoch", "epochs", "seconds", "trainable parameters"]
    return Table("runs", "All runs", "Test values of each run.", columns, rows)


def how_best(evidence: Evidence) -> str:
    """What mean, best and the interval of the best do and do not account for."""
    return (
        "Mean over seeds. Best: the seed with the best value on the test videos, as in the study, so it "
        "is optimistic; see the runs chosen on validation. Its interval is a percentile bootstrap over "
        f"test videos ({evidence.n_resamples:,} resamples, stratified by label, whole source groups drawn "
        "together): it accounts for which videos were tested, not for the seed, nor for picking the best. "
        f"Accuracy and F1 at {_threshold_text(evidence)}."
    )


def _at_thresholds(label: str, source: str, found: list[tuple[RunEvidence, float]]) -> list[str]:
    values = []
    for run, threshold in found:
        at = measures.measure(run.test.score, run.test.label, threshold)
        counts = measures.confusion(run.test.score, run.test.label, threshold)
        tpr = counts.fake_right / (counts.fake_right + counts.fake_wrong)
        fpr = counts.real_wrong / (counts.real_right + counts.real_wrong)
        values.append([threshold, at["accuracy"], at["f1"], tpr, fpr])
    return [label, source, *(number(value) for value in np.mean(values, axis=0))]


def _threshold_text(evidence: Evidence) -> str:
    values = sorted({run.run.threshold for experiment in evidence.experiments for run in experiment.runs})
    return "threshold " + " or ".join(f"{value:g}" for value in values)
