"""Whether the report's claims hold: simulated studies whose truth is known, thousands of each kind.

    PYTHONPATH=. python benchmarks/coverage.py            # every table, about 11 minutes on 2 free cores
    PYTHONPATH=. python benchmarks/coverage.py --quick    # the same tables from few studies

Prints tables and writes benchmarks/coverage.json. A study's score is a sum of normal parts: what its source
group, its video, its video under one method and its video under one run are worth. The AUROC of a method's
seeds is normal around the method's. Thousands of bootstraps would take days, so studies of many runs take
the covariance over videos in closed form (DeLong et al., 1988; by group: Obuchowski, 1997), which the first
table holds against the report's bootstrap.
"""

import argparse
import json
import platform
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from dfdc_lightning.machine import cores
from dfdc_lightning.report.inference import (
    Measured,
    half_width,
    measured,
    run_interval,
    score_ends,
    variances,
)
from dfdc_lightning.report.planning import enough, parts
from dfdc_lightning.report.statistics import bootstrap, clusters, resamples
from dfdc_lightning.results.measures import LOWER_IS_BETTER
from dfdc_lightning.results.ranking import Ranking

ROOT = Path(__file__).parents[1]
DEVIATIONS, SEEDS, VIDEOS = (0.0, 0.01, 0.03, 0.06), (2, 3, 5, 10), (40, 80, 156, 314)
UNEQUAL = (0.06, 0.0)
AUROCS, GROUPS, LOW_RATES = (0.80, 0.95, 0.99), (40, 78, 157), (0.01, 0.05)
TESTS = ("joint", "Hillis", "Welch", "videos alone")
PAIRS = ("another detector", "after a corruption", "on other videos")
GAP, POWER, RESAMPLES, PILOTS = 0.02, 0.8, 500, 100
SIZES = np.geomspace(0.6, 1 / 0.6, 7)  # of simulated studies, as multiples of the size that is looked for
CASES = ((0.0, 314), (0.01, 314), (0.01, 628), (0.02, 628), (0.02, 1256))  # SD over seeds, pilot's videos
MOST = {"seeds": 64, "videos": 3000}
# Variances of a score's parts; they add up to 1.
GROUP, VIDEO, METHOD, RUN = 0.15, 0.30, 0.20, 0.35
NOISE = 0.3  # share of a score's variance that a corruption draws anew
CELLS = 200_000  # scores that are drawn at a time: few enough for the processor's cache


class Study(NamedTuple):
    """A kind of study: two methods, `seeds` of each, tested on the same videos, half of them FAKE."""

    seeds: int
    videos: int
    deviation: tuple[float, float]
    grouped: bool
    gap: float = 0.0
    auroc: float = 0.86


def batch_of(study: Study) -> int:
    """How many studies are drawn at a time."""
    return max(1, CELLS // (2 * study.seeds * study.videos))


def draw(study: Study, n: int, rng: np.random.Generator) -> np.ndarray:
    """Scores (n, runs, videos) of n studies; the first half of the videos is REAL, the second FAKE."""
    means = np.repeat([study.auroc, study.auroc - study.gap], study.seeds)
    auroc = seeds_of(means, np.repeat(study.deviation, study.seeds), n, rng)
    return shifted(latent(study, n, rng), auroc)


def seeds_of(
    mean: np.ndarray | float, deviation: np.ndarray | float, n: int, rng: np.random.Generator, seeds: int = 0
) -> np.ndarray:
    """AUROC of every seed of n studies, normal around the mean."""
    shape = (n, seeds or len(np.atleast_1d(mean)))
    drawn: np.ndarray = np.clip(rng.normal(mean, deviation, shape), 0.02, 0.9999)
    return drawn


def shifted(scores: np.ndarray, auroc: np.ndarray) -> np.ndarray:
    """Move the scores of FAKE videos so far that each run has its AUROC."""
    scores[..., scores.shape[-1] // 2 :] += (2**0.5 * ndtri(auroc))[..., None]
    return scores


def latent(study: Study, n: int, rng: np.random.Generator) -> np.ndarray:
    """Scores (n, runs, videos) as they would be if FAKE were not to be told from REAL."""
    half = study.videos // 2
    group = rng.normal(0, GROUP**0.5, (n, 1, half if study.grouped else 2 * half))
    scores = np.tile(group, 2) if study.grouped else group
    scores = scores + rng.normal(0, VIDEO**0.5, (n, 1, 2 * half))
    scores = np.repeat(scores + rng.normal(0, METHOD**0.5, (n, 2, 2 * half)), study.seeds, axis=1)
    scores += rng.normal(0, RUN**0.5, scores.shape)
    return scores


def draw_pairs(kind: str, study: Study, n: int, rng: np.random.Generator) -> np.ndarray:
    """Scores of the seeds of one method, then of what they are compared with, which has the same AUROC.

    That is another detector as it is, or the same seeds after a corruption, which adds noise, or on other
    videos; how well a seed does there is drawn anew.
    """
    runs, size = latent(study, n, rng), study.seeds
    first, spread = runs[:, :size], study.deviation[0]
    if kind == "another detector":
        second, auroc = runs[:, size : size + 1], np.full((n, 1), study.auroc)
    else:
        if kind == "after a corruption":
            second = (1 - NOISE) ** 0.5 * first + rng.normal(0, NOISE**0.5, first.shape)
        else:
            second = latent(study, n, rng)[:, :size]
        auroc = seeds_of(study.auroc, spread, n, rng, size)
    first = shifted(first, seeds_of(study.auroc, spread, n, rng, size))
    return np.concatenate([first, shifted(second, auroc)], axis=1)


def placements(scores: np.ndarray, grouped: bool) -> tuple[np.ndarray, np.ndarray]:
    """AUROC of each run, and its covariance with the others' over videos (groups of a REAL and a FAKE)."""
    half = scores.shape[-1] // 2
    order = scores.argsort(axis=-1)
    fake = order >= half
    fakes_below, reals_below = np.cumsum(fake, axis=-1), np.cumsum(~fake, axis=-1)
    place = np.empty(scores.shape)
    np.put_along_axis(place, order, np.where(fake, reals_below, half - fakes_below) / half, axis=-1)
    auroc = place[..., half:].mean(axis=-1)
    moved = (place - auroc[..., None]) / half
    if grouped:
        moved = moved[..., :half] + moved[..., half:]
    return auroc, moved @ np.swapaxes(moved, -1, -2) * (half / (half - 1))


def tests(study: Study, n: int) -> dict[str, float]:
    """How often each test calls the two methods different at 5 %."""
    rng = np.random.default_rng(
        [study.seeds, study.videos, *(round(1000 * x) for x in (*study.deviation, study.gap)), study.grouped]
    )
    hits: dict[str, int] = dict.fromkeys(TESTS, 0)
    for start in range(0, n, batch := batch_of(study)):
        auroc, covariance = placements(draw(study, min(batch, n - start), rng), study.grouped)
        sides = [auroc[:, : study.seeds], auroc[:, study.seeds :]]
        gap = np.abs(sides[0].mean(axis=1) - sides[1].mean(axis=1))
        found = variances(sides, covariance, study.videos // 2)
        each = np.maximum(found.seeds, 1e-18)
        seeds, whole = each.sum(axis=0), each.sum(axis=0) + found.common
        freedom = 1 / (each**2 / (study.seeds - 1)).sum(axis=0)
        quantile = -stdtrit(study.videos // 2 - 1, 0.025)
        hits["joint"] += int((gap > half_width(found, 0.05)).sum())
        hits["Hillis"] += int((2 * stdtr(whole**2 * freedom, -gap / np.sqrt(whole)) < 0.05).sum())
        hits["Welch"] += int((2 * stdtr(seeds**2 * freedom, -gap / np.sqrt(seeds)) < 0.05).sum())
        hits["videos alone"] += int((gap > quantile * np.sqrt(found.videos)).sum())
    return {name: count / n for name, count in hits.items()}


def pairs(kind: str, study: Study, n: int) -> float:
    """How often a difference that is taken seed by seed, and is chance alone, is called clear at 5 %."""
    rng = np.random.default_rng(
        [PAIRS.index(kind), study.seeds, study.videos, round(1000 * study.deviation[0])]
    )
    hits, size = 0, study.seeds
    for start in range(0, n, batch := batch_of(study)):
        auroc, covariance = placements(draw_pairs(kind, study, min(batch, n - start), rng), study.grouped)
        if kind == "on other videos":
            covariance[:, :size, size:] = covariance[:, size:, :size] = 0
        others = np.arange(size) if auroc.shape[1] == 2 * size else np.zeros(size, int)
        minus = np.eye(size, auroc.shape[1])
        minus[np.arange(size), size + others] = -1
        values = auroc @ minus.T
        found = variances([values], minus @ covariance @ minus.T, study.videos // 2)
        hits += int((np.abs(values.mean(axis=1)) > half_width(found, 0.05)).sum())
    return hits / n


def truth(measure: str, auroc: float) -> float:
    """A measure of endless videos whose latent scores are normal with variance 1, threshold half-way."""
    distance = 2**0.5 * ndtri(auroc)
    hit = float(ndtr(distance / 2))
    at = {f"tpr_at_{100 * fpr:g}": float(ndtr(distance - ndtri(1 - fpr))) for fpr in LOW_RATES}
    return {"auroc": auroc, "accuracy": hit, "f1": hit, "eer": 1 - hit, **at}[measure]


def low_rates(score: np.ndarray, label: np.ndarray, counts: np.ndarray, fpr: float) -> np.ndarray:
    """TPR at a false-positive rate of each resample; `counts` says how often each video was drawn."""
    order = np.argsort(-score)
    taken, fake = counts[:, order], label[order]
    alarms = np.cumsum(taken * ~fake, axis=1) / (taken * ~fake).sum(axis=1, keepdims=True)
    found = np.cumsum(taken * fake, axis=1) / (taken * fake).sum(axis=1, keepdims=True)
    return np.where(alarms <= fpr + 1e-12, found, 0.0).max(axis=1)


def intervals(auroc: float, groups: int, n: int) -> dict[str, dict[str, float]]:
    """How often a run's interval, made as the report makes it, holds the true value of each measure."""
    rng = np.random.default_rng([groups, round(1000 * auroc)])
    label = np.repeat([False, True], groups)
    group = np.tile(np.arange(groups), 2)
    design = clusters(label, [str(g) for g in group])
    counts = np.ones((1, design.n), np.int32)
    found: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}
    for _ in range(n):
        latent = rng.normal(0, GROUP**0.5, groups)[group] + rng.normal(0, (1 - GROUP) ** 0.5, 2 * groups)
        latent += label * 2**0.5 * ndtri(auroc)
        ranking = Ranking(latent, label, design.of_video, 2**0.5 * ndtri(auroc) / 2)
        seed = int(rng.integers(1 << 30))
        values = {name: float(value[0]) for name, value in ranking.measure(counts).items()}
        samples = {name: drawn[0] for name, drawn in bootstrap([ranking], design, RESAMPLES, seed).items()}
        videos = next(resamples(design, RESAMPLES, seed, RESAMPLES))[:, design.of_video]
        for fpr in LOW_RATES:
            name = f"tpr_at_{100 * fpr:g}"
            values[name] = float(low_rates(latent, label, np.ones_like(videos[:1]), fpr)[0])
            samples[name] = low_rates(latent, label, videos, fpr)
        for name, value in values.items():
            best = 0.0 if name in LOWER_IS_BETTER else 1.0
            run = run_interval(measured(value, samples[name], groups), groups, best=best)
            if run.interval is None:  # the report says why; nothing is claimed
                continue
            found.setdefault(name, []).append(run.interval.low <= truth(name, auroc) <= run.interval.high)
            widths.setdefault(name, []).append(run.interval.high - run.interval.low)
    return {
        name: {"coverage": float(np.mean(found[name])), "width": float(np.mean(widths[name]))}
        for name in found
    }


def means(seeds: int, deviation: float, videos: int, auroc: float, n: int) -> float:
    """How often the joint interval of a mean over seeds holds the method's AUROC."""
    rng = np.random.default_rng([seeds, videos, round(1000 * deviation), round(1000 * auroc)])
    kind = Study(seeds, videos, (deviation, deviation), grouped=True, auroc=auroc)
    inside = 0
    for start in range(0, n, batch := batch_of(kind)):
        b = min(batch, n - start)
        values, covariance = placements(draw(kind, b, rng)[:, :seeds], grouped=True)
        mean = values.mean(axis=1)
        half = half_width(variances([values], covariance, videos // 2), 0.05)
        low, high = score_ends(np.minimum(mean, 1 - 1e-12), half)
        bound = 0.025 ** (2 / videos)
        inside += int(np.where(mean == 1, auroc >= bound, (low <= auroc) & (auroc <= high)).sum())
    return inside / n


def planned(kind: Study, pilots: int) -> dict[str, float]:
    """Seeds and videos that detect a difference of 0.02 with 80 % power: median of the pilots' plans."""
    rng = np.random.default_rng([kind.videos, round(1000 * kind.deviation[0])])
    size, groups = kind.seeds, kind.videos // 2
    plans: dict[str, list[float]] = {"seeds": [], "videos": []}
    auroc, covariance = placements(draw(kind, pilots, rng), kind.grouped)
    for values, matrix in zip(auroc, covariance, strict=True):
        spread = np.linalg.cholesky(matrix + 1e-12 * np.eye(len(matrix)))
        runs = [Measured(float(value), row) for value, row in zip(values, spread, strict=True)]
        found = enough(parts(runs[:size], runs[size:], groups), size, GAP)
        plans["seeds"].append(found.seeds or np.inf)
        plans["videos"].append((found.times or np.inf) * kind.videos)
    return {unit: float(np.median(found)) for unit, found in plans.items()}


def needed(kind: Study, unit: str, around: float, n: int) -> float:
    """The seeds or videos with a power of 80 %, infinite beyond the most that is tried.

    The power's probit is fitted over log size: all studies of all sizes then say where 80 % lies, whereas a
    bisection would believe the noise of each.
    """

    def of_size(size: float) -> Study:
        return (
            kind._replace(seeds=round(size)) if unit == "seeds" else kind._replace(videos=2 * round(size / 2))
        )

    most = MOST[unit]
    if around > most and tests(of_size(most), n)["joint"] < POWER:
        return float("inf")
    around = min(around, most)
    for _ in range(3):
        tried = [of_size(size) for size in np.clip(around * SIZES, 4, 1.7 * most)]
        hits = np.array([tests(study, n)["joint"] for study in tried])
        log_size = np.log([getattr(study, unit) for study in tried])
        probit = ndtri(np.clip(hits, 0.5 / n, 1 - 0.5 / n))
        slope, start = np.polyfit(log_size, probit, 1, w=np.exp(-(probit**2) / 2))
        found = float(np.exp((ndtri(POWER) - start) / slope)) if slope > 0 else np.inf
        if log_size.min() <= np.log(found) <= log_size.max() or around == most:
            break
        around = min(found, most)
    return found if found <= most else float("inf")


def closed_form(videos: int, n: int) -> float:
    """Variances in closed form over those of the report's bootstrap, as a mean ratio."""
    rng = np.random.default_rng(videos)
    label = np.repeat([False, True], videos // 2)
    design = clusters(label, [str(g) for g in np.tile(np.arange(videos // 2), 2)])
    ratios = []
    for scores in draw(Study(2, videos, (0.0, 0.0), grouped=True), n, rng):
        _, covariance = placements(scores[None], grouped=True)
        samples = bootstrap([Ranking(s, label, design.of_video, 0.5) for s in scores], design, 2000)["auroc"]
        spread = np.array([measured(0.0, row, design.smaller).spread for row in samples])
        ratios.append(np.trace(covariance[0]) / np.trace(spread @ spread.T))
    return float(np.mean(ratios))


def rates(n: int, pool: Executor) -> list[dict[str, Any]]:
    """False positives of every kind of study."""
    kinds = [
        Study(seeds, videos, deviation, grouped)
        for grouped in (False, True)
        for videos in VIDEOS
        for deviation in [*((d, d) for d in DEVIATIONS), UNEQUAL]
        for seeds in SEEDS
    ]
    return _tested(kinds, n, pool)


def powers(n: int, pool: Executor) -> list[dict[str, Any]]:
    """How often a difference of 0.05 is found with 314 videos."""
    return _tested([Study(s, 314, (d, d), True, gap=0.05) for d in DEVIATIONS for s in SEEDS], n, pool)


def print_pairs(n: int, pool: Executor) -> list[dict[str, Any]]:
    """One line per kind and deviation, one column per number of seeds: lowest and highest over videos."""
    kinds = [(k, Study(s, v, (d, d), True)) for k in PAIRS for d in DEVIATIONS for s in SEEDS for v in VIDEOS]
    found = list(pool.map(pairs, *zip(*kinds, strict=True), [n] * len(kinds)))
    for i in range(0, len(kinds), len(SEEDS) * len(VIDEOS)):
        kind, study = kinds[i]
        cells = np.reshape(found[i : i + len(SEEDS) * len(VIDEOS)], (len(SEEDS), len(VIDEOS))) * 100
        ends = "".join(f"{f'{row.min():.1f} to {row.max():.1f}':<14}" for row in cells)
        print(f"{kind:<20}SD {study.deviation[0]:<6}{ends}")
    return [
        {"kind": kind, "rate": rate, **study._asdict()}
        for (kind, study), rate in zip(kinds, found, strict=True)
    ]


def _tested(kinds: Sequence[Study], n: int, pool: Executor) -> list[dict[str, Any]]:
    done = pool.map(partial(tests, n=n), kinds)
    return [kind._asdict() | hits for kind, hits in zip(kinds, done, strict=True)]


def simulate(quick: bool) -> dict[str, Any]:
    """Every table, printed as it is known."""
    n, few = (50, 10) if quick else (10_000, 4_000)
    result: dict[str, Any] = {"studies": n}
    with ProcessPoolExecutor(1 if quick else cores()) as pool:
        result["closed form over bootstrap"] = {v: closed_form(v, 2 if quick else 30) for v in VIDEOS}
        print("variance in closed form over the bootstrap's:", result["closed form over bootstrap"])

        print(f"\nFalse positives at 5 %, {n:,} studies of each kind (%): {' | '.join(TESTS)}")
        result["false positives"] = rates(n, pool)
        print_tests(result["false positives"])
        for text, unequal in ((f"SD {UNEQUAL[0]:g} and {UNEQUAL[1]:g}", True), ("equal SD", False)):
            found = [r["joint"] for r in result["false positives"] if (r["deviation"] == UNEQUAL) == unequal]
            print(f"largest rate of the joint test, {text}: {100 * max(found):.1f} %")

        print(
            f"\nFalse positives at 5 % of differences taken seed by seed, {n // 2:,} studies of each kind (%)"
        )
        result["pairs"] = print_pairs(n // 2, pool)

        print(f"\nPower for a true difference of 0.05, 314 videos in groups, {few // 2:,} studies (%)")
        result["power"] = powers(few // 2, pool)
        print_tests(result["power"])

        print(f"\nCoverage of nominal 95 % intervals of one run, {few:,} test sets of each kind (%)")
        kinds = list(product(AUROCS, GROUPS))
        made = pool.map(intervals, *zip(*kinds, strict=True), [few] * len(kinds))
        result["coverage"] = [
            {"true": auroc, "groups": groups, **found}
            for (auroc, groups), found in zip(kinds, made, strict=True)
        ]
        print_coverage(result["coverage"])

        print(f"\nCoverage of the joint interval of a mean over seeds, {n:,} studies of each kind (%)")
        result["means"] = print_means(n, pool)

        print("\nSeeds or videos for a difference of 0.02 with 80 % power; plans: median of 10-seed pilots")
        result["sizes"] = print_sizes(n // 5, 3 if quick else PILOTS, pool)
    return result


def print_tests(rows: Iterable[dict[str, Any]]) -> None:
    """One line per deviation and number of videos, one column per number of seeds."""
    by_line: dict[str, list[str]] = {}
    for row in rows:
        own, other = row["deviation"]
        spread = f"{own:g}" if own == other else f"{own:g}, {other:g}"
        line = f"{'groups' if row['grouped'] else 'single':<8}{row['videos']:>4} videos, SD {spread:<8}"
        by_line.setdefault(line, []).append(" | ".join(f"{100 * row[name]:4.1f}" for name in TESTS))
    print(f"{'':<34}" + "".join(f"{f'{s} seeds':<30}" for s in SEEDS))
    for line, cells in by_line.items():
        print(f"{line:<34}" + "".join(f"{cell:<30}" for cell in cells))


def print_coverage(rows: Sequence[dict[str, Any]]) -> None:
    """One line per kind of test set, one column per measure; * marks what misses 93.5 to 96.5 %."""
    names = [name for name in rows[0] if isinstance(rows[0][name], dict)]
    print(f"{'AUROC':<8}{'groups':<8}" + "".join(f"{name:<12}" for name in names))
    for row in rows:
        cells = [100 * row[name]["coverage"] if name in row else np.nan for name in names]
        marked = [f"{value:.1f}{'' if 93.5 <= value <= 96.5 else '*'}" for value in cells]
        print(f"{row['true']:<8}{row['groups']:<8}" + "".join(f"{cell:<12}" for cell in marked))


def print_means(n: int, pool: Executor) -> list[dict[str, float]]:
    """One line per AUROC, number of videos and SD over seeds, one column per number of seeds."""
    kinds = [
        (s, d, v, a) for a in (0.80, 0.90, 0.95) for v in (80, 156, 314) for d in (0.01, 0.03) for s in SEEDS
    ]
    found = list(pool.map(means, *zip(*kinds, strict=True), [n] * len(kinds)))
    for i in range(0, len(kinds), len(SEEDS)):
        _, d, v, a = kinds[i]
        cells = "".join(f"{100 * value:<8.1f}" for value in found[i : i + len(SEEDS)])
        print(f"AUROC {a:<5} {v:>4} videos, SD {d:<5} {cells}")
    return [
        {"seeds": s, "deviation": d, "videos": v, "auroc": a, "coverage": c}
        for (s, d, v, a), c in zip(kinds, found, strict=True)
    ]


def print_sizes(n: int, pilots: int, pool: Executor) -> list[dict[str, float]]:
    """One line per pilot: what is planned and what is needed, and by how much the plan is off."""
    kinds = [Study(10, videos, (d, d), True, GAP, 0.95) for d, videos in CASES]
    plans = list(pool.map(partial(planned, pilots=pilots), kinds))
    asked = [(kind, unit, plan[unit], n) for kind, plan in zip(kinds, plans, strict=True) for unit in MOST]
    truths = iter(pool.map(needed, *zip(*asked, strict=True)))
    rows = []
    for kind, plan in zip(kinds, plans, strict=True):
        row: dict[str, float] = {"SD": kind.deviation[0], "videos": kind.videos}
        for unit in MOST:
            row |= {f"{unit} planned": plan[unit], f"{unit} needed": (true := next(truths))}
            off = plan[unit] / true - 1 if np.isfinite([plan[unit], true]).all() else np.nan
            row[f"{unit} off"] = off
        rows.append(row)
        print("  ".join(f"{name} {value:.4g}" for name, value in row.items()))
    return rows


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description="Simulate whether the report's claims hold.")
    parser.add_argument("--quick", action="store_true", help="few studies of each kind: does it run?")
    quick, start = parser.parse_args().quick, time.perf_counter()
    result = simulate(quick)
    result["seconds"] = time.perf_counter() - start
    result["machine"] = {"cores": cores(), "python": platform.python_version(), "numpy": np.__version__}
    print(f"\n{result['seconds']:.0f} s on {cores()} cores")
    if not quick:
        (ROOT / "benchmarks" / "coverage.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
