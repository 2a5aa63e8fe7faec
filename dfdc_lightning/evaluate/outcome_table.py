"""What a call of evaluate.py prints at its end: AUROC of each run on each data set, and over levels."""

from collections.abc import Sequence

from dfdc_lightning.evaluate.corruptions import CORRUPTIONS, Condition
from dfdc_lightning.evaluate.record import PLAIN, Record
from dfdc_lightning.report.table import ABSENT, Table, number
from dfdc_lightning.results.elsewhere import LEVELS, Evaluation, read_evaluation
from dfdc_lightning.results.measures import measure


def outcomes(records: Sequence[Record]) -> str:
    """Write in Markdown all that is finished for these records' models and data sets."""
    plain = Table("plain", "", "", ["run", "data", "videos", "without score", "AUROC", "AUROC at home"], [])
    levels = Table("levels", "", "", ["run", "data", "corruption", *(f"level {k}" for k in LEVELS)], [])
    for record in records:
        who = [record.subject.name, record.data.name]
        if evaluation := read_evaluation(record.place(PLAIN)):
            n = 0 if evaluation.scores is None else len(evaluation.scores.video)
            counts = [str(n), str(len(evaluation.about.without_score))]
            home = number(float(record.subject.card.test["auroc"]))
            plain.rows.append([*who, *counts, _auroc(evaluation), home])
        for name in CORRUPTIONS:
            values = [_auroc(read_evaluation(record.place(str(Condition(name, k))))) for k in LEVELS]
            if set(values) != {ABSENT}:
                levels.rows.append([*who, name, *values])
    return "\n\n".join(table.markdown() for table in (plain, levels) if table.rows)


def _auroc(evaluation: Evaluation | None) -> str:
    if evaluation is None or evaluation.scores is None:
        return ABSENT
    scores = evaluation.scores
    return number(measure(scores.score, scores.label, 0.5)["auroc"])
