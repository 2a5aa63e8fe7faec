"""From run folders to every number of the report: values, intervals, comparisons; nothing formatted yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from dfdc_lightning.report.inference import FEWEST_GROUPS as FEWEST_GROUPS
from dfdc_lightning.report.inference import (
    Difference,
    Estimate,
    Measured,
    adjusted,
    compare,
    few_groups,
    mean_interval,
    measured,
    run_interval,
)
from dfdc_lightning.report.statistics import Clusters, bootstrap, clusters
from dfdc_lightning.report.study import Note, Study
from dfdc_lightning.results import measures
from dfdc_lightning.results.measures import LOWER_IS_BETTER
from dfdc_lightning.results.predictions import Scores
from dfdc_lightning.results.ranking import MEASURES, Ranking
from dfdc_lightning.results.run_folder import RunFolder, Status

_STATES = {"failed": "failed", "unfinished": "is unfinished", "missing": "is missing"}


def best_possible(measure: str) -> float:
    """Give the value of a perfect detector: 0 for error rates, else 1."""
    return 0.0 if measure in LOWER_IS_BETTER else 1.0


@dataclass
class RunEvidence:
    """A run with its test measures by name, how the choice of videos moves them, and their intervals."""

    run: RunFolder
    measured: Mapping[str, Measured]
    estimates: Mapping[str, Estimate]

    @property
    def values(self) -> dict[str, float]:
        """What was measured on the test videos, by name."""
        return {name: one.value for name, one in self.measured.items()}

    @property
    def threshold(self) -> float:
        """The score above which the run calls a video FAKE."""
        return self.run.result.threshold

    @property
    def test(self) -> Scores:
        """What the run says of its test videos."""
        return self.run.predictions.splits["test"]

    @property
    def val(self) -> Scores | None:
        """What the run says of its validation videos, None where that cannot be used."""
        return self.run.predictions.splits.get("val")

    @cached_property
    def validation(self) -> tuple[float, float] | None:
        """How good these are: AUROC and log-loss, None without usable scores."""
        val = self.val
        if val is None:
            return None
        auroc = measures.measure(val.score, val.label, self.threshold)["auroc"]
        return auroc, measures.log_loss(val.score, val.label)

    @property
    def frame_auroc(self) -> float | None:
        """How well single frames tell their video's label; None where the model scores whole clips."""
        if self.test.frames is None:
            return None
        label = np.repeat(self.test.label, self.test.frames.shape[1])
        return measures.measure(self.test.frames.ravel(), label, self.threshold)["auroc"]


@dataclass
class Experiment:
    """The usable runs of one experiment of one study, and each measure's mean over seeds."""

    study: str
    name: str
    label: str
    runs: list[RunEvidence]
    mean: Mapping[str, Estimate]
    design: Clusters

    def values(self, measure: str) -> Float64[np.ndarray, " s"]:
        """List one value per seed."""
        return np.array([run.measured[measure].value for run in self.runs])

    def best(self, measure: str = "auroc") -> RunEvidence:
        """Choose the seed with the best *test* value, as the study does, which is optimistic."""
        values = self.values(measure)
        return self.runs[int(np.argmin(values) if measure in LOWER_IS_BETTER else np.argmax(values))]

    def chosen(self) -> RunEvidence | None:
        """Choose the seed by validation: its test values have no say in it."""
        return best_on_validation(self.runs)


def best_on_validation(runs: Sequence[RunEvidence]) -> RunEvidence | None:
    """Choose the run with the highest validation AUROC; of equals the one with the least log-loss."""
    known = [(run.validation, run) for run in runs if run.validation is not None]
    return max(known, key=lambda pair: (pair[0][0], -pair[0][1]))[1] if known else None


@dataclass(frozen=True)
class Comparison:
    """An experiment against its reference: differences of means over seeds, by measure."""

    experiment: Experiment
    reference: Experiment
    differences: Mapping[str, Difference]

    @property
    def auroc(self) -> Difference:
        """The difference that the verdict is about, its p-value adjusted for all comparisons."""
        return self.differences["auroc"]


@dataclass(eq=False)  # what is derived from it is kept by identity
class Evidence:
    """All that tables, figures and the page show.

    `scores` are files of other people's detectors. `delta` is the difference in AUROC that a study should
    find; `planning` says what that takes.
    """

    studies: list[Study]
    experiments: list[Experiment]
    comparisons: list[Comparison]
    notes: list[Note]
    baseline: str
    n_resamples: int
    seed: int
    confidence: float
    scores: tuple[Path, ...] = ()
    delta: float = 0.02

    @property
    def name(self) -> str:
        """How the studies are called together."""
        return "+".join(study.name for study in self.studies)

    @cached_property
    def chosen(self) -> RunEvidence | None:
        """Which run validation chooses of all."""
        return best_on_validation([run for experiment in self.experiments for run in experiment.runs])

    @property
    def why_chosen(self) -> str:
        """How `chosen` was chosen, ties included."""
        if self.chosen is None or self.chosen.validation is None:
            return ""
        top = self.chosen.validation[0]
        equal = sum(
            r.validation is not None and r.validation[0] == top for e in self.experiments for r in e.runs
        )
        tie = f", of {equal} equal runs the one with the lowest validation loss" if equal > 1 else ""
        return f"highest validation AUROC{tie}"

    def comparison(self, experiment: Experiment) -> Comparison | None:
        """Find the comparison with the baseline of the experiment's own study."""
        found = [
            c
            for c in self.comparisons
            if c.experiment is experiment and c.reference.study == experiment.study
        ]
        return found[0] if found else None


def label_of(experiment: str, study: Study, studies: Sequence[Study]) -> str:
    """Name an experiment where several studies may stand side by side."""
    return experiment if len(studies) == 1 else f"{study.name}: {experiment}"


def gather(
    studies: Sequence[Study],
    baseline: str = "baseline",
    n_resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
    scores: Sequence[Path] = (),
    delta: float = 0.02,
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
    return Evidence(
        list(studies),
        experiments,
        comparisons,
        notes,
        baseline,
        n_resamples,
        seed,
        confidence,
        tuple(scores),
        delta,
    )


def _measure(
    study: Study, studies: Sequence[Study], n: int, seed: int, confidence: float
) -> list[Experiment]:
    runs = study.usable
    if not runs:
        return []
    first = runs[0].predictions.splits["test"]
    design = clusters(first.label, first.group)
    if design.smaller < FEWEST_GROUPS:
        study.notes.append(
            Note(study.name, few_groups(design.smaller), "no interval and no verdict is given")
        )
    rankings = [
        Ranking(s.score, s.label, design.of_video, run.result.threshold)
        for run in runs
        for s in [run.predictions.splits["test"]]
    ]
    samples = bootstrap(rankings, design, n, seed)
    by_experiment: dict[str, list[RunEvidence]] = {}
    for i, run in enumerate(runs):
        scores = run.predictions.splits["test"]
        values = measures.measure(scores.score, scores.label, run.result.threshold)
        found = {name: measured(values[name], samples[name][i], design.smaller) for name in MEASURES}
        estimates = {
            name: run_interval(one, design.smaller, confidence, best_possible(name))
            for name, one in found.items()
        }
        by_experiment.setdefault(run.experiment, []).append(RunEvidence(run, found, estimates))
    return [
        Experiment(
            study.name,
            name,
            label_of(name, study, studies),
            members,
            {
                measure: mean_interval(
                    [run.measured[measure] for run in members],
                    design.smaller,
                    confidence,
                    best_possible(measure),
                )
                for measure in MEASURES
            },
            design,
        )
        for name, members in by_experiment.items()
    ]


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
    by_measure = {
        name: [
            compare(
                [run.measured[name] for run in one.runs],
                [run.measured[name] for run in other.runs],
                one.design.smaller,
                confidence,
            )
            for one, other in pairs
        ]
        for name in MEASURES
    }
    by_measure["auroc"] = adjusted(by_measure["auroc"])
    return [
        Comparison(one, other, {name: by_measure[name][i] for name in MEASURES})
        for i, (one, other) in enumerate(pairs)
    ]


def _notes_on_seeds(studies: Sequence[Study], experiments: Sequence[Experiment]) -> list[Note]:
    """Note which runs and seeds are missing; what fails alike in one experiment shares a line."""
    notes = []
    for study in studies:
        seeds_of: dict[tuple[str, str], list[str]] = {}
        for run in study.runs:
            if not run.finished:
                seeds_of.setdefault((run.experiment, _in_words(run.status)), []).append(str(run.seed))
        for (experiment, state), seeds in seeds_of.items():
            where = f"{study.name}/{experiment}" + (f"/{','.join(seeds)}" if len(seeds) < 6 else "")
            what = state if len(seeds) == 1 else f"{len(seeds)} runs: each {state}"
            notes.append(Note(where, what, "its experiment is averaged over fewer seeds"))
        usable = {e.name for e in experiments if e.study == study.name}
        for name in study.experiments:
            if name not in usable:
                notes.append(
                    Note(f"{study.name}/{name}", "has no usable run", "absent from tables and figures")
                )
    single = [f"{e.study}/{e.name}" for e in experiments if len(e.runs) == 1]
    if single:
        what = "has one usable seed" if len(single) == 1 else "have one usable seed each"
        notes.append(Note(", ".join(single), what, "the run is described, no verdict on the method is given"))
    return notes


def _in_words(status: Status) -> str:
    return _STATES[status.state] + (f" ({status.detail})" if status.detail else "")
