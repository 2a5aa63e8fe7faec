"""Metrics equal scikit-learn's; a set with one label is refused."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score, roc_curve

from dfdc_lightning.errors import UserError
from dfdc_lightning.metrics import frame_metrics, video_metrics


def eer(label: np.ndarray, score: np.ndarray) -> float:
    """(FPR + FNR) / 2 where they differ least, the highest threshold first."""
    fpr, tpr, _ = roc_curve(label, score, drop_intermediate=False)
    at = np.argmin(np.round(np.abs(fpr - (1 - tpr)), 12))  # equal up to rounding errors is equal
    return float((fpr[at] + 1 - tpr[at]) / 2)


def reference(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    return {
        "auroc": roc_auc_score(label, score),
        "accuracy": accuracy_score(label, score > 0.6),
        "f1": f1_score(label, score > 0.6),
        "eer": eer(label, score),
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [0, 5])
def test_video_metrics_equal_scikit_learns(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    label = np.r_[0, 1, rng.integers(0, 2, 61)]
    score = (1 / (1 + np.exp(-rng.normal(label, 1.5)))).astype(np.float32)
    if levels:  # many ties
        score = np.round(score * levels) / np.float32(levels)
    metrics = video_metrics(0.6).clone("val/")
    for part in np.array_split(np.arange(len(label)), 4):
        metrics.update(torch.from_numpy(score[part]), torch.from_numpy(label[part]))
    ours = metrics.compute()
    assert ours.keys() == {"val/auroc", "val/accuracy", "val/f1", "val/eer"}
    for name, value in reference(label, score).items():
        assert ours[f"val/{name}"].item() == pytest.approx(value, abs=1e-6), name


def test_frame_auroc_equals_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    label = np.arange(12) % 2
    score = rng.random((12, 10)).astype(np.float32)
    metrics = frame_metrics()
    metrics.update(torch.from_numpy(score), torch.from_numpy(label)[:, None].expand(12, 10))
    expected = roc_auc_score(label.repeat(10), score.flatten())
    assert metrics.compute()["frame_auroc"].item() == pytest.approx(expected, abs=1e-6)


def test_a_score_on_the_threshold_is_called_real() -> None:
    metrics = video_metrics(0.5)
    metrics.update(torch.tensor([0.5, 0.75]), torch.tensor([0, 1]))
    assert metrics.compute()["accuracy"] == 1


@pytest.mark.parametrize(("label", "name"), [(0, "REAL"), (1, "FAKE")])
def test_a_set_with_one_label_is_refused(label: int, name: str) -> None:
    metrics = video_metrics(0.6).clone("test/")
    metrics.update(torch.tensor([0.2, 0.9, 0.4]), torch.full((3,), label))
    with pytest.raises(UserError, match=f"all 3 labels of test are {name}"):
        metrics.compute()


def test_nothing_is_measured_from_a_score_that_is_not_finite() -> None:
    for metrics in (video_metrics(0.5).clone("val/"), frame_metrics()):
        metrics.update(torch.tensor([0.2, 0.9, float("nan"), 0.4]), torch.tensor([0, 1, 1, 0]))
        with pytest.raises(UserError, match="a score of (val|the set) is not finite"):
            metrics.compute()


def test_a_clone_shares_nothing_with_its_source() -> None:
    metrics = video_metrics(0.6)
    metrics.clone("val/").update(torch.tensor([0.2, 0.9]), torch.tensor([0, 1]))
    assert not any(metric.update_called for metric in metrics.values())
