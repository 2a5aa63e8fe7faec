"""Write a whole report folder from a study's run folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dfdc_lightning import atomic, checks
from dfdc_lightning.errors import UserError
from dfdc_lightning.report import cache_check
from dfdc_lightning.report.evidence import Evidence, gather
from dfdc_lightning.report.figures import save
from dfdc_lightning.report.foreign import foreign
from dfdc_lightning.report.page import html
from dfdc_lightning.report.planning import powers, sample_sizes
from dfdc_lightning.report.published import published
from dfdc_lightning.report.run_card import model_card
from dfdc_lightning.report.sections import contents
from dfdc_lightning.report.study import read_study
from dfdc_lightning.report.table import Table


def read_evidence(
    root: Path,
    studies: Sequence[str],
    baseline: str = "baseline",
    n_resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
    scores: Sequence[Path] = (),
    delta: float = 0.02,
) -> Evidence:
    """Read the studies and measure them.

    Files of `scores` are set beside the studies' experiments; one that cannot be used becomes a note.

    Raises:
        UserError: When a setting is out of range, a study does not exist or none of its runs can be used.
    """
    checks.number("confidence", confidence, above=0, below=1)
    checks.number("delta", delta, above=0, below=0.5)
    checks.whole("n_resamples", n_resamples, 100)
    checks.whole("seed", seed)
    order = list(dict.fromkeys(experiment for experiment, _ in published()))
    read = [read_study(root, name, [baseline, *order]) for name in studies]
    evidence = gather(read, baseline, n_resamples, seed, confidence, scores, delta)
    if not evidence.experiments:
        reasons = "; ".join(str(note) for note in evidence.notes[:3])
        raise UserError(
            f"study={','.join(studies)}: no run can be used yet ({reasons}): finish one with python train.py"
        )
    evidence.notes += foreign(evidence)[1] + cache_check.notes(evidence)
    return evidence


def plan(evidence: Evidence) -> list[Table]:
    """Say how many seeds and videos a study like this one needs.

    Raises:
        UserError: When nothing here says how much seeds and videos vary.
    """
    tables = [sample_sizes(evidence), powers(evidence)]
    if not tables[0].rows:
        reasons = dict.fromkeys(c.auroc.reason for c in evidence.comparisons)
        raise UserError(
            f"study={evidence.name}: a plan needs two or more seeds of {evidence.baseline} and of another "
            f"experiment ({'; '.join(reasons) or 'nothing is compared here'})"
        )
    return tables


def write_report(root: Path, studies: Sequence[str], **settings: Any) -> tuple[Evidence, Path]:
    """Write `root/<study>/report/` (`root/a+b/report/` for several).

    Args:
        root: Folder of all studies.
        studies: Their names.
        settings: As `read_evidence` takes them.

    Returns:
        The evidence and the report's folder.

    Raises:
        UserError: When a setting is out of range, a study does not exist or none of its runs can be used.
    """
    evidence = read_evidence(root, studies, **settings)
    folder = Path(root) / evidence.name / "report"
    sections = contents(evidence)
    tables = [table for section in sections for table in section.tables]
    pictures = [picture for section in sections for picture in section.pictures]
    for table in tables:
        for ending, text in (("md", table.markdown() + "\n"), ("csv", table.csv()), ("tex", table.latex())):
            atomic.write_text(folder / "tables" / f"{table.name}.{ending}", text)
    for picture in pictures:
        save(picture, folder / "figures")
    _clear(folder / "tables", {table.name for table in tables})
    _clear(folder / "figures", {picture.name for picture in pictures})
    atomic.write_text(folder / "index.html", html(evidence, sections, folder / "figures"))
    atomic.write_text(folder / "model_card.md", model_card(evidence))
    return evidence, folder


def _clear(folder: Path, names: set[str]) -> None:
    """Remove what an earlier report left of experiments that are no longer there."""
    for path in folder.iterdir():
        if path.stem not in names:
            path.unlink()
