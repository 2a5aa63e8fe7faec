"""The model card of the run to use: the one validation chose, with the limits of what was measured."""

from pathlib import Path

import jinja2
from markupsafe import Markup

from dfdc_lightning.report import provenance
from dfdc_lightning.report.answer import rates
from dfdc_lightning.report.evidence import Evidence, RunEvidence
from dfdc_lightning.report.table import Table, interval, markdown_text, number, percent, rate
from dfdc_lightning.results import measures
from dfdc_lightning.results.measures import NAMES
from dfdc_lightning.results.ranking import MEASURES

_TEMPLATE = Path(__file__).with_name("run_card.md.jinja")


def model_card(evidence: Evidence) -> str:
    """Describe in Markdown the run that validation chooses, or without validation scores the best on test."""
    chosen, how = evidence.chosen, f"the {evidence.why_chosen}"
    if chosen is None:
        chosen = max((e.best() for e in evidence.experiments), key=lambda run: run.values["auroc"])
        how = "the highest *test* AUROC, as no run has usable validation scores: the results are optimistic"
    run, test = chosen.run, chosen.test
    study = next(study for study in evidence.studies if study.name == run.study)
    _, accused, missed = rates(chosen)
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.finalize = _plain
    text = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        run=run,
        how=how,
        epoch=run.result.best_epoch + 1,  # files count epochs from 0
        parameters=f"{run.result.parameters:,}",
        share=percent(round(100 * float(test.label.mean()), 1) / 100),
        results=Markup(_results(chosen, evidence).markdown()),
        n_test=len(test.video),
        n_resamples=f"{evidence.n_resamples:,}",
        threshold=f"{chosen.threshold:g}",
        accused=rate(accused),
        missed=rate(missed),
        leaks=provenance.leaks_of_split(study),
        data=provenance.facts_of_data(study),
        environment=provenance.facts_of_environment(study),
        **_validated_threshold(chosen),
    )
    return text.rstrip() + "\n"


def _plain(value: object) -> object:
    """Show what runs say of themselves as text, never as HTML or a table's border."""
    return markdown_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _results(chosen: RunEvidence, evidence: Evidence) -> Table:
    rows = [[NAMES[name], number(chosen.values[name]), interval(chosen.estimates[name])] for name in MEASURES]
    bins = measures.reliability(chosen.test.score, chosen.test.label)
    rows.append(["Expected calibration error", number(measures.calibration_error(bins)), "not computed"])
    columns = ["measure", "value", f"interval, {percent(evidence.confidence)}"]
    return Table("card", "", "", columns, rows)


def _validated_threshold(chosen: RunEvidence) -> dict[str, object]:
    val = chosen.val
    if val is None:
        return {"youden": "", "n_val": 0, "accuracy": ""}
    found = measures.youden_threshold(measures.roc(val.score, val.label))
    accuracy = measures.measure(chosen.test.score, chosen.test.label, found)["accuracy"]
    return {"youden": number(found), "n_val": len(val.video), "accuracy": number(accuracy)}
