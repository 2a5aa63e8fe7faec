"""The answer in words, on one screen: what is better, what is worse, what cannot be told apart."""

from collections.abc import Callable, Sequence

from dfdc_lightning.report.evidence import Comparison, Evidence, RunEvidence
from dfdc_lightning.report.provenance import leaks_of_split
from dfdc_lightning.report.table import between, p_value, percent, possible, rate
from dfdc_lightning.results import measures

_MOST_NAMES = 5


def answer(evidence: Evidence) -> list[str]:
    """Say in at most five sentences what matters most; a split that leaks is named before them."""
    judged = [c for c in evidence.comparisons if c.auroc.interval is not None]
    better = sorted((c for c in judged if c.auroc.clear and c.auroc.difference > 0), key=_gap, reverse=True)
    worse = sorted((c for c in judged if c.auroc.clear and c.auroc.difference < 0), key=_gap)
    equal = sorted((c for c in judged if not c.auroc.clear), key=_possible)
    silent = [c for c in evidence.comparisons if c.auroc.interval is None]
    sentences = [f"{study.name}: {each}." for study in evidence.studies for each in leaks_of_split(study)]
    if better:
        sentences.append(f"Clearly better than {_reference(better)}: {_listed(better, evidence, _by)}.")
    if worse:
        sentences.append(f"Clearly worse than {_reference(worse)}: {_listed(worse, evidence, _by)}.")
    if equal:
        sentences.append(
            f"Cannot be told apart from {_reference(equal)} (in brackets, the largest difference in AUROC "
            f"that is still possible): {_listed(equal, evidence, _at_most)}."
        )
    if silent:
        reasons = "; ".join(dict.fromkeys(c.auroc.reason for c in silent))
        sentences.append(f"No verdict on {_listed(silent, evidence, _name)}: {reasons}.")
    if not evidence.comparisons:
        sentences.append(_highest(evidence))
    if evidence.chosen is not None:
        sentences.append(_to_use(evidence.chosen, evidence))
    return sentences


def rates(run: RunEvidence) -> tuple[float, float, float]:
    """Count accuracy, false-positive and false-negative rate on test videos at the run's own threshold."""
    c = measures.confusion(run.test.score, run.test.label, run.threshold)
    right = (c.real_right + c.fake_right) / sum(c)
    return right, c.real_wrong / (c.real_right + c.real_wrong), c.fake_wrong / (c.fake_right + c.fake_wrong)


def _to_use(run: RunEvidence, evidence: Evidence) -> str:
    label = next(e.label for e in evidence.experiments if any(one is run for one in e.runs))
    right, accused, _ = rates(run)
    estimate = run.estimates["auroc"]
    sure = f" ({percent(evidence.confidence)} {between(estimate)})" if estimate.interval else ""
    reals = int((~run.test.label).sum())
    return (
        f"The run to use is {label}, seed {run.run.seed} ({evidence.why_chosen}): test AUROC "
        f"{estimate.value:.3f}{sure}; at its threshold {run.threshold:g} it is right in {rate(right)} of "
        f"{len(run.test.video)} test videos and calls {round(accused * reals)} of {reals} REAL ones FAKE "
        f"({rate(accused)})."
    )


def _listed(
    comparisons: Sequence[Comparison], evidence: Evidence, phrase: Callable[[Comparison, Evidence], str]
) -> str:
    """Say each comparison in a few words; of many the first, with the number of the rest."""
    several = len({c.reference.label for c in comparisons}) > 1
    words = []
    for c in comparisons[:_MOST_NAMES]:
        against = f" against {c.reference.label}" if several else ""
        words.append(f"{c.experiment.label}{against}{phrase(c, evidence)}")
    rest = len(comparisons) - len(words)
    text = ", ".join(words[:-1]) + (" and " if len(words) > 1 and not rest else ", " if words[:-1] else "")
    return text + words[-1] + (f" and {rest} more (see the table)" if rest else "")


def _by(c: Comparison, evidence: Evidence) -> str:
    d = c.auroc
    assert d.interval is not None
    low, high = sorted((abs(d.interval.low), abs(d.interval.high)))
    return (
        f" by {abs(d.difference):.3f} AUROC ({percent(evidence.confidence)} {low:.3f} to {high:.3f}, "
        f"{'adjusted ' if len(evidence.comparisons) > 1 else ''}p {_compared(d.p_holm)})"
    )


def _at_most(c: Comparison, evidence: Evidence) -> str:
    return f" (at most {possible(c.auroc)})"


def _name(c: Comparison, evidence: Evidence) -> str:
    return ""


def _reference(comparisons: Sequence[Comparison]) -> str:
    labels = list(dict.fromkeys(c.reference.label for c in comparisons))
    return labels[0] if len(labels) == 1 else "their references"


def _highest(evidence: Evidence) -> str:
    best = max(evidence.experiments, key=lambda experiment: experiment.mean["auroc"].value)
    estimate = best.mean["auroc"]
    sure = f", {percent(evidence.confidence)} {between(estimate)}" if estimate.interval else ""
    reached = f"{estimate.value:.3f} (mean of {_seeds(estimate.seeds)}{sure})"
    if len(evidence.experiments) == 1:
        return f"{best.label} reaches a test AUROC of {reached}."
    return f"{best.label} has the highest mean test AUROC, {reached}; no reference to compare with was run."


def _gap(c: Comparison) -> float:
    return c.auroc.difference


def _possible(c: Comparison) -> float:
    return c.auroc.largest_difference_still_possible or 0.0


def _compared(p: float | None) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"
