"""Other people's detectors beside the study's own, on the test videos that both have scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from dfdc_lightning.errors import UserError
from dfdc_lightning.report.evidence import Evidence, Experiment, best_possible
from dfdc_lightning.report.foreign_scores import Matched, match
from dfdc_lightning.report.inference import (
    Difference,
    Estimate,
    adjusted,
    mean_interval,
    measured,
    paired,
    run_interval,
)
from dfdc_lightning.report.statistics import bootstrap, clusters
from dfdc_lightning.report.study import Note
from dfdc_lightning.report.table import Table, gap, interval, number, p_value, percent
from dfdc_lightning.report.tables import judged
from dfdc_lightning.results import measures
from dfdc_lightning.results.measures import NAMES
from dfdc_lightning.results.predictions import restricted
from dfdc_lightning.results.ranking import MEASURES, Ranking

THRESHOLD = 0.5  # of every detector that comes as a file of probabilities
_MOST_NAMES = 50  # rows of one file in the table of videos


@dataclass(frozen=True)
class Beside:
    """An experiment on the common videos, and its means over seeds minus the other detector's values."""

    experiment: Experiment
    mean: Mapping[str, Estimate]
    differences: Mapping[str, Difference]


@dataclass(frozen=True)
class Foreign:
    """One detector of others and every experiment of one study, on the videos that all have scored."""

    name: str
    study: str
    matched: Matched
    estimates: Mapping[str, Estimate]
    beside: list[Beside]


@lru_cache(maxsize=1)
def foreign(evidence: Evidence) -> tuple[list[Foreign], list[Note]]:
    """Measure every file of scores against every study; a sentence on each that cannot be used."""
    found, notes = [], []
    for path in evidence.scores:
        for study in dict.fromkeys(experiment.study for experiment in evidence.experiments):
            experiments = [experiment for experiment in evidence.experiments if experiment.study == study]
            try:
                found.append(_foreign(Path(path), experiments, evidence))
            except UserError as error:
                notes.append(Note(study, str(error), "the file is left out"))
    return _adjusted(found), notes


def _foreign(path: Path, experiments: Sequence[Experiment], evidence: Evidence) -> Foreign:
    matched = match(path, experiments[0].runs[0].test)
    common, scores = {*matched.scores.video}, matched.scores
    runs = [(restricted(run.test, common), run.threshold) for e in experiments for run in e.runs]
    design = clusters(scores.label, scores.group)
    everyone = [(scores, THRESHOLD), *runs]
    rankings = [Ranking(s.score, s.label, design.of_video, threshold) for s, threshold in everyone]
    samples = bootstrap(rankings, design, evidence.n_resamples, evidence.seed)
    values = [measures.measure(s.score, s.label, threshold) for s, threshold in everyone]
    by_name = {
        name: [
            measured(one[name], moved, design.smaller)
            for one, moved in zip(values, samples[name], strict=True)
        ]
        for name in MEASURES
    }
    groups, sure = design.smaller, evidence.confidence
    beside, start = [], 1
    for experiment in experiments:
        part = slice(start, start := start + len(experiment.runs))
        beside.append(
            Beside(
                experiment,
                {n: mean_interval(by_name[n][part], groups, sure, best_possible(n)) for n in MEASURES},
                {n: paired(by_name[n][part], by_name[n][:1], groups, sure) for n in MEASURES},
            )
        )
    own = {n: run_interval(by_name[n][0], groups, sure, best_possible(n)) for n in MEASURES}
    return Foreign(path.name, experiments[0].study, matched, own, beside)


def _adjusted(found: Sequence[Foreign]) -> list[Foreign]:
    """Adjust the p-values of AUROC for all comparisons with other detectors."""
    all_of_them = adjusted([b.differences["auroc"] for one in found for b in one.beside])
    remaining = iter(all_of_them)
    return [
        replace(
            one,
            beside=[replace(b, differences={**b.differences, "auroc": next(remaining)}) for b in one.beside],
        )
        for one in found
    ]


def results(evidence: Evidence) -> Table:
    """Tabulate every measure of each detector and of each experiment on the common videos."""
    sure = percent(evidence.confidence)
    columns = ["compared on", "detector", "REAL", "FAKE", "seeds", "AUROC", sure]
    columns += [NAMES[name] for name in MEASURES[1:]]
    rows = []
    for one in foreign(evidence)[0]:
        label = one.matched.scores.label
        everyone = [(one.name, one.estimates), *((b.experiment.label, b.mean) for b in one.beside)]
        for name, estimates in everyone:
            row = [f"videos of {one.name}", name, str(int((~label).sum())), str(int(label.sum()))]
            row += [str(estimates["auroc"].seeds), number(estimates["auroc"].value)]
            row += [interval(estimates["auroc"]), *(number(estimates[m].value) for m in MEASURES[1:])]
            rows.append(row)
    caption = (
        "On the test videos that the detector has scored. Experiments: mean over seeds, interval over seeds "
        "and videos, each run's own threshold. Other detectors: interval over videos, threshold "
        f"{THRESHOLD:g}."
    )
    return Table("detectors", "Other detectors on the same videos", caption, columns, rows)


def differences(evidence: Evidence) -> Table:
    """Compare each experiment with each other detector, paired by video."""
    columns = ["experiment", "compared with", "Δ AUROC", "verdict"]
    columns += [*(f"Δ {NAMES[name]}" for name in MEASURES[1:]), "p of AUROC", "Holm"]
    rows = [
        [b.experiment.label, one.name, gap(b.differences["auroc"]), judged(b.differences["auroc"])]
        + [gap(b.differences[name]) for name in MEASURES[1:]]
        + [p_value(b.differences["auroc"].p), p_value(b.differences["auroc"].p_holm)]
        for one in foreign(evidence)[0]
        for b in one.beside
    ]
    caption = (
        "Mean of the experiment over seeds minus the other detector's value on the same videos, with "
        f"{percent(evidence.confidence)} intervals over seeds and videos; the other detector is taken as it "
        "is, without seeds. Holm: p adjusted for all comparisons of this table; the verdicts go by it."
    )
    return Table("detector_differences", "Differences to other detectors", caption, columns, rows)


def uncounted(evidence: Evidence) -> Table:
    """Count the videos that only one side has."""
    rows = []
    for one in foreign(evidence)[0]:
        names = [(video, "test video without a score") for video in one.matched.missing]
        names += [(video, "scored, but none of the test videos") for video in one.matched.unknown]
        rows += [[one.name, one.study, video, why] for video, why in names[:_MOST_NAMES]]
        if len(names) > _MOST_NAMES:
            rows.append([one.name, one.study, f"and {len(names) - _MOST_NAMES} more", "as above"])
    caption = f"They are in no number of this section. At most {_MOST_NAMES} per file."
    return Table("uncounted", "Videos that could not be compared", caption, _UNCOUNTED, rows)


_UNCOUNTED = ["detector", "study", "video", "why"]


def sentences(evidence: Evidence) -> str:
    """Say on how many videos each comparison is."""
    said = []
    for one in foreign(evidence)[0]:
        common, missing, unknown = len(one.matched.scores.video), one.matched.missing, one.matched.unknown
        text = f"{one.name} has scored {common} of {common + len(missing)} test videos of {one.study}"
        text += ", and everything here is on these" if missing else ""
        text += f"; of its own videos, {len(unknown)} are not among these" if unknown else ""
        said.append(f"{text}.")
    return " ".join(said)
