"""What each experiment costs: time, speed, size, memory and disk, from its finished runs."""

from collections.abc import Sequence

import numpy as np

from dfdc_lightning.report.evidence import Evidence, label_of
from dfdc_lightning.report.study import Study
from dfdc_lightning.report.table import ABSENT, Table
from dfdc_lightning.results.run_folder import RunFolder


def costs(evidence: Evidence) -> Table:
    """Make a row per experiment of means over its finished runs."""
    rows = []
    for study in evidence.studies:
        for name in study.experiments:
            runs = [run for run in study.finished if run.experiment == name]
            if runs:
                rows.append([label_of(name, study, evidence.studies), str(len(runs)), *_cells(study, runs)])
    columns = ["experiment", "runs", "training (s)", "clips per second", "parameters", "of these trained"]
    columns += ["peak GPU memory (GB)", "disk (MB)"]
    caption = (
        "Means over finished runs, on the hardware listed under Data. Clips per second: training without "
        "validation, mean over epochs. Peak GPU memory: empty without a GPU. Disk: the run folder with its "
        "checkpoints, 1 MB = 10⁶ bytes."
    )
    return Table("cost", "Cost per experiment", caption, columns, rows)


def _cells(study: Study, runs: Sequence[RunFolder]) -> list[str]:
    epochs = [epoch for run in runs for epoch in study.epochs[run.name]]
    memory = [run.result.hardware.get("peak_gpu_memory_bytes", 0) / 1e9 for run in runs]
    return [
        _mean([run.result.seconds for run in runs], "{:,.0f}"),
        _mean([epoch["clips_per_second"] for epoch in epochs if "clips_per_second" in epoch], "{:,.1f}"),
        _mean([run.result.parameters for run in runs], "{:,.0f}"),
        _mean([run.result.trainable_parameters for run in runs], "{:,.0f}"),
        _mean([gigabytes for gigabytes in memory if gigabytes], "{:.2f}"),
        _mean([_bytes(run) / 1e6 for run in runs], "{:,.1f}"),
    ]


def _bytes(run: RunFolder) -> int:
    """Measure what the run folder takes; a checkpoint under two names counts once."""
    files = {(s.st_dev, s.st_ino): s.st_size for path in run.folder.rglob("*") if (s := path.stat())}
    return sum(files.values())


def _mean(values: Sequence[float], form: str) -> str:
    return form.format(float(np.mean(values))) if values else ABSENT
