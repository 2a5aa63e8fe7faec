"""Which layers of a backbone train: the last n in the order in which the image passes them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

_PROBE = 64  # side of the image that is sent through, in pixels


class Layer(NamedTuple):
    """A module with parameters of its own: a convolution, a norm, a linear layer."""

    name: str
    module: nn.Module


def layers(backbone: nn.Module) -> list[Layer]:
    """The parameterised layers in forward order, found by following a small black image through the network.

    Modules are often registered in another order than they run (the shortcut of an Xception block, say), and
    a timm model's last children have no parameters at all; neither tells what comes last.
    """
    names = {
        module: name for name, module in backbone.named_modules() if list(module.parameters(recurse=False))
    }
    order: dict[nn.Module, None] = {}
    hooks = [
        module.register_forward_pre_hook(lambda module, _: order.setdefault(module) and None)
        for module in names
    ]
    modes = {module: module.training for module in backbone.modules()}
    somewhere = next(backbone.parameters())
    try:
        with torch.no_grad():
            backbone.eval()(somewhere.new_zeros(1, 3, _PROBE, _PROBE))
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
    return [Layer(names[module], module) for module in order]


def open_last(ordered: Sequence[Layer], n: int) -> None:
    """Let the last n of the layers train and freeze the others."""
    assert 0 <= n <= len(ordered)
    for index, layer in enumerate(ordered):
        layer.module.requires_grad_(index >= len(ordered) - n)


def still_the_frozen(backbone: nn.Module) -> None:
    """Put every part without an open parameter into inference mode, which fixes its BatchNorm statistics."""
    for module in backbone.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
