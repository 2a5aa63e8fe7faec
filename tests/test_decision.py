"""An answer keeps its error rate, or is INCONCLUSIVE with the reason and the remedy in one sentence."""

import numpy as np
import pytest

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FAKE, REAL, FaceClip
from dfdc_lightning.faces.conditions import measure
from dfdc_lightning.predict.card import Card
from dfdc_lightning.predict.conformal import INCONCLUSIVE, Conformal, calibration_scores, check_error
from dfdc_lightning.predict.decision import answer, per_hundred
from dfdc_lightning.predict.likeness import Likeness, likeness
from dfdc_lightning.results.predictions import Scores
from dfdc_lightning.results.reference import Reference

LIKE = Likeness("")


def card(real: np.ndarray, fake: np.ndarray) -> Card:
    return Card(
        "baseline, seed 0, of study demo", "frame", {}, "p", {}, 0.5, "", None, "", 0.6, {}, {},
        validation={REAL: sorted(real.tolist()), FAKE: sorted(fake.tolist())},
    )  # fmt: skip


@pytest.mark.parametrize(("groups", "error"), [(19, 0.05), (99, 0.05), (60, 0.1)])
@pytest.mark.parametrize("gap", [1.0, 6.0])
def test_the_wrong_share_is_the_stated_one_over_a_thousand_draws(
    groups: int, error: float, gap: float
) -> None:
    rng = np.random.default_rng(0)
    wrong = []
    for _ in range(1000):
        real, fake = rng.normal(0, 1, groups), rng.normal(gap, 1, groups)
        conformal = Conformal(np.sort(real), np.sort(fake), error)
        wrong.append(
            [
                (conformal.sides(rng.normal(0, 1, 50)) > 0).mean(),
                (conformal.sides(rng.normal(gap, 1, 50)) < 0).mean(),
            ]
        )
    highest = int(error * (groups + 1) + 1e-9) / (groups + 1)  # what whole videos allow, at most `error`
    for share in np.mean(wrong, axis=0):
        assert share <= error + 0.01
        if gap < 2:  # far apart, fewer are wrong: the less unusual label is the answer
            assert share == pytest.approx(highest, abs=0.01)


def test_videos_of_one_source_count_once() -> None:
    names, groups = [f"v{i}" for i in range(8)], ["a"] * 4 + ["b"] * 4
    label = np.array([False, True] * 4)
    chosen = calibration_scores(Scores(names, groups, label, np.linspace(0, 0.7, 8), None))
    assert [len(chosen[REAL]), len(chosen[FAKE])] == [2, 2]
    assert calibration_scores(None) == {REAL: [], FAKE: []}


@pytest.mark.parametrize("error", [0, 0.5, -0.1, 1, True])
def test_an_impossible_error_rate_is_a_sentence(error: object) -> None:
    with pytest.raises(UserError, match=r"error must be a number above 0 and below 0.5 \(got "):
        check_error(error)  # type: ignore[arg-type]


def test_the_three_answers_and_their_reasons() -> None:
    model = card(np.linspace(0, 0.5, 39), np.linspace(0.4, 1, 39))
    fake, real, open_ = (answer([score], [LIKE], model, 0.05) for score in (0.9, 0.1, 0.45))
    assert [fake.called, real.called, open_.called] == [FAKE, REAL, INCONCLUSIVE]
    assert fake.reason == "at most 5 in 100 REAL videos like those of validation score so high (0.900)"
    assert real.reason == "at most 5 in 100 FAKE videos like those of validation score so low (0.100)"
    assert open_.reason == "the score 0.450 is usual for REAL and for FAKE validation videos"
    assert fake.low is not None and fake.high is not None and fake.low < 0.45 < fake.high


def test_too_few_source_groups_are_counted_and_the_remedy_named() -> None:
    said = answer([0.99], [LIKE], card(np.zeros(18), np.ones(30)), 0.05)
    assert said.called == INCONCLUSIVE
    assert "takes 19 validation videos of independent sources per label" in said.reason
    assert "there are 18 REAL and 30 FAKE: train with more, or error=0.053" in said.reason
    assert answer([1.0], [LIKE], card(np.zeros(18), np.ones(30)), 0.053).called == FAKE
    assert answer([0.99], [LIKE], card(np.zeros(18), np.ones(30)), 0.053).called == INCONCLUSIVE
    assert answer([1.0], [LIKE], card(np.zeros(19), np.ones(19)), 0.05).called == FAKE
    two = answer([0.99, 0.2], [LIKE, LIKE], card(np.zeros(19), np.ones(19)), 0.05)
    assert "takes 39 validation videos" in two.reason, "two persons are two chances to be wrong"


def test_a_model_without_validation_scores_says_what_to_do() -> None:
    said = answer([0.99], [LIKE], card(np.zeros(0), np.zeros(0)), 0.05)
    assert said.called == INCONCLUSIVE and "again with this version" in said.reason


def test_who_looks_unlike_the_training_videos_is_not_judged() -> None:
    model, strange = card(np.linspace(0, 0.2, 50), np.linspace(0.8, 1, 50)), Likeness("it is a drawing")
    for score in (0.01, 0.5, 0.99):
        assert answer([score], [strange], model, 0.05)[:2] == (INCONCLUSIVE, "it is a drawing")
        assert answer([score], [strange], model, 0.05, 0.6)[:2] == (INCONCLUSIVE, "it is a drawing")
    assert answer([0.99, 0.1], [LIKE, strange], model, 0.05).called == FAKE, "one forged face is enough"
    assert answer([0.1, 0.05], [LIKE, strange], model, 0.05).called == INCONCLUSIVE


def test_a_threshold_of_the_users_own_promises_nothing() -> None:
    model = card(np.zeros(2), np.ones(2))
    assert answer([0.61], [LIKE], model, 0.05, 0.6).called == FAKE
    said = answer([0.6], [LIKE], model, 0.05, 0.6)
    assert said.called == REAL
    assert said.reason == "the score 0.600 is not above the given threshold 0.6, of unknown error rate"


def test_shares_are_said_in_whole_videos() -> None:
    assert [per_hundred(share) for share in (0.05, 0.025, 0.004)] == ["5 in 100", "2.5 in 100", "4 in 1000"]


def clip(side: float = 100.0) -> FaceClip:
    faces = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    boxes = np.tile(np.array([0, 0, side, side], np.float32), (4, 1))
    return FaceClip(faces, boxes, np.arange(4, dtype=np.int64), np.ones(4, bool))


def reference() -> Reference:
    rng = np.random.default_rng(0)
    looks, usual = rng.normal(size=(80, 6)), np.array(list(measure(clip()).values()))
    conditions = usual * np.exp(rng.normal(0, 0.2, (80, 3)))
    fitted = Reference.fit(looks, np.arange(80) % 2 == 0, conditions)
    return fitted.with_validation(rng.normal(size=(49, 6)), conditions[:49])


def test_what_is_unlike_is_named_with_its_value_and_the_usual_range() -> None:
    ordinary = np.zeros((4, 6), np.float32)
    inside = likeness(clip(), ordinary, reference(), "train")
    assert inside.reason == "" and all(each.usual for each in inside.comparisons)
    small = likeness(clip(10), ordinary, reference(), "train")
    assert small.reason.startswith("the face is smaller than those of the training videos (10 pixels, there ")
    strange = likeness(clip(), ordinary + 90, reference(), "train")
    assert "looks unlike the training videos, further from them than 98 in 100 validation" in strange.reason


def test_without_a_reference_the_answer_is_the_remedy() -> None:
    for look, told in ((None, reference()), (np.zeros((4, 6), np.float32), None)):
        assert (
            "train the run again with this version"
            in likeness(clip(), look, told, "train the run again with this version").reason
        )
    with pytest.raises(UserError, match=r"reference\.npz is of another network"):
        likeness(clip(), np.zeros((4, 7), np.float32), reference(), "train again")
