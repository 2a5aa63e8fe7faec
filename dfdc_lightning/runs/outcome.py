"""Gather what a finished run says of itself: scores, data, versions, hardware, configuration."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig, OmegaConf

from dfdc_lightning.machine import cores
from dfdc_lightning.results.epochs import Epoch, best_epoch
from dfdc_lightning.results.result import Result

if TYPE_CHECKING:
    import torch
    from lightning import Trainer

    from dfdc_lightning.clips import FaceDataModule
    from dfdc_lightning.models.detector import Detector

PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "torchmetrics",
    "opencv-python-headless",
    "numpy",
    "hydra-core",
)


def outcome(
    config: DictConfig,
    epochs: Sequence[Epoch],
    trainer: "Trainer",
    data: "FaceDataModule",
    scores: Mapping[str, float],
) -> Result:
    """Gather the result of a run whose best checkpoint has been tested.

    Args:
        config: The run's configuration.
        epochs: The measures of its epochs.
        trainer: What trained and tested the detector.
        data: What the detector saw; gives the provenance.
        scores: `val/…` and `test/…` metrics of the best checkpoint.
    """
    detector = cast("Detector", trainer.lightning_module)
    return Result(
        study=config.study,
        experiment=config.name,
        seed=config.seed,
        level=detector.level,
        test=_with_prefix("test/", scores),
        val=_with_prefix("val/", scores),
        threshold=detector.threshold,
        best_epoch=int(best_epoch(epochs, config.monitor)["epoch"]),
        epochs=len(epochs),
        seconds=sum(epoch["seconds"] for epoch in epochs),
        parameters=sum(p.numel() for p in detector.parameters()),
        trainable_parameters=sum(p.numel() for p in detector.parameters() if p.requires_grad),
        data=data.provenance(),
        versions={"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        hardware=hardware(trainer.strategy.root_device),
        config=cast("dict[str, Any]", OmegaConf.to_container(config)),
        weights=getattr(detector.backbone, "weights_origin", None),  # None: timm_backbone did not build it
        precision=str(trainer.precision),
    )


def _with_prefix(prefix: str, scores: Mapping[str, float]) -> dict[str, float]:
    return {key.removeprefix(prefix): float(value) for key, value in scores.items() if key.startswith(prefix)}


def hardware(device: "torch.device") -> dict[str, Any]:
    """Describe what the run was computed on."""
    import torch

    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device)
        if on_gpu
        else (platform.processor() or platform.machine()),
        "cores": cores(),
        "peak_gpu_memory_bytes": torch.cuda.max_memory_allocated(device) if on_gpu else 0,
    }
