"""Frozen BatchNorm folded into the convolution before it: the same numbers, one pass over memory less.

In inference mode a BatchNorm scales and shifts each channel by constants, which the convolution's weights
and bias can do as well (Jacob et al., 2018, section 3.2). The layers keep their own weights, so checkpoints,
exports and layers that open later see nothing of it: a layer computes with its folded copy only while its
statistics are fixed and nothing asks for its gradient, and the copy is made again whenever a weight changed.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from dfdc_lightning.models.forward_trace import ForwardTrace


class Folding:
    """The convolutions of a backbone whose output goes into a BatchNorm and nowhere else.

    Args:
        way: How an image passes through the backbone.
    """

    def __init__(self, way: ForwardTrace) -> None:
        calls = Counter(call.module for call in way.ended)
        makers = {
            id(call.returned): call.module
            for call in way.ended
            if isinstance(call.module, nn.Conv2d) and way.readers[id(call.returned)] == 1
        }
        self.pairs = [
            _Pair(convolution, call.module)
            for call in way.ended
            if type(call.module) in (nn.BatchNorm2d, BatchNormAct2d)
            and (convolution := makers.get(id(call.given))) is not None
            and calls[convolution] == calls[call.module] == 1
        ]
        self._on = False

    def begin(self) -> None:
        """Let the layers compute with folded weights wherever that changes nothing else."""
        self.end()
        for pair in self.pairs:
            pair.begin()
        self._on = True

    def end(self) -> None:
        """Let every layer compute by itself again."""
        if self._on:
            for pair in self.pairs:
                pair.end()
        self._on = False

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Let every layer compute by itself inside the block, for who looks at what convolutions return."""
        on = self._on
        self.end()
        try:
            yield
        finally:
            if on:
                self.begin()


class _Pair:
    """A convolution and the BatchNorm that alone reads its output."""

    def __init__(self, convolution: nn.Module, norm: nn.Module) -> None:
        self.convolution = cast("nn.Conv2d", convolution)
        self.norm = cast("nn.BatchNorm2d", norm)
        self._folded: nn.Conv2d | None = None
        self._made_from: tuple[int, ...] = ()

    def begin(self) -> None:
        """Take the place of both layers' own computation; what was folded earlier is folded anew."""
        self._folded = None
        vars(self.convolution)["forward"] = self._convolve
        vars(self.norm)["forward"] = self._normalise

    def end(self) -> None:
        """Give both layers their own computation back."""
        del vars(self.convolution)["forward"], vars(self.norm)["forward"]

    def _convolve(self, images: Tensor) -> Tensor:
        layer = self._up_to_date() if self._can_fold() else self.convolution
        return type(layer).forward(layer, images)

    def _normalise(self, maps: Tensor) -> Tensor:
        if not self._can_fold():
            return type(self.norm).forward(self.norm, maps)
        if isinstance(self.norm, BatchNormAct2d):
            activate: Callable[[Tensor], Tensor] = self.norm.act
            return activate(self.norm.drop(maps))
        return maps

    def _can_fold(self) -> bool:
        if self.norm.training or self.norm.running_var is None:
            return False
        return not torch.is_grad_enabled() or not any(
            parameter.requires_grad
            for layer in (self.convolution, self.norm)
            for parameter in layer.parameters()
        )

    def _up_to_date(self) -> nn.Conv2d:
        """Return the convolution with folded weights, made again when one of its sources has changed."""
        own = (*self._tensors(self.convolution), *self._tensors(self.norm))
        sources = tuple(number for tensor in own for number in (tensor.data_ptr(), tensor._version))
        if self._folded is None or sources != self._made_from:
            self._folded, self._made_from = self._fold(), sources
        return self._folded

    @staticmethod
    def _tensors(layer: nn.Module) -> tuple[Tensor, ...]:
        held = (*layer._parameters.values(), *layer._buffers.values())
        return tuple(tensor for tensor in held if tensor is not None)

    def _fold(self) -> nn.Conv2d:
        convolution, norm = self.convolution, self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        with torch.inference_mode(False), torch.no_grad():  # so that training can use it after validation
            weight, bias = fuse_conv_bn_weights(
                convolution.weight,
                convolution.bias,
                norm.running_mean,
                norm.running_var,
                norm.eps,
                norm.weight,
                norm.bias,
            )
            folded = copy.copy(convolution)
            folded._parameters = {
                name: nn.Parameter(tensor.detach(), requires_grad=False)
                for name, tensor in (("weight", weight), ("bias", bias))
            }
        return folded
