"""The answer for a video that was looked at from one end to the other."""

from dfdc_lightning.faces.cache import FAKE, REAL
from dfdc_lightning.predict.conformal import INCONCLUSIVE
from dfdc_lightning.predict.decision import Answer
from dfdc_lightning.predict.level import PERIOD
from dfdc_lightning.predict.predictors import Predictor
from dfdc_lightning.predict.scan import Scanned
from dfdc_lightning.predict.timeline import Timeline, clock
from dfdc_lightning.predict.verdict import RULES, Rules, Verdict, predict_video


def predict_scanned(
    scanned: Scanned, predictor: Predictor, rules: Rules = RULES, maps: bool = False
) -> Verdict:
    """Answer by the frames of the whole video, as without a scan, and by the windows that stand out.

    A video that as a whole looks REAL is INCONCLUSIVE where a window stands out, or where none could have.

    Args:
        scanned: What was seen of it.
        predictor: The model that scored its windows.
        rules: What the user chose.
        maps: Whether to compute where the scores come from.
    """
    verdict = predict_video(scanned.prepared, predictor, rules, maps)
    timeline = Timeline.of(scanned.windows, scanned.window, predictor.card.spread)
    return verdict._replace(scan=timeline, answer=_answer(verdict, timeline))


def _answer(verdict: Verdict, timeline: Timeline) -> Answer:
    answer = verdict.answer
    strange = any(person.likeness.reason == answer.reason for person in verdict.persons)
    if answer.called == FAKE or strange:
        return answer
    if timeline.found:
        return answer._replace(called=INCONCLUSIVE, reason=_told(timeline, answer))
    if timeline.note and answer.called == REAL:
        return answer._replace(called=INCONCLUSIVE, reason=timeline.note)
    return answer


def _told(timeline: Timeline, answer: Answer) -> str:
    first = max(timeline.found, key=lambda each: each.score)
    more = len(timeline.found) - 1
    what = f"{clock(first.start)} to {clock(first.end)}" + (f" and {more} more" if more else "")
    whole = f"the video as a whole looks {REAL}" if answer.called == REAL else answer.reason
    return (
        f"{what} {'stand' if more else 'stands'} out from the rest of person {first.person}, above what "
        f"chance reaches once in {PERIOD / 60:.0f} minutes; {whole}"
    )
