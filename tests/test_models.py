"""Detectors and their backbones: weights, normalisation, the one rule for scores, what trains."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from dfdc_lightning.errors import UserError
from dfdc_lightning.losses import SmoothedBCE
from dfdc_lightning.models.backbone import timm_backbone
from dfdc_lightning.models.detector import Detector, probabilities, scores
from dfdc_lightning.models.frame import FrameDetector
from dfdc_lightning.models.sequence import SequenceDetector
from dfdc_lightning.models.statpool import StatisticsPoolingDetector

NAME = "test_efficientnet"  # timm's own, made for tests


def training(**differences: Any) -> dict[str, Any]:
    return {
        "loss": SmoothedBCE(0.005),
        "optimizer": partial(torch.optim.AdamW, lr=1e-3),
        "scheduler": partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=2),
        "trainable_layers": None,
        "threshold": 0.6,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    } | differences


def frame_detector(**differences: Any) -> FrameDetector:
    torch.manual_seed(0)
    return FrameDetector(timm_backbone(NAME, pretrained=False), **training(**differences)).eval()


def sequence_detector(**differences: Any) -> SequenceDetector:
    torch.manual_seed(0)
    return SequenceDetector(timm_backbone(NAME, pretrained=False), hidden=8, **training(**differences)).eval()


def statpool_detector(**differences: Any) -> StatisticsPoolingDetector:
    torch.manual_seed(0)
    backbone = timm_backbone(NAME, pretrained=False)
    return StatisticsPoolingDetector(backbone, hidden=8, **training(**differences)).eval()


@pytest.fixture
def faces() -> torch.Tensor:
    return torch.randint(
        0, 256, (2, 3, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def test_a_frame_detector_judges_every_frame_for_itself(faces: torch.Tensor) -> None:
    detector = frame_detector()
    logits = detector(faces)
    assert logits.shape == (2, 3)
    assert torch.allclose(detector(faces[:1, 1:2]), logits[:1, 1:2], atol=1e-5)


def test_a_sequence_detector_depends_on_the_order_of_frames(faces: torch.Tensor) -> None:
    detector = sequence_detector()
    assert detector(faces).shape == (2, 1)
    assert not torch.allclose(detector(faces), detector(faces[:, [2, 0, 1]]), atol=1e-7)


@pytest.mark.parametrize("make", [sequence_detector, statpool_detector])
def test_what_the_frames_add_makes_up_the_logit_of_a_clip(
    make: Callable[[], Detector], faces: torch.Tensor
) -> None:
    detector = make()
    assert torch.allclose(detector.frame_logits(faces).mean(1), detector(faces)[:, 0], atol=1e-6)


def spread_features() -> torch.Tensor:
    return torch.randn(5, 7, 32, generator=torch.Generator().manual_seed(0)).double()


def test_statistics_pooling_depends_on_the_frames_and_not_on_their_order() -> None:
    detector, features = statpool_detector_on(32), spread_features()
    logits = detector.pooled(detector.head_logits(features))
    assert torch.allclose(detector.pooled(detector.head_logits(features[:, torch.randperm(7)])), logits)
    same_mean = features.mean(1, keepdim=True) + 2 * (features - features.mean(1, keepdim=True))
    assert not torch.allclose(detector.pooled(detector.head_logits(same_mean)), logits, atol=1e-2)


def test_statistics_pooling_is_the_head_on_mean_and_standard_deviation() -> None:
    detector, features = statpool_detector_on(32), spread_features()
    statistics = torch.cat([features.mean(1), features.std(1, correction=0)], 1)
    expected = detector.head(detector.hidden(statistics).relu())
    assert torch.allclose(detector.pooled(detector.head_logits(features)), expected)


def test_a_frame_adds_to_statistics_pooling_what_its_weight_changes() -> None:
    detector, features, step = statpool_detector_on(32), spread_features()[:1], 1e-6

    def logit(weights: torch.Tensor) -> float:
        mean = (weights @ features[0]) / weights.sum()
        variance = (weights @ (features[0] - mean).square()) / weights.sum()
        return float(detector.head(detector.hidden(torch.cat([mean, variance.sqrt()])).relu()).detach())

    adds = detector.head_logits(features)[0] - logit(torch.ones(7).double())
    for frame in range(7):
        heavier = torch.ones(7).double()
        heavier[frame] += step
        assert (logit(heavier) - logit(torch.ones(7).double())) / step * 7 == pytest.approx(
            adds[frame].item(), abs=1e-4
        )


@pytest.mark.parametrize("frames", [1, 3])
def test_gradients_of_statistics_pooling_flow_and_stay_finite(frames: int) -> None:
    detector, features = statpool_detector_on(32), spread_features()[:, :1].repeat(1, frames, 1)
    features[1:] += torch.randn(4, frames, 32)  # the first clip stands still: its deviation is 0
    detector.pooled(detector.head_logits(features.requires_grad_())).sum().backward()
    for values in (features.grad, detector.hidden.weight.grad, detector.head.weight.grad):
        assert values is not None and values.isfinite().all() and values.abs().sum() > 0


def statpool_detector_on(width: int) -> StatisticsPoolingDetector:
    detector = statpool_detector().double()
    detector.hidden = nn.Linear(2 * width, 16).double()
    detector.head = nn.Linear(16, 1).double()
    return detector


def test_a_detector_states_its_level_and_one_frame_changes_nothing(faces: torch.Tensor) -> None:
    one = faces[:, :1]
    frames, clips = frame_detector(), sequence_detector()
    assert (frames.level, clips.level) == ("frame", "clip")
    assert frames(one).shape == clips(one).shape == (2, 1)


def test_the_score_of_a_clip_is_the_mean_of_its_frames_probabilities() -> None:
    logits = torch.tensor([[0.0, 2.0], [-30.0, 30.0]])
    assert scores(logits).tolist() == pytest.approx([(0.5 + 1 / (1 + np.exp(-2))) / 2, 0.5])


def test_half_precision_does_not_saturate_scores() -> None:
    assert probabilities(torch.tensor([[9.0]], dtype=torch.bfloat16)).item() < 1


def seen(detector: Detector, faces: torch.Tensor) -> torch.Tensor:
    images: list[torch.Tensor] = []
    detector.backbone.register_forward_pre_hook(lambda _, inputs: images.append(inputs[0]))
    detector(faces)
    return images[0]


def test_normalisation_is_imagenets_as_given(faces: torch.Tensor) -> None:
    expected = (faces.flatten(0, 1) / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    assert torch.allclose(seen(frame_detector(), faces), expected, atol=1e-5)


def test_normalisation_can_be_the_backbones_own(faces: torch.Tensor) -> None:
    torch.manual_seed(0)
    backbone = timm.create_model("legacy_xception", num_classes=0)
    detector = FrameDetector(backbone, **training(mean=None, std=None)).eval()
    assert torch.allclose(seen(detector, faces), faces.flatten(0, 1) / 127.5 - 1, atol=1e-5)


def test_the_head_may_learn_at_a_rate_of_its_own() -> None:
    detector = frame_detector(head_lr=3e-3, trainable_layers=2)
    backbone, head = detector.configure_optimizers()["optimizer"].param_groups
    assert (backbone["lr"], head["lr"]) == (1e-3, 3e-3)
    assert {id(p) for p in head["params"]} == {id(p) for p in detector.head.parameters()}
    assert {id(p) for p in backbone["params"]} <= {id(p) for p in detector.backbone.parameters()}
    with pytest.raises(UserError, match=r"model.head_lr must be a number above 0 \(got 0\)"):
        frame_detector(head_lr=0)


def test_the_optimiser_is_given_what_will_ever_train_and_nothing_else() -> None:
    detector = sequence_detector(trainable_layers=5)
    detector.open_layers(2)
    given = {
        id(p) for group in detector.configure_optimizers()["optimizer"].param_groups for p in group["params"]
    }
    last_5 = {id(p) for layer in detector.layers[-5:] for p in layer.module.parameters(recurse=False)}
    above = {id(p) for module in (detector.lstm, detector.head) for p in module.parameters()}
    assert given == last_5 | above


def test_frozen_parts_keep_inferring_when_the_detector_trains() -> None:
    detector = frame_detector(trainable_layers=3).train()
    norms = [layer.module for layer in detector.layers if isinstance(layer.module, nn.BatchNorm2d)]
    assert [norm.training for norm in norms] == [norm.weight.requires_grad for norm in norms]
    assert detector.head.training
    assert not any(module.training for module in detector.eval().modules())


def test_what_is_closed_while_the_detector_trains_infers_from_then_on() -> None:
    detector = frame_detector().train()
    norms = [layer.module for layer in detector.layers if isinstance(layer.module, nn.BatchNorm2d)]
    for n in (len(detector.layers), 3, 6):
        detector.open_layers(n)
        assert [norm.training for norm in norms] == [norm.weight.requires_grad for norm in norms]


@pytest.mark.parametrize("n", [-1, 10_000])
def test_an_impossible_number_of_layers_is_refused(n: int) -> None:
    with pytest.raises(UserError, match=rf"model.trainable_layers must be .* or null \(got {n}\)"):
        frame_detector(trainable_layers=n)


def test_the_last_map_is_what_goes_into_the_pooling() -> None:
    detector = frame_detector()
    assert detector.last_map.module is detector.backbone.bn2


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    return timm.create_model(NAME, num_classes=10).state_dict()  # with a classifier, as published files have


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_come_from_a_local_file(tmp_path: Path, state: dict[str, torch.Tensor], suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    loaded = timm_backbone(NAME, pretrained=True, weights=path).state_dict()
    assert loaded
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())


def test_weights_of_another_network_are_named_key_by_key(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    del state["conv_stem.weight"]
    state["extra.weight"] = torch.zeros(1)
    state["bn1.weight"] = torch.zeros(3)
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    with pytest.raises(UserError) as error:
        timm_backbone(NAME, weights=tmp_path / "w.pth")
    message = str(error.value)
    assert "w.pth" in message
    assert "conv_stem.weight is missing" in message
    assert "extra.weight is not part of the network" in message
    assert "bn1.weight has the shape (3,), expected" in message


class Evil:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("evil_was_here"),))


@pytest.mark.parametrize("content", ["nothing", "noise", "evil", "number"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_without_weights_gets_a_sentence_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"w{suffix}"
    if content in ("evil", "number"):
        torch.save({"a": Evil()} if content == "evil" else 3, path)
    else:
        path.write_bytes(b"" if content == "nothing" else np.random.default_rng(0).bytes(5000))
    with pytest.raises(UserError, match=path.name):
        timm_backbone(NAME, weights=path)
    assert not (tmp_path / "evil_was_here").exists()


def test_a_missing_file_and_an_unknown_name_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"weights=.*w.pth does not exist.*folder of such files"):
        timm_backbone(NAME, weights=tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"model.backbone.name=resnet9000 is unknown.*close: .*resnet"):
        timm_backbone("resnet9000", pretrained=False)


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("legacy_xception", "weights=PATH"),  # from an address
        ("efficientnet_b3", "weights=PATH"),  # from the hub
        ("tf_efficientnet_lite0", r"weights=package.*dfdc-lightning\[weights\]"),
    ],
)
def test_a_hub_that_cannot_be_reached_is_one_sentence_without_noise(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
    way_out: str,
) -> None:
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(
        UserError, match=rf"weights of {name} could not be fetched.*{way_out}.*pretrained=false"
    ):
        timm_backbone(name)
    assert capfd.readouterr() == ("", "")
