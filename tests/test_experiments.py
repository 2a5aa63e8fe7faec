"""Every experiment is composed, built, learns one step and writes its files; the recipe is as published."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning import seed_everything
from omegaconf import DictConfig, OmegaConf

from dfdc_lightning.callbacks.gradual_unfreeze import GradualUnfreeze
from dfdc_lightning.losses import FocalLoss, SmoothedBCE
from dfdc_lightning.models.frame import FrameDetector
from dfdc_lightning.models.sequence import SequenceDetector

CONF = Path(__file__).parents[1] / "conf"
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
OF_THE_STUDY = {"baseline", "jpeg", "focal", "effnet", "lstm"}


def experiment(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(
            "train",
            [
                f"experiment={name}",
                f"name={name}",
                "model.backbone.pretrained=false",
                "logger=none",
                *overrides,
            ],
        )


def flat(config: DictConfig) -> dict[str, Any]:
    def walk(node: Any, path: str) -> dict[str, Any]:
        if isinstance(node, dict):
            return {k: v for key, child in node.items() for k, v in walk(child, f"{path}.{key}").items()}
        return {path[1:]: node}

    return walk(OmegaConf.to_container(config, resolve=True), "")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_learns_one_step_and_writes_its_files(
    name: str, tiny_cache: Path, tmp_path: Path
) -> None:
    config = experiment(
        name,
        f"data.cache={tiny_cache}",
        "data.batch_size=2",
        "trainer.max_epochs=1",
        "+trainer.limit_train_batches=1",
        "trainer.accelerator=cpu",
    )
    seed_everything(0, verbose=False)
    detector, data = instantiate(config.model), instantiate(config.data)
    callbacks = [instantiate(callback) for callback in config.callbacks.values()]
    trainer = instantiate(config.trainer, default_root_dir=str(tmp_path), callbacks=callbacks, logger=False)
    before = detector.head.weight.detach().clone()
    trainer.fit(detector, datamodule=data)
    trainer.validate(detector, datamodule=data, verbose=False)
    trainer.test(detector, datamodule=data, verbose=False)
    assert not torch.equal(detector.head.weight, before)
    with (tmp_path / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert int(row["trainable_parameters"]) == sum(
        p.numel() for p in detector.parameters() if p.requires_grad
    )
    with (tmp_path / "predictions.csv").open() as file:
        predictions = list(csv.DictReader(file))
    assert len(predictions) == 16
    assert ("score_frame_0" in predictions[0]) == isinstance(detector, FrameDetector)
    assert all((tmp_path / "checkpoints" / f"{kind}.ckpt").is_file() for kind in ("best", "last"))


def test_the_studys_recipe_is_to_the_letter() -> None:
    recipe = flat(experiment("baseline"))
    expected = {
        "model.optimizer._target_": "torch.optim.AdamW",
        "model.optimizer.lr": 3e-4,
        "model.optimizer.betas": [0.9, 0.999],
        "model.scheduler._target_": "torch.optim.lr_scheduler.CosineAnnealingLR",
        "model.scheduler.T_max": 10,
        "trainer.max_epochs": 10,
        "data.batch_size": 32,
        "trainer.accumulate_grad_batches": 1,
        "model.loss.smoothing": 0.005,
        "model.threshold": 0.6,
        "model.backbone.name": "legacy_xception",
        "model.trainable_layers": 18,
        "model.mean": [0.485, 0.456, 0.406],
        "model.std": [0.229, 0.224, 0.225],
        "monitor": "val/auroc",
    }
    assert {key: recipe[key] for key in expected} == expected
    assert "check_val_every_n_epoch" not in str(recipe)  # Lightning's default: every epoch
    changing = {"clip", "limit", "overfit", "fast_dev", "swa", "min_epochs", "max_steps", "max_time"}
    assert not [key for key in recipe if key.startswith("trainer.") and any(word in key for word in changing)]
    assert recipe["trainer.devices"] == 1, "auto would split a run over several GPUs"
    schedule = {key for key in recipe if key.startswith("model.scheduler.")}
    assert schedule == {f"model.scheduler.{key}" for key in ("_target_", "_partial_", "T_max")}, (
        "it ends at 0"
    )
    assert recipe.get("model.optimizer.weight_decay", 0.01) == 0.01


def test_the_focal_and_lstm_recipes_are_to_the_letter() -> None:
    focal = flat(experiment("focal"))
    assert (focal["model.loss.alpha"], focal["model.loss.gamma"]) == (0.25, 2.0)
    assert flat(experiment("lstm"))["model.hidden"] == 256
    lstm = instantiate(experiment("lstm", "model.backbone.name=test_resnet").model).lstm
    assert (lstm.hidden_size, lstm.num_layers, lstm.bidirectional) == (256, 1, True)


def test_the_recipe_of_the_face_cache_is_to_the_letter() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        recipe = compose("prepare_faces", ["out=faces", "source.path=videos"])
    assert (recipe.per_label, recipe.frames, recipe.size) == (1568, 10, 224)
    assert (recipe.margin, recipe.smoothing) == (0.333333, 0.7)
    assert recipe.split.fractions == {"train": 0.8, "val": 0.1, "test": 0.1}


def test_the_recipe_of_augmentation_is_to_the_letter() -> None:
    written = [
        (step._target_.rsplit(".", 1)[1], {k: v for k, v in step.items() if k != "_target_"})
        for step in steps("baseline")
    ]
    assert written == [
        ("HorizontalFlip", {"p": 0.5}),
        ("GaussianBlur", {"kernel": 3, "sigma": [0.1, 1.5]}),
        ("ColourJitter", {"brightness": 0.1, "contrast": 0.1, "saturation": 0.1}),
        ("RandomResizedCrop", {"size": None, "scale": [0.8, 1.0], "ratio": [0.9, 1.1]}),
        ("RandomErasing", {"p": 0.7, "scale": [0.02, 0.1], "ratio": [0.3, 3.3]}),
    ]


def steps(name: str) -> list[DictConfig]:
    recipe = experiment(name).data.augment
    return [recipe[key] for key in recipe if key != "_target_" and recipe[key] is not None]


def differences(name: str) -> set[str]:
    base, other = flat(experiment("baseline")), flat(experiment(name))
    return {key for key in base.keys() | other.keys() if base.get(key) != other.get(key)} - {"name"}


def test_experiments_differ_from_baseline_in_what_they_ask_and_in_nothing_else() -> None:
    loss = {f"model.loss.{key}" for key in ("_target_", "smoothing", "alpha", "gamma")}
    lstm = {"model._target_", "model.hidden"}
    assert differences("jpeg") == {"data.augment.jpeg._target_", "data.augment.jpeg.quality"}
    assert differences("focal") == loss
    assert differences("lstm") == lstm
    assert differences("lstm_focal") == lstm | loss
    assert differences("lstm_15") == lstm | {"trainer.max_epochs", "model.scheduler.T_max"}
    assert differences("statpool") == lstm
    unfreeze = {f"callbacks.gradual_unfreeze.{key}" for key in ("_target_", "epochs")}
    assert differences("effnet") == {"model.backbone.name"} | unfreeze


def test_a_sixth_experiment_may_write_a_whole_number() -> None:
    assert instantiate(experiment("focal", "model.loss.gamma=4").model.loss).gamma == 4


def test_jpeg_differs_from_the_recipe_by_one_step() -> None:
    paper, jpeg = steps("baseline"), steps("jpeg")
    (added,) = [step for step in jpeg if step not in paper]
    assert [step for step in jpeg if step in paper] == paper
    assert jpeg.index(added) == 4  # before the erasing
    assert added == {"_target_": "dfdc_lightning.augment.Jpeg", "quality": [10, 50]}


@pytest.mark.parametrize(
    ("name", "detector", "loss"),
    [
        ("baseline", FrameDetector, SmoothedBCE),
        ("focal", FrameDetector, FocalLoss),
        ("lstm_focal", SequenceDetector, FocalLoss),
    ],
)
def test_groups_end_up_in_the_detector(name: str, detector: type, loss: type) -> None:
    built = instantiate(experiment(name, "normalize=backbone").model)
    assert type(built) is detector
    assert type(built.loss) is loss
    assert built._mean.flatten().tolist() == [127.5] * 3  # Xception's own
    assert isinstance(built.configure_optimizers()["optimizer"], torch.optim.AdamW)


def test_effnet_opens_18_layers_by_thirds() -> None:
    config = experiment("effnet")
    callback = instantiate(config.callbacks.gradual_unfreeze)
    assert isinstance(callback, GradualUnfreeze)
    opened = [callback.open_at(epoch, config.model.trainable_layers) for epoch in range(10)]
    assert opened == [6, 12] + 8 * [18]
    assert next(iter(config.callbacks)) == "gradual_unfreeze"
