"""The best and the last epoch of a run on disk, and how to get them back, damaged files included."""

import pickle
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from dfdc_lightning import atomic, checks
from dfdc_lightning.errors import UserError
from dfdc_lightning.models.detector import Detector
from dfdc_lightning.results.epochs import MONITORS, best_epoch
from dfdc_lightning.results.run_folder import BEST, RunFolder


class BestAndLast(Checkpoint):
    """Write last.ckpt after each epoch (the one before becomes previous.ckpt) and best.ckpt after the best.

    Which epoch is the best follows from metrics.csv alone, for this callback as for everybody else. A run
    killed while it writes leaves whole files; at most best.ckpt is newer than last.ckpt, and the repeated
    epoch writes it again.

    Args:
        monitor: The measure that says how good an epoch is, one of `results.epochs.MONITORS`.

    Raises:
        UserError: When the monitored measure does not exist.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = checks.one_of("monitor", monitor, MONITORS)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuse a measure that the detector does not have.

        Raises:
            UserError: When frames are to be judged by a detector of whole clips.
        """
        if self.monitor == "val/frame_auroc" and cast("Detector", pl_module).level == "clip":
            raise UserError(f"monitor={self.monitor}: the model judges whole clips, take monitor=val/auroc")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the epoch that has just been validated; `History`, which comes before, has added its row."""
        run = RunFolder(Path(trainer.default_root_dir))
        if not trainer.is_global_zero:
            trainer.save_checkpoint(run.last)  # takes part; the first process alone writes
            trainer.strategy.barrier()
            return
        epochs = run.epochs()
        best = best_epoch(epochs, self.monitor) is epochs[-1]
        with atomic.replacing(run.last) as new:
            trainer.save_checkpoint(new)
            if best:
                with atomic.replacing(run.best) as same:
                    _link(new, same)
            if run.last.exists():
                run.last.replace(run.previous)
        trainer.strategy.barrier()


def _link(path: Path, also: Path) -> None:
    """Give a file a second name, which costs no writing; a copy where the file system has no such thing."""
    also.unlink()
    try:
        also.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, also)


class CarefulIO(TorchCheckpointIO):
    """Lightning's way to the disk, which never runs what a checkpoint contains and notices damage."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write straight to the path; `BestAndLast` makes it atomic."""
        torch.save(checkpoint, path)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read as `read` does, whatever `weights_only` says."""
        return read(Path(path))


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running anything in it.

    Raises:
        UserError: When the file is absent, truncated, changed by a bit, or no checkpoint of this project.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist: the run has not finished an epoch yet")
    try:
        with zipfile.ZipFile(path) as archive:
            if (damaged := archive.testzip()) is not None:  # torch itself does not compare the checksums
                raise UserError(f"{path} is damaged (checksum of {damaged}): {_remedy(path)}")
        checkpoint = torch.load(path, "cpu", weights_only=True)
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, OSError, EOFError, KeyError) as error:
        raise UserError(
            f"{path} is truncated or no checkpoint ({type(error).__name__}): {_remedy(path)}"
        ) from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise UserError(f"{path} must be a checkpoint of this project, but it holds no state_dict")
    return checkpoint


def newest_readable(run: RunFolder) -> Path | None:
    """Find the checkpoint to resume from: the last one, or the one before where that is broken.

    Returns:
        Its path, or None where there is neither.

    Raises:
        UserError: When there are such files but none can be read.
    """
    error = None
    for path in (run.last, run.previous):
        if path.is_file():
            try:
                read(path)
            except UserError as unreadable:
                error = unreadable
                print(f"warning: {unreadable}", file=sys.stderr)
            else:
                return path
    if error is not None:
        raise error
    return None


def load_weights(detector: Detector, path: Path) -> None:
    """Put a checkpoint's weights into a detector.

    Raises:
        UserError: As `read`, and when it is of another network.
    """
    checkpoint = read(path)
    detector.on_load_checkpoint(checkpoint)
    detector.load_state_dict(checkpoint["state_dict"])


def _remedy(path: Path) -> str:
    if path.name == BEST:  # training does not go on from it, so it would not come back
        return "train the run again with overwrite=true"
    return "delete it and run the same command again"
