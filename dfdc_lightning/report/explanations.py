"""Pictures that `explain` left in run folders, as figures of the report."""

from dfdc_lightning.report.evidence import Evidence
from dfdc_lightning.report.style import Picture

TEXT = "Grad-CAM: where the score for FAKE comes from. Made by python -m dfdc_lightning.explain run=RUN."
_PNG = b"\x89PNG\r\n\x1a\n"


def pictures(evidence: Evidence) -> list[Picture]:
    """Find every PNG in a run's `explain/`."""
    return [
        Picture(path.stem, path.stem, f"{run.name}: {path.stem.replace('_', ' ')}", path)
        for study in evidence.studies
        for run in study.runs
        for path in sorted(run.pictures.glob("*.png"))
        if path.read_bytes()[:8] == _PNG
    ]
