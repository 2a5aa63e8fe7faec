"""Clips unlike the training clips are told by features and conditions, at the stated false-alarm rate."""

from pathlib import Path

import numpy as np
import pytest
from forgeries import Trained

from dfdc_lightning.errors import UserError
from dfdc_lightning.results.reference import FALSE_ALARM, Reference, enough, one_per_group

WIDTH = 48


def world(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features with ten directions of variation, labels that move them, and conditions."""
    fake = rng.random(n) < 0.5
    mixing = np.random.default_rng(1).normal(size=(10, WIDTH))
    features = rng.normal(size=(n, 10)) @ mixing + 0.1 * rng.normal(size=(n, WIDTH)) + 2.0 * fake[:, None]
    return features, fake, np.exp(rng.normal([4.5, 5.0, 4.8], 0.2, (n, 3)))


def reference(rng: np.random.Generator, n: int = 200, groups: int = 99) -> Reference:
    features, _, conditions = world(rng, groups)
    return Reference.fit(*world(rng, n)).with_validation(features, conditions)


@pytest.mark.slow
def test_among_clips_of_the_same_world_the_false_alarms_are_as_rare_as_stated() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(60):
        fitted = reference(rng)
        features, _, conditions = world(rng, 200)
        shares.append((fitted.strangeness(features, conditions).max(axis=1) > fitted.limit).mean())
    assert fitted.false_alarm == FALSE_ALARM
    assert np.mean(shares) == pytest.approx(FALSE_ALARM, abs=0.01)


def test_other_features_and_other_conditions_lie_outside() -> None:
    rng = np.random.default_rng(0)
    fitted = reference(rng)
    features, _, conditions = world(rng, 50)
    other = fitted.strangeness(features + rng.normal(size=(50, WIDTH)), conditions)
    assert (other[:, 0] > fitted.limit).all(), "directions in which training clips do not vary"
    small = fitted.strangeness(features, conditions * [0.1, 1, 1])
    assert (small[:, 1] > fitted.limit).all()
    low, high = fitted.condition_range(0)
    assert low < np.exp(4.5) < high and (conditions[:, 0] * 0.1 < low).all()


def test_few_validation_clips_state_a_higher_rate() -> None:
    fitted = reference(np.random.default_rng(0), groups=9)
    assert fitted.false_alarm == pytest.approx(0.1)
    assert fitted.limit == fitted.validation.max()


def test_of_a_group_the_same_video_counts_in_whatever_order() -> None:
    videos, groups = ["a", "b", "c", "d"], ["x", "y", "x", "x"]
    chosen = {videos[index] for index in one_per_group(videos, groups)}
    turned = {videos[::-1][index] for index in one_per_group(videos[::-1], groups[::-1])}
    assert chosen == turned and len(chosen) == 2 and "b" in chosen


def test_too_few_training_clips_describe_nothing() -> None:
    assert enough(np.arange(8) % 2 == 0)
    assert not enough(np.arange(6) % 2 == 0)
    assert not enough(np.zeros(50, bool))


def test_the_file_gives_back_what_was_written(tmp_path: Path) -> None:
    fitted = reference(np.random.default_rng(0))
    fitted.write(tmp_path / "reference.npz")
    again = Reference.read(tmp_path / "reference.npz")
    assert again.limit == pytest.approx(fitted.limit, rel=1e-5)
    for one, other in zip(again, fitted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("at", [3, 200, 3000])
def test_a_damaged_file_is_a_sentence(at: int, tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    reference(np.random.default_rng(0)).write(path)
    path.write_bytes(path.read_bytes()[:at])
    with pytest.raises(UserError, match=r"reference\.npz is damaged"):
        Reference.read(path)


def test_values_that_mean_nothing_are_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    fitted = reference(np.random.default_rng(0))
    for wrong in (
        {"variance": -fitted.variance},
        {"mean": fitted.mean[:, 1:]},
        {"residual": np.array(np.nan)},
    ):
        fitted._replace(**wrong).write(path)
        with pytest.raises(UserError, match=r"reference\.npz is damaged"):
            Reference.read(path)


def test_a_run_describes_its_training_clips(trained: Trained) -> None:
    told = Reference.read(trained.run / "reference.npz")
    assert told.conditions.shape == (2, 3)
    assert len(told.validation) == 2, "two source groups in validation"
