"""The study's own numbers, as it published them: facts to stand beside ours, never a test of either."""

import csv
from pathlib import Path
from typing import NamedTuple

from dfdc_lightning.report.statistics import Interval

SOURCE = "the published student study on the Deepfake Detection Challenge"


class Published(NamedTuple):
    """Mean and best over seeds as the study reports them; the best's 95 % interval where it gives one."""

    mean: float
    best: float
    interval: Interval | None


def published() -> dict[tuple[str, str], Published]:
    """Read the numbers by (experiment, measure), in the study's order of experiments."""
    with Path(__file__).with_name("published.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["experiment"], row["measure"]): Published(
                float(row["mean"]),
                float(row["best"]),
                Interval(float(row["best_low"]), float(row["best_high"])) if row["best_low"] else None,
            )
            for row in csv.DictReader(file)
        }
