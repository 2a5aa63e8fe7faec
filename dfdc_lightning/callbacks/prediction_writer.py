"""The score of every validation and test video, by the checkpoint that is being tested, on disk."""

from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from dfdc_lightning.clips import Clip
from dfdc_lightning.models.detector import Detector, probabilities, scores
from dfdc_lightning.results.predictions import SPLITS, ScoredVideo, write_predictions
from dfdc_lightning.results.run_folder import RunFolder


class PredictionWriter(L.Callback):
    """Collect scores while `validate` and `test` run (not during training), then write the file."""

    def __init__(self) -> None:
        self.collected: dict[str, list[ScoredVideo]] = {}

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget an earlier validation."""
        self.collected["val"] = []

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget an earlier test."""
        self.collected["test"] = []

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Clip,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the batch's scores, unless this validation is part of training."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._collect("val", trainer, outputs, batch)

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Clip,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the batch's scores."""
        self._collect("test", trainer, outputs, batch)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write what validation and test collected."""
        run = RunFolder(Path(trainer.default_root_dir))
        collected = [each for split in SPLITS for each in self._of_all_devices(split, trainer)]
        if trainer.is_global_zero:
            write_predictions(run.predictions_file, collected)

    def _of_all_devices(self, split: str, trainer: L.Trainer) -> list[ScoredVideo]:
        """Gather what each device scored, in the order in which one device would have scored it."""
        own = self.collected.get(split, [])
        if trainer.world_size == 1:
            return own
        gathered: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(gathered, own)
        rows = trainer.datamodule.rows[split]  # type: ignore[attr-defined]
        place = {row.video: index for index, row in enumerate(rows)}
        return sorted((each for part in gathered for each in part), key=lambda each: place[each.video])

    def _collect(self, split: str, trainer: L.Trainer, logits: Tensor, batch: Clip) -> None:
        groups = trainer.datamodule.groups  # type: ignore[attr-defined]
        level = cast("Detector", trainer.lightning_module).level
        frames = probabilities(logits).tolist() if level == "frame" else [()] * len(batch.video)
        together = zip(batch.video, batch.label.tolist(), scores(logits).tolist(), frames, strict=True)
        self.collected[split] += [
            ScoredVideo(split, video, groups[video], bool(label), score, of_frames)
            for video, label, score, of_frames in together
        ]
