"""A run that diverges says so at once, keeps the epoch before, and is not gone on with."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, read_write
from test_runs import composed

from dfdc_lightning.errors import UserError
from dfdc_lightning.runs import Run


class Spoil(L.Callback):
    """Makes one weight NaN at some moment, as a step that is too large does."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.at = (epoch, batch)

    def on_train_batch_start(self, trainer: L.Trainer, module: Any, batch: Any, index: int) -> None:
        if (trainer.current_epoch, index) == self.at:
            module.head.bias.data.fill_(float("nan"))

    def on_validation_start(self, trainer: L.Trainer, module: Any) -> None:
        if (trainer.current_epoch, -1) == self.at:
            module.head.bias.data.fill_(float("nan"))


def claimed(config: DictConfig, folder: Path) -> Run:
    with read_write(HydraConfig.get()):
        HydraConfig.get().runtime.output_dir = str(folder)
        HydraConfig.get().overrides.task = []
    run = Run.claim(config)
    run.unlock()
    return run


@pytest.mark.parametrize(
    ("epoch", "batch", "sentence"),
    [
        (1, 1, r"epoch 2, batch 2 at learning rate [\d.e-]+: .* try model\.optimizer\.lr=[\d.e-]+ or"),
        (1, -1, r"validation after epoch 2 at learning rate"),
        (0, 0, r"epoch 1, batch 1 at learning rate .* the weights it began with"),
    ],
)
def test_the_first_that_is_not_finite_stops_the_run_which_is_not_gone_on_with(
    epoch: int, batch: int, sentence: str, tiny_cache: Path, tmp_path: Path
) -> None:
    words = [f"data.cache={tiny_cache}", "scale=scratch", "augment=none", "model.backbone.name=test_resnet"]
    words += ["trainer.max_epochs=3", "trainer.accelerator=cpu"]
    with composed(*words) as config:
        run = claimed(config, tmp_path)
        data, detector, trainer = run.objects(config)
        trainer.callbacks.insert(0, Spoil(epoch, batch))
        with pytest.raises(UserError, match=sentence), run.recording():
            trainer.fit(detector, datamodule=data)
        assert len(run.epochs()) == epoch
        if epoch:
            last = torch.load(run.last, weights_only=True)
            assert last["epoch"] == epoch - 1
            assert all(torch.isfinite(value).all() for value in last["state_dict"].values())
        assert run.failure().startswith("dfdc_lightning.errors.UserError: training diverged in")
        with pytest.raises(UserError, match=f"{sentence}.*these are the same settings: change one"):
            claimed(config, tmp_path)
        if epoch == 0:  # nothing was learnt that other settings could spoil
            config.model.optimizer.lr = 1e-5
        config.overwrite = epoch > 0
        assert not claimed(config, tmp_path).divergence_file.exists()
