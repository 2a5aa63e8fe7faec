"""Which layers of a backbone train: the last n in the order in which the image passes them."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from dfdc_lightning.models.forward_trace import ForwardTrace


class Layer(NamedTuple):
    """A module with parameters of its own: a convolution, a norm, a linear layer, a block with its scale."""

    name: str
    module: nn.Module

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The layer's own parameters; those of layers inside it are not counted again."""
        return list(self.module.parameters(recurse=False))


def layers(backbone: nn.Module, way: ForwardTrace) -> list[Layer]:
    """List the layers in the order in which an image reaches them.

    Modules are often registered in another order than they run (the shortcut of an Xception block, say), and
    a timm model's last children have no parameters at all; neither tells what comes last. A layer that is
    never called by itself, because another one reads its weights, counts as one of the first.
    """
    own = {
        module: name for name, module in backbone.named_modules() if list(module.parameters(recurse=False))
    }
    called = [module for module in way.begun if module in own]
    uncalled = [module for module in own if module not in set(called)]
    return [Layer(own[module], module) for module in (*uncalled, *called)]


def open_last(ordered: Sequence[Layer], n: int) -> None:
    """Let the last n of the layers train and freeze the others."""
    assert 0 <= n <= len(ordered)
    for index, layer in enumerate(ordered):
        for parameter in layer.parameters:
            parameter.requires_grad_(index >= len(ordered) - n)


def fix_statistics(backbone: nn.Module) -> None:
    """Keep BatchNorm's running statistics, and dropout off, in every part that has no open parameter."""
    for module in backbone.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
