"""What experiments change beside loss and network: mixing, parts cut out, warm-up, detectors of time."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from drawn import draw_clip

from dfdc_lightning.augment import Augment, HorizontalFlip
from dfdc_lightning.callbacks.mixup import mix
from dfdc_lightning.clips import Clip
from dfdc_lightning.cutout import PARTS, FaceCutout
from dfdc_lightning.errors import UserError
from dfdc_lightning.losses import SmoothedBCE
from dfdc_lightning.models.backbone import timm_backbone
from dfdc_lightning.models.neighbours import NeighbourDetector, between_neighbours
from dfdc_lightning.models.schedules import warmed_cosine
from dfdc_lightning.models.sphere import SphereDetector
from dfdc_lightning.models.temporal_transformer import TemporalTransformerDetector, places


def training(**differences: Any) -> dict[str, Any]:
    return {
        "loss": SmoothedBCE(0.005),
        "optimizer": partial(torch.optim.AdamW, lr=1e-3),
        "scheduler": partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=2),
        "trainable_layers": None,
        "threshold": 0.6,
        "mean": None,
        "std": None,
    } | differences


def backbone() -> torch.nn.Module:
    return timm_backbone("test_efficientnet", pretrained=False)


def batch() -> Clip:
    faces = torch.arange(4, dtype=torch.uint8).mul(60)[:, None, None, None, None].expand(4, 3, 3, 2, 2)
    return Clip(faces.clone(), torch.tensor([0.0, 1.0, 0.0, 1.0]), ["a", "b", "c", "d"])


def test_mixup_mixes_all_frames_of_a_clip_and_its_label_with_one_weight() -> None:
    mixed, plain = batch(), batch()
    mix(mixed, 1.0, [0, 1, 2])
    assert (mixed.faces == mixed.faces[:, :1, :1, :1, :1]).all(), "a clip of equal frames stays one"
    assert not torch.equal(mixed.faces, plain.faces)
    for index in range(4):
        value, label = float(mixed.faces[index, 0, 0, 0, 0]), float(mixed.label[index])
        own, own_label = 60.0 * index, float(plain.label[index])
        partners = [other for other in range(4) if other != index and value != own]
        fits = []
        for other in partners:
            weight = (value - 60.0 * other) / (own - 60.0 * other)
            expected = weight * own_label + (1 - weight) * float(plain.label[other])
            fits.append(0.49 <= weight <= 1 and math.isclose(label, expected, abs_tol=0.02))
        assert any(fits) or value == pytest.approx(own, abs=1)


def test_mixup_follows_from_its_seeds() -> None:
    one, same, other = batch(), batch(), batch()
    mix(one, 0.5, [0, 1, 2])
    mix(same, 0.5, [0, 1, 2])
    mix(other, 0.5, [0, 2, 2])
    assert torch.equal(one.faces, same.faces) and torch.equal(one.label, same.label)
    assert not torch.equal(one.label, other.label)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_cut_out_where_the_landmarks_say(part: str) -> None:
    clip = draw_clip("somebody", False, 3, 64)
    assert clip.landmarks is not None
    augment = Augment(cutout=FaceCutout(1.0, (part,)))
    cut = augment(clip.faces, [0, 0, 0], clip.landmarks)
    black = (cut == 0).all(axis=1)
    for frame, (left_eye, right_eye, nose, *corners) in zip(black, clip.landmarks, strict=True):
        mouth = np.mean(corners, axis=0)
        shown = {
            name: not frame[round(float(y)), round(float(x))]
            for name, (x, y) in {"l": left_eye, "r": right_eye, "nose": nose + [0, 3], "mouth": mouth}.items()
        }
        hidden = {
            "eyes": {"l", "r"}, "nose": {"nose"}, "mouth": {"mouth"}, "left": {"l"}, "right": {"r"},
            "upper": {"l", "r"}, "lower": {"mouth"},
        }[part]  # fmt: skip
        assert all(not shown[name] for name in hidden)
        assert any(shown[name] for name in {"l", "r", "mouth"} - hidden)


def test_a_step_at_landmarks_comes_before_what_moves_them() -> None:
    Augment(cutout=FaceCutout(0.5), flip=HorizontalFlip(0.5))
    with pytest.raises(UserError, match="flip, cutout must begin with cutout"):
        Augment(flip=HorizontalFlip(0.5), cutout=FaceCutout(0.5))
    with pytest.raises(UserError, match="parts must be one of .*eyes"):
        FaceCutout(0.5, ("ear",))


def test_the_rate_rises_and_falls_to_0() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, rates = warmed_cosine(optimizer, 10, 0.2), []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.1)
    assert rates[0] < rates[1] < rates[2] == pytest.approx(1.0)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)
    with pytest.raises(UserError, match=r"model.scheduler.warmup must be .* below 1 \(got 1\)"):
        warmed_cosine(optimizer, 2, 1)


def test_a_single_epoch_has_no_warm_up() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    warmed_cosine(optimizer, 1, 0.2)
    assert optimizer.param_groups[0]["lr"] == 1.0


def test_places_in_time_are_the_published_ones() -> None:
    found = places(torch.zeros(1, 5, 8))
    for position in range(5):
        for pair in range(4):
            angle = position / 10000 ** (2 * pair / 8)
            assert found[position, 2 * pair] == pytest.approx(math.sin(angle), abs=1e-5)
            assert found[position, 2 * pair + 1] == pytest.approx(math.cos(angle), abs=1e-5)


def test_a_transformer_reads_the_order_and_neighbours_see_who_is_beside_whom() -> None:
    torch.manual_seed(0)
    kinds = (
        TemporalTransformerDetector(backbone(), 16, 1, 2, 0.0, **training()),
        NeighbourDetector(backbone(), 8, **training()),
    )
    for detector in kinds:
        detector.eval()
        features = torch.randn(2, 5, detector.n_features)
        shuffled = features[:, [0, 3, 1, 4, 2]]
        with torch.no_grad():
            one, other = (detector.pooled(detector.head_logits(each)) for each in (features, shuffled))
        assert one.shape == (2, 1)
        assert not torch.allclose(one, other, atol=1e-5), type(detector).__name__


def test_heads_must_share_the_width() -> None:
    with pytest.raises(UserError, match=r"model.width must be a multiple of model.heads=3 \(got 16\)"):
        TemporalTransformerDetector(backbone(), 16, 1, 3, 0.0, **training())


def test_distances_of_neighbours_are_means_over_both_sides() -> None:
    features = torch.tensor([0.0, 1.0, 4.0]).view(1, 3, 1)
    assert between_neighbours(features).flatten().tolist() == [1.0, 2.0, 3.0]
    assert between_neighbours(features[:, :1]).flatten().tolist() == [0.0]


def test_only_layer_norms_and_the_head_train_and_features_lie_on_the_sphere() -> None:
    torch.manual_seed(0)
    vit = timm_backbone("vit_tiny_patch16_224", pretrained=False, dynamic_img_size=True, depth=2)
    detector = SphereDetector(vit, 0.1, 0.5, **training()).train()
    trained = {name for name, parameter in detector.named_parameters() if parameter.requires_grad}
    norms = {name for name, module in detector.named_modules() if isinstance(module, torch.nn.LayerNorm)}
    assert trained == {f"{name}.{kind}" for name in (*norms, "head") for kind in ("weight", "bias")}
    faces = torch.randint(0, 256, (2, 3, 3, 64, 64), dtype=torch.uint8)
    features = detector.features(faces)
    assert torch.allclose(features.norm(dim=-1), torch.ones(2, 3), atol=1e-5)
    before = {name: parameter.clone() for name, parameter in detector.named_parameters()}
    optimizer = detector.configure_optimizers()["optimizer"]
    detector(faces).sum().backward()
    optimizer.step()
    changed = {name for name, parameter in detector.named_parameters() if not parameter.equal(before[name])}
    assert changed <= trained and "head.weight" in changed


def test_a_transformer_names_the_sizes_it_takes_and_a_network_that_has_no_layer_norm() -> None:
    vit = timm_backbone("vit_tiny_patch16_224", pretrained=False, dynamic_img_size=True, depth=1)
    detector = SphereDetector(vit, 0.1, 0.5, **training())
    with pytest.raises(UserError, match=r"multiples of 16 pixels only, the faces have 70 × 70: .*size=64"):
        detector(torch.zeros(1, 1, 3, 70, 70, dtype=torch.uint8))
    with pytest.raises(UserError, match="must be a network with LayerNorms"):
        SphereDetector(backbone(), 0.1, 0.5, **training())
