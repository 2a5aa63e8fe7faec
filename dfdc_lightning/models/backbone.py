"""A timm network without its classifier, with ImageNet weights, weights of a local file, or none."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dfdc_lightning.errors import UserError
from dfdc_lightning.models.hub import cached, no_answer, unfetched
from dfdc_lightning.models.weights import (
    Wanted,
    in_timms_order,
    sha256_of,
    weights_file,
)

_SHOWN = 8  # mismatching keys listed in an error before "and n more"


def timm_backbone(name: str, pretrained: bool = True, weights: Wanted = None, **options: Any) -> nn.Module:
    """Build a backbone that turns images (b, 3, h, w) into features (b, f).

    Its attribute `weights_origin` says where its weights are from (`source`, `file`, `sha256`).

    Args:
        name: timm's name of the network.
        pretrained: ImageNet weights through timm, which downloads them once. Without effect beside `weights`.
        weights: Where its weights are, see `weights_file`; a file may hold the network with its classifier.
        **options: What else the network's constructor takes: a vision transformer's `img_size`, say.

    Raises:
        UserError: When the name or an option is unknown, weights cannot be fetched, or the file is of another
            network.
    """
    if not timm.is_model(name):
        close = get_close_matches(name, timm.list_models(), n=5, cutoff=0.0)
        raise UserError(
            f"model.backbone.name={name} is unknown to timm {timm.__version__}; close: {', '.join(close)}"
        )
    path = weights_file(name, weights)
    if path is None and pretrained:
        return _fetched(name, options)
    try:
        backbone: nn.Module = timm.create_model(name, num_classes=0, **options)
    except TypeError as error:
        raise UserError(f"model.backbone: {name} cannot be built with {options} ({error})") from error
    if path is not None:
        _load(backbone, path, in_timms_order(name, path))
    return _with_origin(backbone, "file" if path else "none", path)


def _with_origin(backbone: nn.Module, source: str, path: Path | None) -> nn.Module:
    origin = {
        "source": source,
        "file": path.name if path else "",
        "sha256": sha256_of(path) if path else "",
    }
    backbone.weights_origin = origin  # type: ignore[assignment]
    return backbone


def _fetched(name: str, options: dict[str, Any]) -> nn.Module:
    configuration = timm.get_pretrained_cfg(name)
    if configuration is None or not (configuration.hf_hub_id or configuration.url):
        raise UserError(
            f"timm knows no ImageNet weights of {name}: give a file (weights=PATH) or start without "
            "(model.backbone.pretrained=false)"
        )
    here = cached(configuration)
    if here is None and (reason := no_answer(configuration)):
        raise unfetched(name, reason)
    try:
        backbone: nn.Module = timm.create_model(name, pretrained=True, num_classes=0, **options)
    except Exception as error:  # timm downloads in several ways, each with errors of its own, and one remedy
        raise unfetched(name, error) from error
    return _with_origin(backbone, "hub", cached(configuration))


def _load(backbone: nn.Module, path: Path, in_order: bool) -> None:
    state = _read(path)
    if in_order:
        state = dict(zip(_tensors(backbone.state_dict()), _tensors(state).values(), strict=False))
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


def _tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the counters of batches, which not every file has."""
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def _read(path: Path) -> dict[str, Tensor]:
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
