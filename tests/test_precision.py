"""Mixed precision and compilation are there to train faster: what is learned is the same but for rounding."""

from functools import partial
from pathlib import Path

import lightning as L
import pytest
import torch
from test_callbacks import detector as small_detector

from dfdc_lightning.callbacks.epoch_seed import EpochSeed
from dfdc_lightning.callbacks.gradual_unfreeze import GradualUnfreeze
from dfdc_lightning.clips import FaceDataModule
from dfdc_lightning.hardware import precision
from dfdc_lightning.models.frame import FrameDetector

EPOCHS = 6
STAGES = [0, 1]


class Notes(L.Callback):
    """How well each epoch went, and how many of the backbone's layers got a gradient in it."""

    def __init__(self) -> None:
        self.auroc: list[float] = []
        self.learnt: list[int] = []

    def on_before_optimizer_step(
        self, trainer: L.Trainer, module: L.LightningModule, optimizer: object
    ) -> None:
        if trainer.global_step % trainer.num_training_batches == 0:
            moves = [any(p.grad is not None for p in layer.module.parameters()) for layer in module.layers]
            self.learnt.append(sum(moves))

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.auroc.append(float(trainer.callback_metrics["train/auroc"]))


def learn(cache: Path, precision: str, compiled: bool = False) -> tuple[FrameDetector, Notes]:
    detector = small_detector(trainable_layers=None, compile=compiled)
    notes = Notes()
    trainer = L.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        precision=precision,
        logger=False,
        callbacks=[EpochSeed(0), GradualUnfreeze(STAGES), notes],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(detector, datamodule=FaceDataModule(cache, batch_size=5, workers=0))
    return detector, notes


@pytest.fixture(scope="module")
def plain(tiny_cache: Path) -> tuple[FrameDetector, Notes]:
    return learn(tiny_cache, "32-true")


def test_mixed_precision_keeps_weights_whole_and_learns_as_well(
    tiny_cache: Path, plain: tuple[FrameDetector, Notes]
) -> None:
    mixed, notes = learn(tiny_cache, "bf16-mixed")
    assert notes.auroc[-1] > 0.6 and notes.auroc == pytest.approx(plain[1].auroc, abs=0.1)
    assert {value.dtype for value in mixed.state_dict().values() if value.is_floating_point()} == {
        torch.float32
    }


def test_a_compiled_backbone_opens_stage_by_stage_and_learns_the_same(
    tiny_cache: Path, plain: tuple[FrameDetector, Notes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Generating machine code takes minutes, and shows nothing of when it is done.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        compiled, notes = learn(tiny_cache, "32-true", compiled=True)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 4, "two stages, full and last batches"
    assert notes.learnt == plain[1].learnt == [15, 30, 30, 30, 30, 30]
    assert notes.auroc == pytest.approx(plain[1].auroc, abs=0.02)
    assert compiled.state_dict().keys() == plain[0].state_dict().keys(), "its checkpoint is no other"


def test_the_processor_trains_in_single_precision_even_beside_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for bf16, name in ((True, "bf16-mixed"), (False, "16-mixed")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, has=bf16: has)
        assert (precision(), precision("gpu"), precision("cpu")) == (name, name, "32-true")
