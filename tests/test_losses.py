"""Losses: the conventions of their parameters, one logit a clip or many."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from dfdc_lightning.losses import FocalLoss, SmoothedBCE, alignment, uniformity


def test_smoothing_by_0_005_means_targets_of_0_995_and_0_005() -> None:
    logits = torch.tensor([[2.0], [-1.0]])
    p = torch.sigmoid(logits).flatten().tolist()
    by_hand = -(0.995 * math.log(p[0]) + 0.005 * math.log(1 - p[0]))
    by_hand -= 0.005 * math.log(p[1]) + 0.995 * math.log(1 - p[1])
    assert SmoothedBCE(0.005)(logits, torch.tensor([1.0, 0.0])).item() == pytest.approx(by_hand / 2, rel=1e-6)


def test_the_smoothed_loss_is_least_where_the_sigmoid_is_0_995() -> None:
    best = math.log(0.995 / 0.005)
    loss = SmoothedBCE(0.005)
    least = loss(torch.tensor([[best]]), torch.ones(1))
    assert least < loss(torch.tensor([[best + 0.5]]), torch.ones(1))
    assert least < loss(torch.tensor([[best - 0.5]]), torch.ones(1))


def test_focal_loss_is_torchvisions_mean() -> None:
    logits, label = torch.randn(6, 10), torch.tensor([1.0, 0, 1, 1, 0, 0])
    theirs = sigmoid_focal_loss(logits, label[:, None].expand(6, 10), 0.25, 2, "mean")
    assert torch.equal(FocalLoss(0.25, 2.0)(logits, label), theirs)


def test_focal_loss_without_focus_is_weighted_cross_entropy() -> None:
    logits, label = torch.randn(8, 1), torch.tensor([1.0, 0, 1, 1, 0, 0, 0, 1])
    weight = torch.where(label == 1, 0.25, 0.75)[:, None]
    expected = F.binary_cross_entropy_with_logits(logits, label[:, None], weight)
    assert FocalLoss(0.25, 0.0)(logits, label).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("loss", [SmoothedBCE(0.005), FocalLoss(0.25, 2.0)])
def test_every_frame_is_compared_with_the_label_of_its_clip(loss: torch.nn.Module) -> None:
    logits, label = torch.randn(4, 10), torch.tensor([1.0, 0, 1, 0])
    one_by_one = [loss(logits[:, [k]], label) for k in range(10)]
    assert loss(logits, label).item() == pytest.approx(torch.stack(one_by_one).mean().item(), rel=1e-5)


@pytest.mark.parametrize("loss", [SmoothedBCE(0.005), FocalLoss(0.25, 2.0)])
def test_half_precision_logits_lose_nothing(loss: torch.nn.Module) -> None:
    logits = torch.tensor([[30.0], [-30.0]], dtype=torch.bfloat16)
    label = torch.tensor([0.0, 1.0])
    assert loss(logits, label).item() == pytest.approx(loss(logits.float(), label).item())


def test_alignment_and_uniformity_are_the_published_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.nn.functional.normalize(
        torch.randn(12, 5, generator=generator, dtype=torch.float64), dim=1
    )
    label = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    same, potentials = [], []
    for i, j in itertools.combinations(range(12), 2):
        distance = sum((float(a) - float(b)) ** 2 for a, b in zip(features[i], features[j], strict=True))
        potentials.append(math.exp(-2 * distance))
        if label[i] == label[j]:
            same.append(distance)
    assert alignment(features, label).item() == pytest.approx(sum(same) / len(same), abs=1e-6)
    expected = math.log(sum(potentials) / len(potentials))
    assert uniformity(features).item() == pytest.approx(expected, abs=1e-6)


def test_alignment_without_two_of_a_label_is_0() -> None:
    assert alignment(torch.eye(2), torch.tensor([0.0, 1.0])) == 0
