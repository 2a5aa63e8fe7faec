"""FAKE, REAL or INCONCLUSIVE, with the reason in a sentence: what may be said of a video."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dfdc_lightning.faces.cache import FAKE, REAL
from dfdc_lightning.predict.card import Card
from dfdc_lightning.predict.conformal import INCONCLUSIVE, Conformal
from dfdc_lightning.predict.likeness import Likeness


class Answer(NamedTuple):
    """What is said of a video and why; scores up to `low` speak for REAL, scores from `high` on for FAKE."""

    called: str
    reason: str
    low: float | None = None
    high: float | None = None


def answer(
    scores: Sequence[float],
    likeness: Sequence[Likeness],
    card: Card,
    error: float,
    threshold: float | None = None,
) -> Answer:
    """Answer for the persons of one video.

    A video is FAKE where one person's face is, so FAKE takes one person whose score is high enough, and REAL
    takes that the highest score is low enough. Whoever looks unlike the training videos is not judged, and as
    long as such a person is there the video is not REAL.

    Args:
        scores: Of the persons that count, the highest first.
        likeness: How far each of them is like the training videos.
        card: The model's, with its validation scores.
        error: Share of answers that may be wrong, among videos like the validation videos.
        threshold: The user's own, instead of the error rate.
    """
    conformal = conformal_of(card, error, len(scores))
    low, high = conformal.cuts() if threshold is None else (threshold, math.nextafter(threshold, 2))
    judged = [score for score, like in zip(scores, likeness, strict=True) if not like.reason]
    if judged and high is not None and judged[0] >= high and not (threshold is None and conformal.lacking):
        return Answer(FAKE, _said(FAKE, judged[0], card, error, threshold), low, high)
    if strange := next((like for like in likeness if like.reason), None):
        return Answer(INCONCLUSIVE, strange.reason, low, high)
    if threshold is not None:
        return Answer(REAL, _said(REAL, scores[0], card, error, threshold), low, high)
    if conformal.lacking:
        return Answer(INCONCLUSIVE, _lacking(conformal, card), None, None)
    called = conformal.answer(scores[0])
    if called == INCONCLUSIVE:
        return Answer(called, _unclear(conformal, scores[0]), low, high)
    return Answer(called, _said(called, scores[0], card, error, None), low, high)


def conformal_of(card: Card, error: float, persons: int = 1) -> Conformal:
    """Build the test from a card's validation scores."""
    real, fake = (np.array(card.validation.get(label, []), np.float64) for label in (REAL, FAKE))
    return Conformal(real, fake, error, persons)


def per_hundred(share: float) -> str:
    """Say a share as "5 in 100", or "1 in 1000" where it is below one in a hundred."""
    size = 100 if share >= 0.01 else 1000
    return f"{share * size:.3g} in {size}"


def _said(called: str, score: float, card: Card, error: float, threshold: float | None) -> str:
    if threshold is not None:
        side = "above" if called == FAKE else "not above"
        return f"the score {score:.3f} is {side} the given threshold {threshold:g}, of unknown error rate"
    other, way = (REAL, "high") if called == FAKE else (FAKE, "low")
    return (
        f"at most {per_hundred(error)} {other} videos like those of validation score so {way} ({score:.3f})"
    )


def _unclear(conformal: Conformal, score: float) -> str:
    real, fake = (float(p[0]) for p in conformal.p_values(np.array([score])))
    if min(real, fake) > conformal.error:
        return f"the score {score:.3f} is usual for {REAL} and for {FAKE} validation videos"
    return f"the score {score:.3f} is as unusual for {REAL} as for {FAKE} validation videos"


def _lacking(conformal: Conformal, card: Card) -> str:
    real, fake = len(conformal.real), len(conformal.fake)
    if not real or not fake:
        return (
            f"the validation scores of {card.name} are not there, so that no error rate can be promised: "
            "train it (or export it) again with this version"
        )
    possible = conformal.persons / (min(real, fake) + 1)
    looser = f", or error={math.ceil(possible * 1000) / 1000:g}" if possible < 0.5 else ""
    return (
        f"an error rate of {per_hundred(conformal.error)} takes {conformal.lacking} validation videos of "
        f"independent sources per label, there are {real} {REAL} and {fake} {FAKE}: train with more{looser}"
    )
