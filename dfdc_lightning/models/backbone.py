"""A timm network without its classifier, with ImageNet weights, weights of a local file, or none."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dfdc_lightning.errors import UserError

_SHOWN = 8  # mismatching keys listed in an error before "and n more"


def timm_backbone(name: str, pretrained: bool = True, weights: str | Path | None = None) -> nn.Module:
    """Build a backbone that turns images (b, 3, h, w) into features (b, f).

    Args:
        name: timm's name of the network.
        pretrained: ImageNet weights through timm, which downloads them once. Without effect beside `weights`.
        weights: A local `.safetensors` or `.pth` file of the network's state, with or without its classifier.

    Raises:
        UserError: When the name is unknown, weights cannot be fetched, or the file is of another network.
    """
    if not timm.is_model(name):
        close = get_close_matches(name, timm.list_models(), n=5, cutoff=0.0)
        raise UserError(
            f"model.backbone.name={name} is unknown to timm {timm.__version__}; close: {', '.join(close)}"
        )
    fetch = weights is None and pretrained
    backbone: nn.Module = _fetch(name) if fetch else timm.create_model(name, num_classes=0)
    if weights is not None:
        _load(backbone, Path(weights))
    return backbone


def _fetch(name: str) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=True, num_classes=0)  # type: ignore[no-any-return]
    except Exception as error:  # timm downloads in several ways, each with errors of its own, and one remedy
        raise UserError(
            f"the ImageNet weights of {name} could not be fetched ({error}): give them as a file "
            "(model.backbone.weights=PATH) or start without (model.backbone.pretrained=false)"
        ) from error


def _load(backbone: nn.Module, path: Path) -> None:
    state = _read(path)
    configuration: Any = backbone.pretrained_cfg
    classifier = f"{configuration['classifier']}."
    state = {key: value for key, value in state.items() if not key.startswith(classifier)}
    own = backbone.state_dict()
    wrong = [
        f"{key} is missing" for key in own if key not in state and not key.endswith("num_batches_tracked")
    ]
    wrong += [f"{key} is not part of the network" for key in state if key not in own]
    wrong += [
        f"{key} has the shape {tuple(state[key].shape)}, expected {tuple(value.shape)}"
        for key, value in own.items()
        if key in state and state[key].shape != value.shape
    ]
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise UserError(f"{path} does not hold this backbone: {'; '.join(wrong[:_SHOWN])}{more}")
    backbone.load_state_dict(state, strict=False)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"model.backbone.weights={path} does not exist")
    try:
        state = (
            load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        )
    except Exception as error:  # a damaged file fails in whichever way its first wrong byte happens to
        raise UserError(
            f"{path} cannot be read as weights ({type(error).__name__}): fetch it again"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path} holds no network weights: expected names and tensors")
    return state
