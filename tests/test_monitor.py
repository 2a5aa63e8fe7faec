"""One rule says which epoch is the best, and every file, page and search follows it."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from test_runs import composed

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.report.study import read_study
from dfdc_lightning.results.epochs import MONITORS, best_epoch
from dfdc_lightning.runs import Run

CURVE = [  # of each measure another epoch has the best value
    {"epoch": 0, "val/auroc": 0.7, "val/loss": 0.5, "val/eer": 0.4, "val/frame_auroc": 0.8},
    {"epoch": 1, "val/auroc": 0.9, "val/loss": 0.9, "val/eer": 0.3, "val/frame_auroc": 0.7},
    {"epoch": 2, "val/auroc": 0.9, "val/loss": 0.7, "val/eer": 0.2, "val/frame_auroc": 0.6},
    {"epoch": 3, "val/auroc": 0.8, "val/loss": 0.4, "val/eer": 0.2, "val/frame_auroc": 0.5},
    {"epoch": 4, "val/auroc": 0.9, "val/loss": 0.7, "val/eer": 0.4, "val/frame_auroc": 0.8},
]


@pytest.mark.parametrize(
    ("monitor", "expected"), [("val/auroc", 2), ("val/loss", 3), ("val/eer", 3), ("val/frame_auroc", 0)]
)
def test_the_best_epoch_has_most_or_least_of_it_then_the_least_loss_then_is_the_first(
    monitor: str, expected: int
) -> None:
    assert best_epoch(CURVE, monitor)["epoch"] == expected


def test_an_error_is_the_better_the_lower_and_everything_else_the_higher() -> None:
    assert {name for name, better in MONITORS.items() if better is min} == {"val/eer", "val/loss"}


@pytest.mark.parametrize("monitor", ["val/auroc", "val/loss", "val/eer", "val/frame_auroc"])
def test_checkpoint_result_history_report_and_search_agree(
    monitor: str, tiny_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path / "study" / "baseline" / "0")
    words = [f"monitor={monitor}", f"data.cache={tiny_cache}", "scale=scratch", "augment=none"]
    words += ["model.backbone.name=test_resnet", "trainer.max_epochs=4", "trainer.accelerator=cpu"]
    with composed(*words, "model.optimizer.lr=0.05") as config:  # such steps make the curves go up and down
        atomic.write_text(run.config_file, OmegaConf.to_yaml(config, resolve=True))
        data, detector, trainer = run.objects(config)
    trainer.fit(detector, datamodule=data)
    (val,) = trainer.validate(detector, datamodule=data, ckpt_path=run.best, verbose=False)
    (test,) = trainer.test(detector, datamodule=data, ckpt_path=run.best, verbose=False)
    run.finish(trainer, data, {**val, **test})

    sign = 1 if monitor in ("val/loss", "val/eer") else -1
    rows = run.epochs()
    best = min(rows, key=lambda row: (sign * row[monitor], row["val/loss"], row["epoch"]))
    assert torch.load(run.best, weights_only=True)["epoch"] == best["epoch"] == run.result.best_epoch
    assert read_study(tmp_path, "study", []).best_epochs("baseline") == [best]
    capsys.readouterr()
    assert run.announce() == run.result.val[monitor.removeprefix("val/")] == pytest.approx(best[monitor])
    assert f"(best epoch {best['epoch'] + 1:.0f}, " in capsys.readouterr().out


def test_frames_are_not_monitored_where_clips_are_judged(tiny_cache: Path, tmp_path: Path) -> None:
    words = ["monitor=val/frame_auroc", "experiment=lstm", f"data.cache={tiny_cache}", "scale=scratch"]
    with composed(*words, "model.backbone.name=test_resnet", "trainer.accelerator=cpu") as config:
        data, detector, trainer = Run(tmp_path).objects(config)
    with pytest.raises(UserError, match="the model judges whole clips, take monitor=val/auroc"):
        trainer.fit(detector, datamodule=data)
