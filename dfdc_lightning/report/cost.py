"""What each experiment costs: time, speed, size, memory and disk, from its finished runs."""

import math
from collections.abc import Sequence

import numpy as np

from dfdc_lightning.report.evidence import Evidence, label_of
from dfdc_lightning.report.study import Run
from dfdc_lightning.report.table import ABSENT, Table
from dfdc_lightning.results.run_folder import RunFolder


def costs(evidence: Evidence) -> Table:
    """One row per experiment, means over its finished runs."""
    rows = []
    for study in evidence.studies:
        for name in study.experiments:
            runs = [run for run in study.runs if run.experiment == name and run.state == "finished"]
            if runs:
                rows.append([label_of(name, study, evidence.studies), str(len(runs)), *_cells(runs)])
    columns = ["experiment", "runs", "training (s)", "clips per second", "parameters", "of these trained"]
    columns += ["peak GPU memory (GB)", "disk (MB)"]
    caption = (
        "Means over finished runs, on the hardware listed under Data. Clips per second: training without "
        "validation, mean over epochs. Peak GPU memory: empty without a GPU. Disk: the run folder with its "
        "checkpoints, 1 MB = 10⁶ bytes."
    )
    return Table("cost", "Cost per experiment", caption, columns, rows)


def fact(run: Run, *keys: str) -> float | None:
    """A number of result.json, None where it is absent, no number, negative or not finite."""
    value: object = run.result
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and 0 <= number < 1e18 else None


def _cells(runs: Sequence[Run]) -> list[str]:
    speeds = [row["clips_per_second"] for run in runs for row in run.epochs if "clips_per_second" in row]
    memory = [fact(run, "hardware", "peak_gpu_memory_bytes") or None for run in runs]
    return [
        _mean([fact(run, "seconds") for run in runs], "{:,.0f}"),
        _mean(speeds, "{:,.1f}"),
        _mean([fact(run, "parameters") for run in runs], "{:,.0f}"),
        _mean([fact(run, "trainable_parameters") for run in runs], "{:,.0f}"),
        _mean([value / 1e9 if value else None for value in memory], "{:.2f}"),
        _mean([_bytes(run) / 1e6 for run in runs], "{:,.1f}"),
    ]


def _bytes(run: Run) -> int:
    """What the run folder takes; a checkpoint under two names counts once."""
    files = {
        (s.st_dev, s.st_ino): s.st_size for p in RunFolder(run.path).folder.rglob("*") if (s := p.stat())
    }
    return sum(files.values())


def _mean(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return form.format(float(np.mean(known))) if known else ABSENT
