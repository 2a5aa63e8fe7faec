"""The study's own numbers as far as they are known here; all else is "not available here", never a guess."""

import csv
from pathlib import Path
from typing import NamedTuple


class Published(NamedTuple):
    """Mean and best over seeds as the study reports them."""

    mean: float
    best: float
    source: str


def published() -> dict[tuple[str, str], Published]:
    """Published numbers by (experiment, measure), in the study's order of experiments."""
    with Path(__file__).with_name("published.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["experiment"], row["metric"]): Published(
                float(row["mean"]), float(row["best"]), row["source"]
            )
            for row in csv.DictReader(file)
        }
