"""Networks of other kinds than the study's go all the way: train, resume, predict, explain and export."""

from collections.abc import Iterator
from math import isqrt
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import onnxruntime
import pytest
import timm
import torch
from forgeries import Trained, build
from omegaconf import OmegaConf
from test_runs import composed
from torch import nn

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.explain.gradcam import predict_with_maps
from dfdc_lightning.explain.prediction import Prediction
from dfdc_lightning.export import Parity, traced
from dfdc_lightning.faces.cache import FaceCache
from dfdc_lightning.models.backbone import timm_backbone
from dfdc_lightning.predict.predictors import open_predictor
from dfdc_lightning.runs import Run


class Kind(NamedTuple):
    """What is particular to a network.

    Attributes:
        target: The module whose output is the last map by place.
        side: How many places it has along each side of a 48-pixel face.
        options: What makes the network accept small faces.
        shallow: What makes it quick to export, where its constructor allows that.
    """

    target: str
    side: int = 2
    options: dict[str, Any] = {}  # noqa: RUF012
    shallow: dict[str, Any] | None = None


NETWORKS = {
    # Of the patches' tokens, those before the last attention: behind it only the class token counts.
    "vit_tiny_patch16_224": Kind("blocks.{last}.norm1", 3, {"img_size": 48}, {"depth": 2}),
    "convnext_atto": Kind("norm_pre", 1, shallow={"depths": (1, 1, 1, 1)}),
    "mobilenetv4_conv_small": Kind("blocks", shallow={}),  # its last convolution comes after the pooling
    "tf_efficientnet_lite0": Kind("bn2"),
    "legacy_xception": Kind("act4"),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Break(L.Callback):
    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise RuntimeError("broken off")


def train(run: Run, words: list[str], broken_off: bool) -> None:
    """As train.py does, in this process."""
    with composed(*words) as config:
        atomic.write_text(run.folder / ".hydra" / "config.yaml", OmegaConf.to_yaml(config, resolve=True))
        data, detector, trainer = run.objects(config)
    if broken_off:
        trainer.callbacks.append(Break())
        with pytest.raises(RuntimeError, match="broken off"):
            trainer.fit(detector, datamodule=data)
        return
    checkpoint = run.resume_from()
    assert checkpoint is not None
    trainer.fit(detector, datamodule=data, ckpt_path=checkpoint)
    (val,) = trainer.validate(detector, datamodule=data, ckpt_path=run.best, verbose=False)
    (test,) = trainer.test(detector, datamodule=data, ckpt_path=run.best, verbose=False)
    run.finish(trainer, data, {**val, **test})


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_trains_resumes_predicts_and_explains(
    name: str, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = NETWORKS[name]
    words = [f"model.backbone.name={name}", *(f"+model.backbone.{k}={v}" for k, v in kind.options.items())]
    words += [f"data.cache={trained.cache}", "scale=scratch", "augment=none", "model.trainable_layers=5"]
    words += ["trainer.max_epochs=2", "trainer.accelerator=cpu"]
    run = Run(tmp_path / "run")
    train(run, words, broken_off=True)
    train(run, words, broken_off=False)
    assert len(run.epochs()) == 2
    assert "last 5 of the backbone's" in capsys.readouterr().out

    rows = [row for row in FaceCache(trained.cache).rows() if row.split == "test"]
    faces = np.stack([FaceCache(trained.cache).read_faces(row.video) for row in rows])
    said = open_predictor(run.folder).predict(faces, maps=True)
    written = run.predictions.splits["test"]
    scores = dict(zip(written.video, written.score, strict=True))
    assert said.scores == pytest.approx([scores[row.video] for row in rows], abs=1e-5)
    assert said.maps is not None and said.maps.any()
    detector = run.load_detector()
    blocks = getattr(detector.backbone, "blocks", [])
    assert detector.last_map.module is detector.backbone.get_submodule(
        kind.target.format(last=len(blocks) - 1)
    )
    assert said.maps.shape == (len(rows), 4, kind.side, kind.side)


@pytest.mark.parametrize("name", [name for name, kind in NETWORKS.items() if kind.shallow is not None])
def test_a_network_says_the_same_in_onnxruntime(name: str, tmp_path: Path) -> None:
    kind = NETWORKS[name]
    options = {**kind.options, **(kind.shallow or {})}
    side = options.get("img_size", 64)
    faces = np.random.default_rng(0).integers(0, 256, (3, 2, 3, side, side), dtype=np.uint8)
    torch.manual_seed(0)
    detector = build("frame", timm_backbone(name, pretrained=False, **options)).eval()
    traced(detector, faces[:2]).save(tmp_path / "model.onnx", external_data=False)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    said = Prediction(*session.run(list(Prediction._fields), {"faces": faces}))
    parity = Parity(predict_with_maps(detector, faces), said)
    assert max(parity.logit, parity.maps) < 1e-3, str(parity)


def test_the_map_of_a_vision_transformer_has_its_patches_in_place() -> None:
    """A token's place in the map is its patch's in the image: rows first, the class token left out."""
    backbone = timm_backbone("vit_tiny_patch16_224", pretrained=False, img_size=48, depth=2)
    target = build("frame", backbone).last_map
    tokens = torch.arange(10.0).view(1, 10, 1)
    assert target.by_place(tokens).tolist() == [[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]]
    assert isqrt(tokens.shape[1] - 1) == 3


def test_channels_may_come_last() -> None:
    backbone = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, depths=(1, 1, 1, 1))
    target = build("frame", backbone).last_map
    assert target.module is backbone.norm
    assert target.by_place(torch.zeros(2, 7, 7, 768)).shape == (2, 768, 7, 7)


def test_tokens_of_unknown_places_are_refused() -> None:
    with pytest.raises(UserError, match="MlpMixer ends in tokens of unknown places"):
        _ = build("frame", timm.create_model("mixer_s32_224", num_classes=0)).last_map


def test_faces_of_a_size_that_the_network_cannot_take_are_refused() -> None:
    detector = build("frame", timm_backbone("vit_tiny_patch16_224", pretrained=False, depth=1))
    with pytest.raises(UserError, match=r"224 × 224 pixels only, the faces have 64 × 64: set .*img_size=64"):
        detector(torch.zeros(1, 1, 3, 64, 64, dtype=torch.uint8))


def test_an_option_that_a_network_does_not_have_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.backbone: test_resnet cannot be built with .*img_size"):
        timm_backbone("test_resnet", pretrained=False, img_size=64)


def test_a_frozen_block_does_not_freeze_the_open_layers_inside_it() -> None:
    """A ConvNeXt block has a parameter of its own, its scale, beside the layers inside it."""
    detector = build("frame", timm.create_model("test_convnext", num_classes=0), trainable_layers=3)
    opened = {id(p) for p in detector.backbone.parameters() if p.requires_grad}
    expected = {id(p) for layer in detector.layers[-3:] for p in layer.parameters}
    assert opened == expected and len(opened) == 6
    assert [layer.name for layer in detector.layers[-3:]][-1] == "head.norm"
    optimizer = detector.configure_optimizers()["optimizer"]
    given = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert given == expected | {id(p) for p in detector.head.parameters()}


def test_every_parameter_belongs_to_exactly_one_layer_even_if_its_module_is_never_called() -> None:
    class Odd(nn.Module):
        pretrained_cfg = {"input_size": (3, 8, 8), "mean": (0.5,) * 3, "std": (0.5,) * 3}  # noqa: RUF012

        def __init__(self) -> None:
            super().__init__()
            self.late = nn.Linear(192, 4)
            self.read_only = nn.Linear(4, 4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.late(images.flatten(1)) @ self.read_only.weight

    detector = build("frame", Odd())
    assert [layer.name for layer in detector.layers] == ["read_only", "late"]
    assert detector.n_features == 4


def test_faces_too_small_for_a_network_get_a_sentence() -> None:
    detector = build("frame", timm.create_model("test_convnext", num_classes=0))
    with pytest.raises(UserError, match=r"faces of 16 × 16 pixels are too small for the backbone, .*size="):
        detector(torch.zeros(1, 2, 3, 16, 16, dtype=torch.uint8))
