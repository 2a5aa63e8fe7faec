"""Says a verdict in plain language: lines for a terminal, and what the number means and does not."""

from dfdc_lightning.faces.cache import FAKE, REAL
from dfdc_lightning.predict.verdict import Verdict

LIMITS = (
    f"It knows only face swaps of the kind it was trained on: {REAL} is no certificate that a video is "
    f"genuine, {FAKE} is no proof of a forgery and says nothing of who made it or why. Voice, text and "
    "everything outside the face are not examined; strong compression, filters and unusual light can "
    "mislead it."
)


def headline(verdict: Verdict) -> str:
    """Give the verdict's number its right name: a probability only where it was calibrated."""
    person = verdict.person
    if person.probability is None:
        return f"score {person.score:.3f}, not a calibrated probability: {verdict.card.calibration}"
    return (
        f"probability of FAKE {person.probability:.3f} (score {person.score:.3f}, {verdict.card.calibration})"
    )


def as_text(verdict: Verdict) -> str:
    """Write a few lines for a terminal."""
    side = "above" if verdict.called == FAKE else "not above"
    many = len(verdict.persons) > 1
    lines = [
        f"{verdict.video}: {verdict.called}",
        f"  {headline(verdict)}",
        f"  {side} the threshold {verdict.threshold:.3g} on the score, {verdict.threshold_source}",
    ]
    for person in verdict.persons:
        by_frame = "each frame adds" if verdict.card.level == "clip" else "by frame"
        frames = " ".join(f"{score:.2f}" for score in person.frame_scores)
        decides = ", decides" if many and person.decides else ""
        found = f"found in {person.found} of {len(person.frame_scores)} frames{decides}"
        lines.append(f"  person {person.number} ({found}): {person.score:.3f}; {by_frame} {frames}")
        lines += [f"    warning: {sentence}" for sentence in person.warnings]
    lines.append(f"  model: {verdict.card.name}")
    return "\n".join(lines)


def meaning(verdict: Verdict) -> str:
    """Explain what the number means and what it does not."""
    card, person = verdict.card, verdict.person
    n = sum(card.counts["train"].values())
    frames = len(person.frame_scores)
    parts = [
        f"The model looked at {frames} frames of one person's face, spread evenly over the video, and "
        f"compared them with what it had learned from {n} videos, {card.counts['train'][FAKE]} of them FAKE."
    ]
    if len(verdict.persons) > 1:
        parts.append(
            f"It did so for each of the {len(verdict.persons)} persons it found, and the highest score of "
            "one seen long enough counts; in training, validation and test it judged one person per video, "
            "so that a false alarm is likelier here."
        )
    if person.probability is None:
        parts.append(
            "Its score lies between 0 (REAL) and 1 (FAKE) and ranks videos; 0.9 does not mean that nine in "
            "ten such videos are FAKE."
        )
    else:
        share = round(100 * person.probability)
        parts.append(
            f"Among videos like its validation videos, half of which were FAKE, about {share} in 100 with "
            "this score were FAKE. Where fakes are rarer, fewer are."
        )
    tested = sum(card.counts["test"].values())
    parts.append(
        f"On {tested} test videos from the same source, none made from a video it had seen, "
        f"{card.test['accuracy']:.0%} of its verdicts were right (at the threshold "
        f"{card.training_threshold:g}; AUROC {card.test['auroc']:.3f})."
    )
    parts.append(LIMITS)
    return " ".join(parts)
