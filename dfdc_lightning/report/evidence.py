"""From run folders to every number of the report: values, intervals, comparisons; nothing formatted yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from dfdc_lightning.report.statistics import (
    Interval,
    bootstrap,
    clusters,
    delong,
    holm,
    percentile,
    two_sided_p,
    welch,
)
from dfdc_lightning.report.study import Note, Run, Study
from dfdc_lightning.results import measures
from dfdc_lightning.results.measures import LOWER_IS_BETTER
from dfdc_lightning.results.predictions import Scores
from dfdc_lightning.results.ranking import MEASURES, Ranking

# In simulation the nominal 95 % interval covers 94 % with 80 to 150 groups, 93 % with 40.
_FEW_GROUPS = 50
_STATES = {"failed": "failed", "unfinished": "is unfinished", "missing": "is missing"}


@dataclass
class RunEvidence:
    """A run with its test measures, and these on every resample of the test videos."""

    run: Run
    values: Float64[np.ndarray, " m"]
    samples: Float64[np.ndarray, "m n"]
    intervals: list[Interval]

    @property
    def test(self) -> Scores:
        """The run's scored test videos."""
        return self.run.splits["test"]

    @property
    def validation_auroc(self) -> float | None:
        """AUROC on validation videos, None where these cannot be used."""
        if "val" not in self.run.splits:
            return None
        val = self.run.splits["val"]
        return measures.measure(val.score, val.label, self.run.threshold)["auroc"]

    @property
    def frame_auroc(self) -> float | None:
        """AUROC of single frames against their video's label, None where the model scores whole clips."""
        if not self.test.frames.size:
            return None
        label = np.repeat(self.test.label, self.test.frames.shape[1])
        return measures.measure(self.test.frames.ravel(), label, self.run.threshold)["auroc"]


@dataclass
class Experiment:
    """The usable runs of one experiment of one study."""

    study: str
    name: str
    label: str
    runs: list[RunEvidence]

    def values(self, measure: str) -> Float64[np.ndarray, " s"]:
        """One value a seed."""
        return np.array([run.values[MEASURES.index(measure)] for run in self.runs])

    def deviation(self, measure: str) -> float | None:
        """Standard deviation over seeds (n − 1), None with one seed."""
        return float(self.values(measure).std(ddof=1)) if len(self.runs) > 1 else None

    def best(self, measure: str = "auroc") -> RunEvidence:
        """The seed with the best *test* value, as in the study: optimistic, for the test set chose it."""
        values = self.values(measure)
        return self.runs[int(np.argmin(values) if measure in LOWER_IS_BETTER else np.argmax(values))]

    def chosen(self) -> RunEvidence | None:
        """The seed with the best *validation* AUROC: the one to choose; its test values had no say in it."""
        known = [(run.validation_auroc, run) for run in self.runs if run.validation_auroc is not None]
        return max(known, key=lambda pair: pair[0])[1] if known else None

    def mean_samples(self) -> Float64[np.ndarray, "m n"]:
        """Measures on every resample, averaged over seeds."""
        mean: np.ndarray = np.mean([run.samples for run in self.runs], axis=0)
        return mean


class Comparison(NamedTuple):
    """An experiment against its reference: differences of means over seeds, p-values of the AUROC's."""

    experiment: Experiment
    reference: Experiment
    differences: Float64[np.ndarray, " m"]
    intervals: list[Interval]
    p: float
    p_holm: float
    best_difference: float
    p_delong: float
    p_delong_holm: float
    p_seeds: float | None

    @property
    def clear(self) -> bool:
        """Whether the AUROC interval excludes zero and the adjusted p-value is below 0.05."""
        low, high = self.intervals[0]
        return (low > 0 or high < 0) and self.p_holm < 0.05


@dataclass
class Evidence:
    """All that tables, figures and the page show."""

    studies: list[Study]
    experiments: list[Experiment]
    comparisons: list[Comparison]
    notes: list[Note]
    baseline: str
    n_resamples: int
    seed: int
    confidence: float

    @property
    def name(self) -> str:
        """The studies' names, joined."""
        return "+".join(study.name for study in self.studies)

    @property
    def chosen(self) -> RunEvidence | None:
        """The run with the highest validation AUROC of all, of equals the first."""
        runs = [run for run in (experiment.chosen() for experiment in self.experiments) if run is not None]
        return max(runs, key=lambda run: run.validation_auroc or 0.0) if runs else None

    @property
    def why_chosen(self) -> str:
        """How `chosen` was chosen, ties included."""
        known = [run.validation_auroc or 0.0 for e in self.experiments for run in e.runs]
        equal = known.count(max(known))
        return "highest validation AUROC" + (f", the first of {equal} equal runs" if equal > 1 else "")


def label_of(experiment: str, study: Study, studies: Sequence[Study]) -> str:
    """What an experiment is called where several studies may stand side by side."""
    return experiment if len(studies) == 1 else f"{study.name}: {experiment}"


def gather(
    studies: Sequence[Study],
    baseline: str = "baseline",
    n_resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Evidence:
    """Measure every usable run on the same resamples of its study's test videos, and compare experiments.

    An experiment is compared with its study's baseline; with several studies also with the experiment of
    the same name in the first study, provided that both were tested on the same videos.
    """
    experiments = [
        experiment
        for study in studies
        for experiment in _measure(study, studies, n_resamples, seed, confidence)
    ]
    notes = [note for study in studies for note in study.notes]
    pairs = _pairs(studies, experiments, baseline, notes)
    notes += _notes_on_seeds(studies, experiments)
    comparisons = _compare(pairs, confidence)
    return Evidence(list(studies), experiments, comparisons, notes, baseline, n_resamples, seed, confidence)


def _measure(
    study: Study, studies: Sequence[Study], n: int, seed: int, confidence: float
) -> list[Experiment]:
    runs = [run for run in study.runs if run.usable]
    if not runs:
        return []
    first = runs[0].splits["test"]
    design = clusters(first.label, first.group)
    if design.n < _FEW_GROUPS:
        what = f"has only {design.n} source groups among its test videos"
        study.notes.append(Note(study.name, what, "percentile intervals are somewhat too short then"))
    rankings = [
        Ranking(s.score, s.label, design.of_video, run.threshold)
        for run in runs
        for s in [run.splits["test"]]
    ]
    by_name = bootstrap(rankings, design, n, seed)
    samples = np.stack([by_name[name] for name in MEASURES], axis=1)
    experiments: dict[str, Experiment] = {}
    for run, sample in zip(runs, samples, strict=True):
        scores = run.splits["test"]
        by_measure = measures.measure(scores.score, scores.label, run.threshold)
        values = np.array([by_measure[name] for name in MEASURES])
        label = label_of(run.experiment, study, studies)
        experiment = experiments.setdefault(run.experiment, Experiment(study.name, run.experiment, label, []))
        intervals = [percentile(row, confidence) for row in sample]
        experiment.runs.append(RunEvidence(run, values, sample, intervals))
    return list(experiments.values())


def _pairs(
    studies: Sequence[Study], experiments: Sequence[Experiment], baseline: str, notes: list[Note]
) -> list[tuple[Experiment, Experiment]]:
    by_name = {(e.study, e.name): e for e in experiments}
    pairs = []
    for study in studies:
        mine = [e for e in experiments if e.study == study.name]
        reference = by_name.get((study.name, baseline))
        if reference is None and mine:
            notes.append(Note(study.name, f"no usable run of {baseline!r}", "nothing is compared with it"))
        pairs += [(e, reference) for e in mine if reference is not None and e is not reference]
        for experiment in mine:
            twin = by_name.get((studies[0].name, experiment.name))
            if twin is None or twin is experiment:
                continue
            if _same_videos(experiment, twin):
                pairs.append((experiment, twin))
            else:
                notes.append(
                    Note(
                        experiment.label,
                        f"was tested on other videos than {twin.label}",
                        "not compared with it",
                    )
                )
    return pairs


def _same_videos(one: Experiment, other: Experiment) -> bool:
    a, b = one.runs[0].test, other.runs[0].test
    return a.video == b.video and a.group == b.group and bool((a.label == b.label).all())


def _compare(pairs: Sequence[tuple[Experiment, Experiment]], confidence: float) -> list[Comparison]:
    gaps = [one.mean_samples() - other.mean_samples() for one, other in pairs]
    p_values = [two_sided_p(gap[0]) for gap in gaps]
    tests = [delong(a.best().test.score, b.best().test.score, a.best().test.label) for a, b in pairs]
    comparisons = []
    for i, (p_holm, p_delong_holm) in enumerate(zip(holm(p_values), holm([t.p for t in tests]), strict=True)):
        one, other = pairs[i]
        seeds = welch(one.values("auroc"), other.values("auroc"))
        comparisons.append(
            Comparison(
                experiment=one,
                reference=other,
                differences=np.array([one.values(m).mean() - other.values(m).mean() for m in MEASURES]),
                intervals=[percentile(row, confidence) for row in gaps[i]],
                p=p_values[i],
                p_holm=p_holm,
                best_difference=tests[i].difference,
                p_delong=tests[i].p,
                p_delong_holm=p_delong_holm,
                p_seeds=seeds.p if seeds else None,
            )
        )
    return comparisons


def _notes_on_seeds(studies: Sequence[Study], experiments: Sequence[Experiment]) -> list[Note]:
    notes = []
    for study in studies:
        for run in study.runs:
            if run.state != "finished":
                what = _STATES[run.state] + (f" ({run.detail})" if run.detail else "")
                notes.append(Note(run.name, what, "its experiment is averaged over fewer seeds"))
        usable = {e.name for e in experiments if e.study == study.name}
        for name in study.experiments:
            if name not in usable:
                notes.append(
                    Note(f"{study.name}/{name}", "has no usable run", "absent from tables and figures")
                )
        mine = [run for e in experiments if e.study == study.name for run in e.runs]
        if perfect := sum(run.values[0] == 1 for run in mine):
            what = f"has {perfect} of {len(mine)} runs that separate all test videos"
            notes.append(
                Note(
                    study.name, what, "so does every resample, and an interval without width is no certainty"
                )
            )
    for experiment in experiments:
        if len(experiment.runs) == 1:
            where = f"{experiment.study}/{experiment.name}"
            notes.append(Note(where, "has one usable seed", "no standard deviation, no test over seeds"))
    return notes
