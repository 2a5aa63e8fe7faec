"""Scores in use: thresholds, right and wrong verdicts, calibration, frames beside videos."""

from collections.abc import Callable, Sequence

import numpy as np

from dfdc_lightning.report import influence
from dfdc_lightning.report.evidence import Evidence, Experiment, RunEvidence
from dfdc_lightning.report.inference import mean_interval
from dfdc_lightning.report.table import ABSENT, Table, interval, number, percent, signed
from dfdc_lightning.report.tables import thresholds_of
from dfdc_lightning.results import measures

Values = np.ndarray


def confusions(evidence: Evidence) -> Table:
    """Count right and wrong verdicts by label, averaged over seeds."""
    rows = []
    for experiment in evidence.experiments:
        counts = [measures.confusion(r.test.score, r.test.label, r.threshold) for r in experiment.runs]
        mean = np.mean(counts, axis=0)
        rows.append([experiment.label, str(len(counts)), *(f"{value:.1f}" for value in mean)])
    columns = ["experiment", "seeds", "REAL right", "REAL wrong", "FAKE right", "FAKE wrong"]
    caption = f"Counts of test videos, averaged over seeds, called FAKE above {thresholds_of(evidence)}."
    return Table("confusion", "Verdicts by label", caption, columns, rows)


def thresholds(evidence: Evidence) -> Table:
    """Compare accuracy and errors of the same runs under three thresholds."""
    rules = {
        "Youden on validation": measures.youden_threshold,
        "EER point on validation": measures.eer_threshold,
    }
    rows = []
    for experiment in evidence.experiments:
        fixed = [(run, run.threshold) for run in experiment.runs]
        rows.append(_at_thresholds(experiment, "fixed", fixed, evidence.confidence))
        validated = [(r, r.val) for r in experiment.runs if r.val is not None]
        for name, rule in rules.items():
            if validated:
                found = [(r, rule(measures.roc(val.score, val.label))) for r, val in validated]
                rows.append(_at_thresholds(experiment, name, found, evidence.confidence))
    interval_of = percent(evidence.confidence)
    columns = ["experiment", "threshold from", "threshold", "accuracy", interval_of]
    columns += ["FAKE found (TPR)", interval_of, "REAL accused (FPR)", interval_of]
    caption = (
        "Means over seeds on test videos with intervals over seeds and videos; above the threshold is FAKE. "
        "Youden: largest TPR − FPR on validation. EER point: where both error rates are closest on "
        "validation. Neither has seen a test video."
    )
    return Table("thresholds", "Thresholds", caption, columns, rows)


def _at_thresholds(
    experiment: Experiment, source: str, found: Sequence[tuple[RunEvidence, float]], confidence: float
) -> list[str]:
    row = [experiment.label, source, number(float(np.mean([threshold for _, threshold in found])))]
    group = experiment.design.of_video
    label = found[0][0].test.label
    everyone = np.ones(len(label), bool)
    called = [(run.test.score > threshold) for run, threshold in found]
    columns: list[tuple[list[Values], Values, int, float]] = [
        ([(c == label).astype(float) for c in called], everyone, experiment.design.smaller, 1.0),
        ([c.astype(float) for c in called], label, experiment.design.holding_fake, 1.0),
        ([c.astype(float) for c in called], ~label, experiment.design.holding_real, 0.0),
    ]
    for values, mask, groups, best in columns:
        runs = [influence.share(one, mask, group) for one in values]
        mean = mean_interval(runs, groups, confidence, best)
        row += [number(mean.value), interval(mean)]
    return row


def calibration(evidence: Evidence) -> Table:
    """Tell whether a score can be read as a probability, and detection at low false-positive rates."""
    rules: list[Callable[[Values, Values], float]] = [
        lambda score, label: measures.calibration_error(measures.reliability(score, label)),
        measures.brier,
        measures.log_loss,
        lambda score, label: measures.tpr_at(measures.roc(score, label), 0.01),
        lambda score, label: measures.tpr_at(measures.roc(score, label), 0.05),
    ]
    rows = []
    for experiment in evidence.experiments:
        row = [experiment.label]
        for rule in rules:
            values = [rule(run.test.score, run.test.label) for run in experiment.runs]
            row += [number(float(np.mean(values))), _deviation(values)]
        rows.append(row)
    columns = ["experiment"]
    for name in ("ECE", "Brier", "log-loss", "TPR at 1 % FPR", "TPR at 5 % FPR"):
        columns += [name, "SD"]
    n_real = int((~evidence.experiments[0].runs[0].test.label).sum())
    caption = (
        "Means and SD over seeds on test videos. No interval is given: those that were tried do not cover "
        "(ECE is biased upwards; TPR at a low FPR hangs on few REAL videos). ECE: expected calibration error "
        "in 10 bins of equal width, a score on an edge in the upper bin. Log-loss: scores kept 1e-7 away "
        f"from 0 and 1. 1 % of {n_real} REAL videos is {int(0.01 * n_real)} of them, so that column is "
        "coarse."
    )
    return Table("calibration", "Calibration and low false-positive rates", caption, columns, rows)


def levels(evidence: Evidence) -> Table:
    """Put frame-level beside video-level AUROC."""
    rows = []
    for experiment in evidence.experiments:
        frames = [run.frame_auroc for run in experiment.runs]
        known = [value for value in frames if value is not None]
        video = experiment.mean["auroc"]
        row = [experiment.label, number(float(np.mean(known))) if known else "scores whole clips"]
        row += [_deviation(known), number(video.value), interval(video)]
        row.append(signed(float(video.value - np.mean(known))) if known else ABSENT)
        rows.append(row)
    columns = ["experiment", "frame AUROC", "SD", "video AUROC", percent(evidence.confidence)]
    columns.append("gain by averaging")
    caption = (
        "Means over seeds. A frame takes its video's label; a video's score is the mean over its frames. "
        "Frames of one video are not independent, so the frame level has no interval. Never set one level's "
        "number against the other's."
    )
    return Table("levels", "Frame level beside video level", caption, columns, rows)


def _deviation(values: Sequence[float]) -> str:
    return number(float(np.std(values, ddof=1))) if len(values) > 1 else ABSENT
