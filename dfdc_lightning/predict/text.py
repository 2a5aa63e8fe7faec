"""Says a verdict in plain language: lines for a terminal, and what the number means and does not."""

from dfdc_lightning.faces.cache import FAKE, REAL
from dfdc_lightning.predict.conformal import INCONCLUSIVE
from dfdc_lightning.predict.credentials import told
from dfdc_lightning.predict.decision import per_hundred
from dfdc_lightning.predict.level import PERIOD
from dfdc_lightning.predict.timeline import Timeline, clock
from dfdc_lightning.predict.verdict import Person, Verdict

LIMITS = (
    f"It knows only face swaps of the kind it was trained on: {REAL} does not certify that a video is "
    f"genuine, {FAKE} does not prove a forgery and says nothing of who made it or why. Voice, text and "
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


def cuts(verdict: Verdict) -> str:
    """Say which scores are called what; "" where no score is called anything."""
    low, high = verdict.answer.low, verdict.answer.high
    if verdict.rules.threshold is not None:
        return f"scores above {low:.3g} are called {FAKE}, as you said"
    parts = [f"scores up to {low:.3g} are called {REAL}"] if low is not None else []
    parts += [f"from {high:.3g} on {FAKE}"] if high is not None else []
    return f"{', '.join(parts)} (error={verdict.rules.error:g})" if parts else ""


def as_text(verdict: Verdict) -> str:
    """Write a few lines for a terminal."""
    many = len(verdict.persons) > 1
    lines = [f"{verdict.video}: {verdict.called}: {verdict.answer.reason}", f"  {headline(verdict)}"]
    lines += [f"  {sentence}" for sentence in (cuts(verdict),) if sentence]
    lines += [f"  warning: {sentence}" for sentence in verdict.warnings]
    for person in verdict.persons:
        by_frame = "each frame adds" if verdict.card.level == "clip" else "by frame"
        frames = " ".join(f"{score:.2f}" for score in person.frame_scores)
        decides = ", decides" if many and person.decides else ""
        found = f"found in {person.found} of {len(person.frame_scores)} frames{decides}"
        lines.append(f"  person {person.number} ({found}): {person.score:.3f}; {by_frame} {frames}")
        lines += [f"    {sentence}" for sentence in notes(person, verdict)]
    if said := told(verdict.record.get("content_credentials", {})):
        lines.append(f"  {said}")
    lines += [] if verdict.scan is None else _scan_lines(verdict.scan)
    lines.append(f"  model: {verdict.card.name}")
    return "\n".join(lines)


def _scan_lines(timeline: Timeline) -> list[str]:
    count = sum(len(line.windows) for line in timeline.lines)
    lines = [f"  scan: {count} windows of {timeline.window:.1f} s, {scan_summary(timeline)}"]
    return lines + [
        f"    {clock(each.start)} to {clock(each.end)}, person {each.person}: {each.score:.3f}"
        for each in timeline.found
    ]


def scan_summary(timeline: Timeline) -> str:
    """Say in half a sentence what stands out."""
    if timeline.note:
        return timeline.note
    if not timeline.found:
        return "none stands out"
    return f"{len(timeline.found)} part{'s' * (len(timeline.found) != 1)} of the video stand out"


def scan_meaning(timeline: Timeline) -> str:
    """Explain what it means that a window stands out."""
    return (
        f"The whole video was looked at in windows of {timeline.window:.1f} s that overlap by half. A window "
        f"stands out where its score is above the broken line: a level set by the other windows of the same "
        f"person, which chance exceeds about once in {PERIOD / 60:.0f} minutes of {REAL} video. A part that "
        "is not swapped can stand out by light, movement or compression; a swap of more than half of the "
        "time stands out nowhere, and only the answer for the whole video tells it."
    )


def notes(person: Person, verdict: Verdict) -> list[str]:
    """List what is to be said of a person and was not said of the whole video already."""
    said = {*verdict.warnings, verdict.answer.reason}
    return [note for note in (*person.warnings, person.likeness.reason) if note and note not in said]


def promise(verdict: Verdict) -> str:
    """Say in plain words what the error rate means for this answer."""
    rules, card = verdict.rules, verdict.card
    real, fake = (len(card.validation.get(label, [])) for label in (REAL, FAKE))
    if rules.threshold is not None:
        return (
            f"You chose the threshold {rules.threshold:g}, so nobody knows how often such an answer is wrong."
        )
    if not real or not fake:
        return "No error rate can be promised, as the model does not hold its validation scores."
    share = per_hundred(rules.error)
    text = (
        f"You allowed an error rate of {share}. Among videos like the {real} {REAL} and {fake} {FAKE} "
        f"validation videos (one per source), at most {share} {REAL} ones are called {FAKE}, and at most "
        f"{share} {FAKE} ones are called {REAL}. That does not say how sure this one answer is, and promises "
        "nothing about videos of another kind."
    )
    alarm = verdict.person.likeness.false_alarm
    if alarm is not None:
        text += (
            f" A video that looks unlike the training videos is {INCONCLUSIVE}; that befalls at most "
            f"{per_hundred(alarm)} videos like those of validation."
        )
    return text


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
            "one seen long enough counts."
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
        f"On {tested} test videos from the same source, none made from a video it had seen, its AUROC was "
        f"{card.test['auroc']:.3f}."
    )
    parts.append(LIMITS)
    return " ".join(parts)
