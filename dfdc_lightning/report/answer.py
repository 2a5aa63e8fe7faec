"""The answer in words: which experiment beats its reference, by how much, and how sure that is."""

from dfdc_lightning.report.evidence import Comparison, Evidence
from dfdc_lightning.report.table import p_value, percent


def answer(evidence: Evidence) -> list[str]:
    """Sentences, the most important first."""
    order = sorted(evidence.comparisons, key=lambda c: (not c.clear, -c.differences[0]))
    sentences = [_sentence(comparison, evidence) for comparison in order]
    if not sentences:
        sentences = [_ranking(evidence)]
    elif not any(comparison.clear for comparison in order):
        sentences.insert(0, "No difference between the experiments is clear of chance on these test videos.")
    chosen = evidence.chosen
    if chosen is not None:
        low, high = chosen.intervals[0]
        label = next(e.label for e in evidence.experiments if any(run is chosen for run in e.runs))
        sentences.append(
            f"The run to use is {label}, seed {chosen.run.seed} ({evidence.why_chosen}): its test AUROC is "
            f"{chosen.values[0]:.3f} ({percent(evidence.confidence)} {low:.3f} to {high:.3f})."
        )
    return sentences


def _sentence(c: Comparison, evidence: Evidence) -> str:
    low, high = c.intervals[0]
    sure = f"{percent(evidence.confidence)} {_plain(low)} to {_plain(high)}, adjusted p {_compared(c.p_holm)}"
    seeds = f"mean of {_seeds(len(c.experiment.runs))} against {_seeds(len(c.reference.runs))}"
    one, other, gap = c.experiment.label, c.reference.label, c.differences[0]
    if not c.clear:
        return f"{one} is not clearly different from {other}: {gap:+.3f} AUROC ({sure}; {seeds}).".replace(
            "-", "−"
        )
    if gap > 0:
        return f"{one} beats {other} by {gap:.3f} AUROC ({sure}; {seeds})."
    flipped = (
        f"{percent(evidence.confidence)} {_plain(-high)} to {_plain(-low)}, adjusted p {_compared(c.p_holm)}"
    )
    return f"{one} falls behind {other} by {-gap:.3f} AUROC ({flipped}; {seeds})."


def _ranking(evidence: Evidence) -> str:
    best = max(evidence.experiments, key=lambda experiment: float(experiment.values("auroc").mean()))
    mean = best.values("auroc").mean()
    if len(evidence.experiments) == 1:
        return f"{best.label} reaches a test AUROC of {mean:.3f} (mean of {_seeds(len(best.runs))})."
    return f"{best.label} has the highest mean test AUROC, {mean:.3f}; there is no reference to compare with."


def _plain(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _compared(p: float) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"
