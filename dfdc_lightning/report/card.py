"""The model card of the run to use: the one validation chose, with the limits of what was measured."""

from pathlib import Path

import jinja2

from dfdc_lightning.report import provenance
from dfdc_lightning.report.evidence import Evidence, RunEvidence
from dfdc_lightning.report.table import Table, number, percent, span
from dfdc_lightning.results import measures
from dfdc_lightning.results.measures import NAMES
from dfdc_lightning.results.ranking import MEASURES

_TEMPLATE = Path(__file__).with_name("model_card.md.jinja")


def model_card(evidence: Evidence) -> str:
    """Markdown, for the run with the highest validation AUROC, or the best on test where no run has any."""
    chosen, how = evidence.chosen, f"the {evidence.why_chosen}"
    if chosen is None:
        chosen = max((e.best() for e in evidence.experiments), key=lambda run: float(run.values[0]))
        how = "the highest *test* AUROC, as no run has usable validation scores: the results are optimistic"
    run, test = chosen.run, chosen.test
    study = next(study for study in evidence.studies if study.name == run.study)
    parameters = run.result.get("parameters")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        run=run,
        how=how,
        epoch=run.result.get("best_epoch", "unknown"),
        parameters=f"{parameters:,}" if isinstance(parameters, int) else "",
        share=percent(round(float(test.label.mean()), 3)),
        results=_results(chosen, evidence).markdown(),
        n_test=len(test.video),
        n_resamples=f"{evidence.n_resamples:,}",
        threshold=f"{run.threshold:g}",
        data=provenance.facts_of_data(study),
        environment=provenance.facts_of_environment(study),
        **_validated_threshold(chosen),
    )
    return text.rstrip() + "\n"


def _results(chosen: RunEvidence, evidence: Evidence) -> Table:
    rows = [
        [NAMES[name], number(value), span(interval)]
        for name, value, interval in zip(MEASURES, chosen.values, chosen.intervals, strict=True)
    ]
    bins = measures.reliability(chosen.test.score, chosen.test.label)
    rows.append(["Expected calibration error", number(measures.calibration_error(bins)), "not computed"])
    return Table("card", "", "", ["measure", "value", f"interval, {percent(evidence.confidence)}"], rows)


def _validated_threshold(chosen: RunEvidence) -> dict[str, object]:
    if "val" not in chosen.run.splits:
        return {"youden": "", "n_val": 0, "accuracy": ""}
    val = chosen.run.splits["val"]
    found = measures.youden_threshold(measures.roc(val.score, val.label))
    accuracy = measures.measure(chosen.test.score, chosen.test.label, found)["accuracy"]
    return {"youden": number(found), "n_val": len(val.video), "accuracy": number(accuracy)}
