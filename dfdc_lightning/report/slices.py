"""Where a method is strong and weak: parts of the test videos, by what the face cache knows."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FaceCache, Row
from dfdc_lightning.faces.conditions import measure as measure_clip
from dfdc_lightning.faces.split import names
from dfdc_lightning.report import influence
from dfdc_lightning.report.evidence import Evidence, Experiment
from dfdc_lightning.report.inference import Measured, mean_interval, run_interval
from dfdc_lightning.report.statistics import clusters
from dfdc_lightning.report.table import ABSENT, Table, interval, number, percent

FEWEST = 10  # videos of a label
_MOST_MEASURED = 5000  # clips that are opened to be measured
_SHORT_SIDES = (480, 720, 1080)
_THIRDS = {"face_pixels": "face size (pixels)", "sharpness": "sharpness", "brightness": "brightness"}


class Slice(NamedTuple):
    """A part of the test videos; `of_fakes` where REAL videos belong to every part, as with methods."""

    of: str
    name: str
    mask: Bool[np.ndarray, " v"]
    of_fakes: bool = False


def slices(evidence: Evidence) -> Table:
    """Measure AUROC and errors of the run to use's experiment on each slice that has enough videos."""
    columns = ["by", "slice", "REAL", "FAKE", "AUROC", percent(evidence.confidence)]
    columns += ["REAL called FAKE", percent(evidence.confidence), "FAKE missed", percent(evidence.confidence)]
    experiment = next(
        (e for e in evidence.experiments if any(run is evidence.chosen for run in e.runs)),
        evidence.experiments[0],
    )
    looked_at = list(_slices(experiment))
    rows = [row for part in looked_at if (row := _row(experiment, part, evidence.confidence))]
    left_out = len(looked_at) - len(rows)
    caption = (
        f"{experiment.label} on parts of its test videos, means over seeds at each run's threshold, "
        f"intervals over seeds and videos. {len(looked_at)} slices were looked at and {left_out} left out, "
        f"as they hold fewer than {FEWEST} videos of a label. Of so many slices one in twenty looks unusual "
        "by chance alone. Size, sharpness and brightness: thirds of the test videos."
    )
    return Table("slices", "By what the face cache knows", caption, columns, rows)


def _slices(experiment: Experiment) -> Iterator[Slice]:
    test = experiment.runs[0].test
    read = known_rows(experiment)
    if read is None:
        return
    cache, rows = read
    known = [rows.get(video) for video in test.video]
    methods = [row.method if row else "" for row in known]
    for name in sorted(set(methods) - {""}):
        yield Slice("method", name, ~test.label | np.array([m == name for m in methods]), of_fakes=True)
    yield from _each("part", [row.part if row else "" for row in known])
    yield from _each("persons", [str(len(names(row.person))) if row and row.person else "" for row in known])
    yield from _resolutions(known)
    yield from _thirds(cache, test.video)


def _each(of: str, values: Sequence[str]) -> Iterator[Slice]:
    """Make a slice of every value where there are several; an empty one is not known."""
    different = sorted(set(values) - {""})
    if len(different) > 1:
        for name in different:
            yield Slice(of, name, np.array([value == name for value in values]))


def known_rows(experiment: Experiment) -> tuple[FaceCache, dict[str, Row]] | None:
    """Read the cache of the experiment's runs; None where it is not on this machine or cannot be read."""
    path = experiment.runs[0].run.result.data.get("cache")
    if not isinstance(path, str) or not (Path(path) / "manifest.csv").is_file():
        return None
    cache = FaceCache(Path(path))
    try:
        return cache, {row.video: row for row in cache.rows()}
    except UserError:  # prepare_faces.py says what is wrong with a cache
        return None


def _resolutions(known: Sequence[Row | None]) -> Iterator[Slice]:
    sides = np.array([min(row.width, row.height) if row else 0 for row in known])
    edges = [1, *_SHORT_SIDES, np.inf]
    for low, high in zip(edges, edges[1:], strict=False):
        name = (
            f"below {high:g}"
            if low == 1
            else f"{low:g} and more"
            if high == np.inf
            else f"{low:g}–{high - 1:g}"
        )
        mask = (sides >= low) & (sides < high)
        if mask.any():
            yield Slice("short side (pixels)", name, mask)


def _thirds(cache: FaceCache, videos: Sequence[str]) -> Iterator[Slice]:
    """Divide into thirds by what is measured on each clip; empty where a clip cannot be read."""
    if len(videos) > _MOST_MEASURED:
        return
    try:
        measured = [measure_clip(cache.read_clip(video)) for video in videos]
    except UserError:
        return
    for key, title in _THIRDS.items():
        values = np.array([one[key] for one in measured])
        low, high = np.quantile(values, [1 / 3, 2 / 3])
        if low == high:
            continue
        yield Slice(title, f"below {low:.4g}", values < low)
        yield Slice(title, f"{low:.4g} to {high:.4g}", (values >= low) & (values < high))
        yield Slice(title, f"{high:.4g} and more", values >= high)


def _row(experiment: Experiment, part: Slice, confidence: float) -> list[str] | None:
    """Make one line of the table, or None where too few videos would speak."""
    test = experiment.runs[0].test
    real, fake = part.mask & ~test.label, part.mask & test.label
    n_real, n_fake = int(real.sum()), int(fake.sum())
    if n_fake < FEWEST or n_real < FEWEST:
        return None
    design = clusters(test.label[part.mask], [test.group[i] for i in np.flatnonzero(part.mask)])
    group = experiment.design.of_video
    wrong = [((run.test.score > run.threshold) != test.label).astype(float) for run in experiment.runs]
    auroc = [influence.auroc(run.test.score, test.label, part.mask, group) for run in experiment.runs]
    row = [part.of, part.name, str(n_real), str(n_fake), *_cells(auroc, design.smaller, confidence, 1.0)]
    if part.of_fakes:
        row += [ABSENT, ABSENT]
    else:
        accused = [influence.share(one, real, group) for one in wrong]
        row += _cells(accused, design.holding_real, confidence, 0.0)
    missed = [influence.share(one, fake, group) for one in wrong]
    return row + _cells(missed, design.holding_fake, confidence, 0.0)


def _cells(runs: Sequence[Measured], groups: int, confidence: float, best: float) -> list[str]:
    if len(runs) == 1:
        estimate = run_interval(runs[0], groups, confidence, best)
    else:
        estimate = mean_interval(runs, groups, confidence, best)
    return [number(estimate.value), interval(estimate)]
