"""How far experiments hold: AUROC on other data sets and after corruptions, beside that of their own test."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dfdc_lightning.errors import UserError
from dfdc_lightning.report import influence
from dfdc_lightning.report.evidence import Evidence, Experiment, RunEvidence
from dfdc_lightning.report.inference import (
    Difference,
    Estimate,
    Measured,
    mean_interval,
    paired,
    run_interval,
)
from dfdc_lightning.report.statistics import clusters
from dfdc_lightning.results.elsewhere import (
    Evaluation,
    evaluation_folders,
    fingerprint_of,
    read_evaluation,
)
from dfdc_lightning.results.predictions import Scores, restricted

Place = tuple[str, str]  # data set and condition


@dataclass(frozen=True)
class Held:
    """An experiment on one data set in one condition: AUROC, mean over its seeds.

    `change` is this mean minus that on the experiment's own test videos. `lost` counts videos without a score
    and `left_out` those that a run was trained on.
    """

    experiment: Experiment
    data: str
    corruption: str
    level: int
    own: bool
    cache: str
    auroc: Estimate
    change: Difference
    real: int
    fake: int
    lost: int
    left_out: int


@dataclass(frozen=True)
class Robustness:
    """Everything that evaluate.py left in a study's run folders, and sentences on what could not be used."""

    held: list[Held]
    faults: list[str]

    @property
    def elsewhere(self) -> list[Held]:
        """What was measured on other data sets, as they are."""
        return [one for one in self.held if not one.own and not one.corruption]

    def curve(self, experiment: Experiment, data: str, corruption: str) -> list[Held]:
        """List the levels of one corruption, in order."""
        found = [
            one
            for one in self.held
            if one.experiment is experiment and (one.data, one.corruption) == (data, corruption)
        ]
        return sorted(found, key=lambda one: one.level)


@lru_cache(maxsize=1)
def robustness(evidence: Evidence) -> Robustness:
    """Read and measure the evaluations of every run that counts; once for a report."""
    held: list[Held] = []
    faults: list[str] = []
    for experiment in evidence.experiments:
        places: dict[Place, dict[int, Evaluation]] = {}
        for number, run in enumerate(experiment.runs):
            for evaluation in _usable(run, f"{experiment.label}, seed {run.run.seed}", faults):
                about = evaluation.about
                places.setdefault((about.data, about.condition), {})[number] = evaluation
        for place in sorted(places):
            if len(places[place]) < len(experiment.runs):
                missing = len(experiment.runs) - len(places[place])
                faults.append(
                    f"{experiment.label} on {' '.join(place).strip()}: {missing} of {len(experiment.runs)} "
                    "seeds have not been evaluated, the mean is over the others"
                )
            try:
                held.append(_held(experiment, places[place], evidence.confidence))
            except UserError as error:
                faults.append(f"{experiment.label} on {' '.join(place).strip()}: {error}")
    return Robustness(held, faults)


def _usable(run: RunEvidence, name: str, faults: list[str]) -> Iterator[Evaluation]:
    for folder in evaluation_folders(run.run.folder):
        try:
            evaluation = read_evaluation(folder)
        except UserError as error:
            faults.append(str(error))
            continue
        assert evaluation is not None
        if evaluation.about.model != fingerprint_of(run.run.predictions_file):
            faults.append(f"{name} was trained again after its evaluation in {folder}, which is left out")
        elif evaluation.scores is None:
            faults.append(f"{name}, {folder}: {evaluation.fault}, so it is left out")
        else:
            if evaluation.about.doubt:
                faults.append(f"{name} on {evaluation.about.data}: {evaluation.about.doubt}")
            yield evaluation


def _held(experiment: Experiment, evaluations: Mapping[int, Evaluation], confidence: float) -> Held:
    about = next(iter(evaluations.values())).about
    own = [set(experiment.runs[number].test.video) for number in evaluations] if about.own else []
    scores = _on_common({n: e.scores for n, e in evaluations.items() if e.scores is not None}, own)
    first = next(iter(scores.values()))
    if first.label.all() or not first.label.any():
        raise UserError("the videos that all seeds have scored are of one label, so it is left out")
    design = clusters(first.label, first.group)
    there = [_auroc(one, design.of_video) for one in scores.values()]
    if about.own:
        tested = [restricted(experiment.runs[number].test, set(first.video)) for number in scores]
        home = [_auroc(one, design.of_video) for one in tested]
        change = paired(there, home, design.smaller, confidence)
    else:
        home = [experiment.runs[number].measured["auroc"] for number in scores]
        groups = min(design.smaller, experiment.design.smaller)
        change = paired(*_on_other_videos(there, home), groups, confidence)
    corruption, _, level = about.condition.partition("-")
    several = len(there) > 1
    return Held(
        experiment,
        about.data,
        corruption,
        int(level or 0),
        about.own,
        about.cache,
        mean_interval(there, design.smaller, confidence)
        if several
        else run_interval(there[0], design.smaller, confidence),
        change,
        int((~first.label).sum()),
        int(first.label.sum()),
        len({video for e in evaluations.values() for video in e.about.without_score}),
        len({video for e in evaluations.values() for video in e.about.trained_on}),
    )


def _on_common(scores: Mapping[int, Scores], others: Sequence[set[str]]) -> dict[int, Scores]:
    """Keep the same videos for every seed: those that all have scored, and that are among all the others."""
    common = set.intersection(*(set(one.video) for one in scores.values()), *others)
    return {number: restricted(one, common) for number, one in scores.items()}


def _on_other_videos(
    there: Sequence[Measured], home: Sequence[Measured]
) -> tuple[list[Measured], list[Measured]]:
    """Put spreads side by side: what moves values on some videos does not move those on others."""
    n, m = len(there[0].spread), len(home[0].spread)
    return (
        [Measured(one.value, np.pad(one.spread, (0, m))) for one in there],
        [Measured(one.value, np.pad(one.spread, (n, 0))) for one in home],
    )


def _auroc(scores: Scores, group: np.ndarray) -> Measured:
    return influence.auroc(scores.score, scores.label, np.ones(len(scores.video), bool), group)


def half_lost(start: Estimate | None, curve: Sequence[Held]) -> float | None:
    """Find the level at which a mean AUROC has lost half of what it had above 0.5, between levels by a line.

    Args:
        start: AUROC without the corruption.
        curve: From `Robustness.curve`.

    Returns:
        None where it never does, or had nothing to lose.
    """
    if start is None or start.value <= 0.5:
        return None
    target = 0.5 + (start.value - 0.5) / 2
    points = [(0, start.value), *((one.level, one.auroc.value) for one in curve)]
    for (before, high), (after, low) in zip(points, points[1:], strict=False):
        if low <= target:
            return before + (after - before) * (high - target) / (high - low)
    return None


def curves_of(evidence: Evidence) -> list[tuple[str, Experiment, str]]:
    """List data set, experiment and corruption of every curve, in the order of tables and figures."""
    held = robustness(evidence).held
    there = {(one.data, one.experiment.label, one.corruption) for one in held if one.corruption}
    return [
        (data, experiment, name)
        for data in sorted({data for data, _, _ in there})
        for experiment in evidence.experiments
        for name in sorted({name for _, _, name in there})
        if (data, experiment.label, name) in there
    ]


def untouched(evidence: Evidence, experiment: Experiment, data: str) -> Estimate | None:
    """Find the AUROC on the same videos without a corruption; None where these have not been scored so."""
    held = [one for one in robustness(evidence).held if one.experiment is experiment and one.data == data]
    if any(one.own for one in held):
        return experiment.mean["auroc"]
    return next((one.auroc for one in held if not one.corruption), None)
