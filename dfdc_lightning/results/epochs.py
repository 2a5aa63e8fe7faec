"""metrics.csv: one row per epoch, with what was measured after it, and which epoch is the best."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.results.csv_file import read_table
from dfdc_lightning.results.result import SHARES

METRICS = "metrics.csv"
MEASURED = (
    "train/loss",
    "train/auroc",
    "val/loss",
    "val/auroc",
    "val/accuracy",
    "val/f1",
    "val/eer",
    "val/frame_auroc",
)
COLUMNS = ("epoch", *MEASURED, "lr", "trainable_parameters", "clips_per_second", "seconds")
# What an epoch can be chosen by, and whether the best one has the most or the least of it.
MONITORS = {
    "val/auroc": max,
    "val/frame_auroc": max,
    "val/accuracy": max,
    "val/f1": max,
    "val/eer": min,
    "val/loss": min,
}
_NEEDED = ("epoch", "val/auroc", "seconds")
_WHOLE = ("epoch", "trainable_parameters")
_DIGITS = {"clips_per_second": 4, "seconds": 4}  # a clock is not exact to nine

Epoch = dict[str, float]


def best_epoch(epochs: Iterable[Epoch], monitor: str) -> Epoch:
    """Choose the best epoch; of equally good ones that with the least val/loss, and of those the first.

    Args:
        epochs: At least one, each with the monitored measure.
        monitor: A key of `MONITORS`.
    """
    sign = -1 if MONITORS[monitor] is max else 1
    return min(epochs, key=lambda epoch: (sign * epoch[monitor], epoch.get("val/loss", 0.0)))


def write_epochs(path: Path, epochs: Iterable[Mapping[str, float]]) -> None:
    """Write the file, whole or not at all; what an epoch does not have stays empty."""
    rows = [[_text(name, epoch[name]) if name in epoch else "" for name in COLUMNS] for epoch in epochs]
    atomic.write_csv(path, COLUMNS, rows)


def read_epochs(path: Path) -> list[Epoch]:
    """Read and check the file; an empty list where it does not exist.

    Raises:
        UserError: When it is damaged, beginning with its path.
    """
    if not path.is_file():
        return []
    try:
        head, *lines = read_table(path)
        absent = [name for name in _NEEDED if name not in head]
        if absent:
            raise ValueError(f"it has no column {absent[0]}")
        epochs = [
            {name: _number(name, value) for name, value in zip(head, line, strict=True) if value}
            for line in lines
        ]
        for expected, epoch in enumerate(epochs):
            if any(name not in epoch for name in _NEEDED) or epoch["epoch"] != expected:
                raise ValueError(f"line {expected + 2} is not the row of epoch {expected}")
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): overwrite=true trains the run anew") from None
    return epochs


def _text(name: str, value: float) -> str:
    return str(int(value)) if name in _WHOLE else f"{value:.{_DIGITS.get(name, 9)}g}"


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number (got {text})") from None
    if name.partition("/")[2] in SHARES and not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1 (got {text})")
    if name in (*_WHOLE, "seconds") and not (0 <= value < math.inf):
        raise ValueError(f"{name} must be a number of at least 0 (got {text})")
    return value
