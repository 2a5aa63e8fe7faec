"""predictions.csv: the score of every validation and test video, by the checkpoint that is being tested."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from dfdc_lightning import atomic
from dfdc_lightning.clips import Clip
from dfdc_lightning.faces.cache import FAKE, REAL
from dfdc_lightning.models.detector import probabilities, scores

Row = list[str]


class PredictionWriter(L.Callback):
    """Collect scores while `validate` and `test` run (not during training), then write the file.

    Columns: split, video, group, label, score, and score_frame_0 … where the detector judges single frames.
    """

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {}

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget an earlier validation."""
        self.rows["val"] = []

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget an earlier test."""
        self.rows["test"] = []

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Clip,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect."""
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
        """Collect."""
        self._collect("test", trainer, outputs, batch)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write what validation and test collected."""
        rows = [row for split in ("val", "test") for row in self.rows.get(split, [])]
        frames = [f"score_frame_{index}" for index in range(len(rows[0]) - 5)]
        path = Path(trainer.default_root_dir) / "predictions.csv"
        atomic.write_csv(path, ["split", "video", "group", "label", "score", *frames], rows)

    def _collect(self, split: str, trainer: L.Trainer, logits: Tensor, batch: Clip) -> None:
        groups = trainer.datamodule.groups  # type: ignore[attr-defined]
        of_frames = probabilities(logits).tolist() if logits.shape[1] > 1 else [[]] * len(batch.video)
        together = zip(batch.video, batch.label.tolist(), scores(logits).tolist(), of_frames, strict=True)
        for video, label, score, frames in together:
            name = FAKE if label else REAL
            self.rows[split].append(
                [split, video, groups[video], name, *(f"{value:.9g}" for value in (score, *frames))]
            )
