"""How an image passes through a backbone: which modules run in which order, and what each hands on.

Nothing is computed: the network is run on tensors that have a shape but no content, at its own input size,
which takes milliseconds for any network and also suits those that accept one size only.
"""

from collections import Counter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


class Call(NamedTuple):
    """One call of a module: its first argument and its result, each None unless it is a tensor."""

    module: nn.Module
    given: Tensor | None
    returned: Tensor | None


class ForwardTrace(NamedTuple):
    """What one image's way through a backbone shows.

    Attributes:
        begun: The modules in the order in which they are first called; a module stands before its children.
        ended: All calls in the order in which they end; a module stands after its children.
        readers: How many operations read a tensor, by the tensor's id.
    """

    begun: list[nn.Module]
    ended: list[Call]
    readers: Counter[int]

    @property
    def features(self) -> int:
        """How many features come out; a timm network's `num_features` counts before its last layers."""
        returned = self.ended[-1].returned
        assert returned is not None
        return returned.shape[1]


def input_size(backbone: nn.Module) -> tuple[int, int]:
    """Look up height and width of the images that a timm network is made for."""
    embedding: Any = getattr(backbone, "patch_embed", None)
    if (size := getattr(embedding, "img_size", None)) is not None:
        return size[0], size[1]  # what a vision transformer was built with, whatever its weights are of
    configuration: Any = backbone.pretrained_cfg
    _, height, width = configuration["input_size"]
    return height, width


def trace_forward(backbone: nn.Module) -> ForwardTrace:
    """Send an image without content through a backbone, which stays as it is."""
    begun: dict[nn.Module, None] = {}
    ended: list[Call] = []

    def note(module: nn.Module, given: Any, returned: Any) -> None:
        first = given[0] if given else None
        ended.append(
            Call(module, *(each if isinstance(each, Tensor) else None for each in (first, returned)))
        )

    modules = list(backbone.modules())
    modes = [module.training for module in modules]
    hooks = [
        module.register_forward_pre_hook(lambda module, _: begun.setdefault(module)) for module in modules
    ]
    hooks += [module.register_forward_hook(note) for module in modules]
    tensors = {**dict(backbone.named_parameters()), **dict(backbone.named_buffers())}
    hollow = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
    image = torch.empty(1, 3, *input_size(backbone), device="meta")
    try:
        with torch.no_grad(), _Readers() as operations:
            torch.func.functional_call(backbone.eval(), hollow, (image,))
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in zip(modules, modes, strict=True):
            module.training = training
    return ForwardTrace(list(begun), ended, operations.readers)


class _Readers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count the operations that read each tensor; all tensors are kept, so that no id is given twice."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.readers: Counter[int] = Counter()
        self._kept: list[Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and note what it read."""
        tree_map_only(Tensor, self._read, (args, kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _read(self, tensor: Tensor) -> Tensor:
        self.readers[id(tensor)] += 1
        self._kept.append(tensor)
        return tensor
