"""What holds how far, in tables and sentences: other data sets, corruptions, and what may be said of them."""

from pathlib import Path

from dfdc_lightning.audit.check_file import read_check
from dfdc_lightning.report.evidence import Evidence
from dfdc_lightning.report.inference import Estimate
from dfdc_lightning.report.robustness import Held, curves_of, half_lost, robustness, untouched
from dfdc_lightning.report.table import ABSENT, Table, between, gap, interval, number, percent
from dfdc_lightning.results.elsewhere import LEVELS


def elsewhere(evidence: Evidence) -> Table:
    """Tabulate the AUROC of every experiment on every other data set, and what it lost."""
    sure = percent(evidence.confidence)
    columns = ["data set", "experiment", "REAL", "FAKE", "AUROC", sure, "own test", "change", "shortcuts"]
    columns += ["no score", "trained on"]
    rows = [
        [
            one.data,
            one.experiment.label,
            str(one.real),
            str(one.fake),
            number(one.auroc.value),
            interval(one.auroc),
            number(one.experiment.mean["auroc"].value),
            gap(one.change),
            shortcuts(one),
            str(one.lost),
            str(one.left_out),
        ]
        for one in sorted(robustness(evidence).elsewhere, key=lambda one: one.data)
    ]
    caption = (
        "Mean AUROC over seeds on data sets that no run has seen, and its change to the experiment's own "
        f"test videos; {sure} intervals over seeds and videos. Shortcuts: what file properties and looks "
        "alone reach on that data set (prepare_faces.py check=CACHE). No score: videos that could not be "
        "scored. Trained on: videos that were left out for it."
    )
    return Table("elsewhere", "On other data sets", caption, columns, rows)


def corruptions(evidence: Evidence) -> Table:
    """Tabulate AUROC over the levels of every corruption, and the level at which half of it is lost."""
    columns = [
        "data set",
        "experiment",
        "corruption",
        "untouched",
        *map(str, LEVELS),
        "half lost at",
        "no score",
    ]
    rows = []
    for data, experiment, name in curves_of(evidence):
        curve = robustness(evidence).curve(experiment, data, name)
        by_level = {one.level: one for one in curve}
        start = untouched(evidence, experiment, data)
        lost = half_lost(start, curve)
        rows.append(
            [
                data,
                experiment.label,
                name,
                ABSENT if start is None else _with_interval(start),
                *(_with_interval(by_level[k].auroc) if k in by_level else ABSENT for k in LEVELS),
                "never" if lost is None else f"level {lost:.1f}",
                str(max(one.lost for one in curve)),
            ]
        )
    caption = (
        f"Mean AUROC over seeds with its {percent(evidence.confidence)} interval over seeds and videos after "
        "each level of a corruption, which was applied to the videos before "
        "faces were looked for. Half lost: the level at which AUROC has lost half of what it had above 0.5, "
        "between levels by a straight line. No score: videos in which no face was found any more, at the "
        "worst level."
    )
    return Table("corruptions", "After corruptions", caption, columns, rows)


def _with_interval(estimate: Estimate) -> str:
    return f"{number(estimate.value)} ({interval(estimate)})" if estimate.interval else number(estimate.value)


def sentences(evidence: Evidence) -> str:
    """Say what the numbers allow to say, and what was left out."""
    found = robustness(evidence)
    said = []
    for data in dict.fromkeys(one.data for one in found.elsewhere):
        there = [one for one in found.elsewhere if one.data == data]
        best = max(there, key=lambda one: one.auroc.value)
        clear = sum(one.auroc.interval is not None and one.auroc.interval.low > 0.5 for one in there)
        known = any(one.auroc.interval is not None for one in there)
        said.append(
            f"On {data}, {clear} of {len(there)} experiments have an interval above 0.5, which is chance; "
            if known
            else f"On {data} no interval can be given ({best.auroc.reason}); "
        )
        sure = f" ({between(best.auroc)})" if best.auroc.interval is not None else ""
        own = best.experiment.mean["auroc"].value
        said[-1] += f"the highest mean is that of {best.experiment.label}, {best.auroc.value:.3f}{sure}, "
        said[-1] += f"against {own:.3f} on its own test videos."
    curves = curves_of(evidence)
    halves = [
        (lost, experiment.label, name, data)
        for data, experiment, name in curves
        if (lost := half_lost(untouched(evidence, experiment, data), found.curve(experiment, data, name)))
    ]
    if halves:
        lost, label, name, data = min(halves)
        said.append(
            f"{len(halves)} of {len(curves)} curves lose half of their AUROC above 0.5; {label} on {data} "
            f"does so first, under {name} at level {lost:.1f}."
        )
    elif curves:
        said.append("No corruption takes half of its AUROC above 0.5 from any experiment.")
    if said:
        said += [f"{fault[:1].upper()}{fault[1:]}." for fault in found.faults]
    return " ".join(said)


def shortcuts(one: Held) -> str:
    """Find the AUROC of the data set's shortcut baseline, where its check has been made."""
    check = read_check(Path(one.cache)) or {}
    found = check.get("shortcuts", {})
    if "auroc" not in found:
        return ABSENT
    return f"{found['auroc']:.3f} ({found['low']:.3f}–{found['high']:.3f})"
