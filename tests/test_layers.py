"""Which layers are the last 18, and what it means that the others are frozen."""

import copy

import pytest
import timm
import torch
from torch import nn

from dfdc_lightning.models.forward_trace import trace_forward
from dfdc_lightning.models.layers import Layer, fix_statistics, open_last
from dfdc_lightning.models.layers import layers as layers_on


def layers(backbone: nn.Module) -> list[Layer]:
    return layers_on(backbone, trace_forward(backbone))


# Written out by hand from the networks' definitions, last layer first.
LAST_18 = {
    "legacy_xception": """
        bn4 conv4.pointwise conv4.conv1 bn3 conv3.pointwise conv3.conv1
        block12.skipbn block12.skip
        block12.rep.5 block12.rep.4.pointwise block12.rep.4.conv1
        block12.rep.2 block12.rep.1.pointwise block12.rep.1.conv1
        block11.rep.8 block11.rep.7.pointwise block11.rep.7.conv1 block11.rep.5
    """,
    "efficientnet_b3": """
        bn2 conv_head
        blocks.6.1.bn3 blocks.6.1.conv_pwl blocks.6.1.se.conv_expand blocks.6.1.se.conv_reduce
        blocks.6.1.bn2 blocks.6.1.conv_dw blocks.6.1.bn1 blocks.6.1.conv_pw
        blocks.6.0.bn3 blocks.6.0.conv_pwl blocks.6.0.se.conv_expand blocks.6.0.se.conv_reduce
        blocks.6.0.bn2 blocks.6.0.conv_dw blocks.6.0.bn1 blocks.6.0.conv_pw
    """,
}


@pytest.fixture(scope="module", params=LAST_18)
def backbone(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(request.param, num_classes=0)


@pytest.fixture
def open_18(backbone: nn.Module) -> nn.Module:
    copied = copy.deepcopy(backbone)
    open_last(layers(copied), 18)
    copied.train()
    fix_statistics(copied)
    return copied


def saved_bytes(backbone: nn.Module) -> int:
    """Activations that a training step keeps for its backward pass, parameters not counted."""
    kept: dict[int, int] = {}
    own = {parameter.data_ptr() for parameter in backbone.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = backbone(torch.zeros(2, 3, 64, 64))
    del out
    return sum(kept.values())


def test_the_last_18_layers_are_those_listed_by_hand(backbone: nn.Module) -> None:
    name = backbone.default_cfg["architecture"]
    expected = LAST_18[name].split()
    assert len(expected) == 18
    assert [layer.name for layer in layers(backbone)[-18:]] == expected[::-1]


def test_every_parameter_belongs_to_exactly_one_layer(backbone: nn.Module) -> None:
    owned = [id(p) for layer in layers(backbone) for p in layer.module.parameters(recurse=False)]
    assert sorted(owned) == sorted(id(p) for p in backbone.parameters())


def test_looking_for_layers_changes_nothing(backbone: nn.Module) -> None:
    backbone.train()
    before = copy.deepcopy(backbone.state_dict())
    layers(backbone)
    assert all(module.training for module in backbone.modules())
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def test_frozen_layers_stay_bit_identical_through_training_and_open_ones_move(open_18: nn.Module) -> None:
    before = copy.deepcopy(open_18.state_dict())
    optimizer = torch.optim.AdamW(open_18.parameters(), lr=0.01, weight_decay=0.1)
    for step in range(2):
        optimizer.zero_grad()
        open_18(
            torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(step))
        ).square().sum().backward()
        optimizer.step()
    opened = {layer.name for layer in layers(open_18)[-18:]}
    for key, value in open_18.state_dict().items():
        layer, _, kind = key.rpartition(".")
        if layer not in opened:
            assert torch.equal(value, before[key]), f"{key} is frozen but changed"
        elif kind in ("weight", "running_mean", "num_batches_tracked"):
            assert not torch.equal(value, before[key]), f"{key} is open but stayed"


def test_frozen_layers_cost_no_gradient_memory(open_18: nn.Module) -> None:
    some = saved_bytes(open_18)
    open_last(layers(open_18), 0)
    none = saved_bytes(open_18)
    open_last(layers(open_18), len(layers(open_18)))
    everything = saved_bytes(open_18.train())
    assert none == 0
    assert 0 < some < everything / 4


def test_a_frozen_part_infers_and_an_open_one_trains(open_18: nn.Module) -> None:
    norms = [layer.module for layer in layers(open_18) if isinstance(layer.module, nn.BatchNorm2d)]
    opened = [norm for norm in norms if norm.weight.requires_grad]
    assert opened
    assert all(norm.training == norm.weight.requires_grad for norm in norms)


def test_the_parameters_of_a_layer_are_its_own_alone() -> None:
    """A block with a scale of its own may stay closed while the layers inside it train."""
    block = nn.Sequential(nn.Linear(2, 2))
    block.register_parameter("scale", nn.Parameter(torch.ones(1)))
    (own,) = Layer("block", block).parameters
    assert own is block.scale
