"""BatchNorm folded into convolutions gives the same scores and gradients, and shows nowhere else."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from dfdc_lightning.losses import SmoothedBCE
from dfdc_lightning.models.appearance import logits_and_appearance
from dfdc_lightning.models.backbone import timm_backbone
from dfdc_lightning.models.detector import Detector, scores
from dfdc_lightning.models.frame import FrameDetector

OPEN = 6


def detector(name: str) -> FrameDetector:
    """A detector with its last layers open, whose BatchNorms have seen something."""
    torch.manual_seed(0)
    made = FrameDetector(
        timm_backbone(name, pretrained=False),
        loss=SmoothedBCE(0.005),
        optimizer=partial(torch.optim.AdamW, lr=1e-2),
        scheduler=partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=2),
        trainable_layers=OPEN,
        threshold=0.6,
        mean=[0.5] * 3,
        std=[0.5] * 3,
    )
    for module in made.backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, least in ((module.weight, 0.5), (module.bias, -0.5), (module.running_var, 0.5)):
                assert values is not None
                nn.init.uniform_(values, least, least + 1)
            assert module.running_mean is not None
            nn.init.normal_(module.running_mean, std=0.1)
    return made.train()


@pytest.fixture(params=["test_efficientnet", "test_resnet", "tf_efficientnet_lite0"])
def plain(request: pytest.FixtureRequest) -> FrameDetector:
    return detector(request.param)


@pytest.fixture
def faces() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 2, 3, 64, 64), dtype=torch.uint8, generator=generator)


LABELS = torch.tensor([0.0, 1.0, 1.0])


def evaluated(judge: Detector, faces: Tensor) -> Tensor:
    judge.eval()
    with torch.inference_mode():
        found = scores(judge(faces)).clone()
    judge.train()
    return found


def gradients(judge: Detector, faces: Tensor) -> dict[str, Tensor]:
    judge.zero_grad()
    judge.loss(judge(faces), LABELS).backward()
    return {name: p.grad for name, p in judge.named_parameters() if p.grad is not None}


def test_folded_scores_are_those_of_the_layers(plain: FrameDetector, faces: Tensor) -> None:
    before = evaluated(plain, faces)
    plain.folding.begin()
    assert len(plain.folding.pairs) > 3
    assert torch.allclose(evaluated(plain, faces), before, atol=1e-5)
    plain.folding.end()
    assert torch.equal(evaluated(plain, faces), before)


def test_open_layers_have_the_same_gradients_above_a_folded_trunk(
    plain: FrameDetector, faces: Tensor
) -> None:
    statistics = {name: b.clone() for name, b in plain.named_buffers()}
    before = gradients(plain, faces)
    plain.load_state_dict(
        plain.state_dict() | {n: b for n, b in statistics.items() if n in plain.state_dict()}
    )
    plain.folding.begin()
    evaluated(plain, faces)  # which leaves folded copies behind that training must be able to use
    after = gradients(plain, faces)
    assert before.keys() == after.keys() and len(before) > OPEN
    for name, gradient in before.items():
        assert torch.allclose(after[name], gradient, atol=1e-5, rtol=1e-3), name


def test_a_frozen_trunk_convolves_and_normalises_at_once(plain: FrameDetector, faces: Tensor) -> None:
    unread = [pair for pair in plain.folding.pairs if not pair.norm.weight.requires_grad]
    plain.folding.begin()
    returned: dict[nn.Module, Tensor] = {}
    hooks = [
        pair.convolution.register_forward_hook(lambda module, _, out: returned.update({module: out.clone()}))
        for pair in unread
    ]
    plain(faces)
    folded = dict(returned)
    with plain.folding.suspended():
        plain(faces)
    for hook in hooks:
        hook.remove()
    assert unread and all(not torch.allclose(folded[p.convolution], returned[p.convolution]) for p in unread)


def test_training_moves_open_layers_only_and_names_stay(plain: FrameDetector, faces: Tensor) -> None:
    names = list(plain.state_dict())
    plain.folding.begin()
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    optimizer = plain.configure_optimizers()["optimizer"]
    for _ in range(2):
        gradients(plain, faces)
        optimizer.step()
    assert list(plain.state_dict()) == names
    frozen = {id(p) for layer in plain.layers[:-OPEN] for p in layer.parameters}
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter, before[name]) == (id(parameter) in frozen), name
    trained = evaluated(plain, faces)
    plain.folding.end()
    assert torch.allclose(evaluated(plain, faces), trained, atol=1e-5)


def test_layers_that_open_train_and_layers_that_close_fold(plain: FrameDetector, faces: Tensor) -> None:
    plain.folding.begin()
    plain.open_layers(0)
    assert not any(name.startswith("backbone") for name in gradients(plain, faces))
    plain.open_layers(OPEN)
    assert any(name.startswith("backbone") for name in gradients(plain, faces))


def test_weights_that_are_loaded_are_folded_anew(faces: Tensor) -> None:
    judge, other = detector("test_efficientnet"), detector("test_efficientnet")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.1)
    judge.folding.begin()
    before = evaluated(judge, faces)
    judge.load_state_dict(other.state_dict())
    assert not torch.allclose(before, evaluated(judge, faces), atol=1e-4)
    assert torch.allclose(evaluated(judge, faces), evaluated(other, faces), atol=1e-5)


def test_statistics_that_training_moved_are_folded_anew(faces: Tensor) -> None:
    judge = detector("test_efficientnet")
    judge.folding.begin()
    evaluated(judge, faces)
    judge(faces)  # open BatchNorms take in this batch
    moved = evaluated(judge, faces)
    judge.folding.end()
    assert torch.allclose(evaluated(judge, faces), moved, atol=1e-5)


def test_appearance_is_what_the_convolutions_return(faces: Tensor) -> None:
    judge = detector("test_efficientnet").eval()
    with torch.inference_mode():
        before = logits_and_appearance(judge, faces)[-1]
        judge.folding.begin()
        assert torch.equal(logits_and_appearance(judge, faces)[-1], before)
