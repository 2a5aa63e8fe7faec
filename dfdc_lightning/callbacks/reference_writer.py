"""Writes reference.npz after the test, so that `predict` recognises videos unlike the training videos."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import Float64

from dfdc_lightning.clips import FaceClips
from dfdc_lightning.faces.cache import FAKE
from dfdc_lightning.faces.conditions import measure
from dfdc_lightning.models.appearance import logits_and_appearance
from dfdc_lightning.pairs import clip_of
from dfdc_lightning.results.reference import Reference, enough, one_per_group
from dfdc_lightning.results.run_folder import RunFolder

_MOST = 200  # training clips that are described: enough for their covariance, and seconds of work
_BATCH = 8


class ReferenceWriter(L.Callback):
    """Describes training clips, without augmentation, as the tested checkpoint sees them."""

    first_process_only = True  # of several devices' processes

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the file, or nothing where very few clips were trained on."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        train, val = data.rows["train"], data.rows["val"]
        by_name = sorted(train, key=lambda row: row.video)  # REAL and FAKE mixed, whatever the cache's order
        chosen = np.unique(np.linspace(0, len(train) - 1, min(len(train), _MOST)).round().astype(int))
        rows = [by_name[index] for index in chosen]
        fake = np.array([row.label == FAKE for row in rows])
        path = RunFolder(Path(trainer.default_root_dir)).reference_file
        if not enough(fake):
            path.unlink(missing_ok=True)
            return
        one_each = one_per_group([row.video for row in val], [row.group or row.video for row in val])
        with trainer.precision_plugin.forward_context():
            appearance, conditions = self._describe(data.unchanged("train", rows), pl_module)
            seen = self._describe(data.unchanged("val", [val[index] for index in one_each]), pl_module)
        Reference.fit(appearance, fake, conditions).with_validation(*seen).write(path)

    def _describe(
        self, clips: FaceClips, detector: Any
    ) -> tuple[Float64[np.ndarray, "n a"], Float64[np.ndarray, "n c"]]:
        """Compute the clips' mean appearance and their conditions."""
        rows, appearance = clips.rows, []
        for start in range(0, len(rows), _BATCH):
            batch = clips.__getitems__([(0, index) for index in range(start, min(start + _BATCH, len(rows)))])
            with torch.inference_mode():
                seen = logits_and_appearance(detector, batch.faces.to(detector.device))[-1]
                appearance.append(seen.mean(1).cpu())
        conditions = [list(measure(clips.cache.read_clip(clip_of(row))).values()) for row in rows]
        return torch.cat(appearance).numpy().astype(np.float64), np.array(conditions)
