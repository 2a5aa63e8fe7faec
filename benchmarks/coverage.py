"""Whether the report's claims hold: simulated studies whose truth is known, thousands of each kind.

    PYTHONPATH=. python benchmarks/coverage.py            # every table, about 10 minutes on 2 cores
    PYTHONPATH=. python benchmarks/coverage.py --quick    # the same tables from few studies

Prints tables and writes benchmarks/coverage.json. A study's score is a sum of normal parts: what its source
group, its video, its video under one method and its video under one run are worth. The AUROC of a method's
seeds is normal around the method's. Thousands of bootstraps would take days, so studies of many runs take
the covariance over videos in closed form (DeLong et al., 1988; by group: Obuchowski, 1997), which the first
table holds against the report's bootstrap.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from dfdc_lightning.report.inference import half_width, variances

ROOT = Path(__file__).parents[1]
DEVIATIONS, SEEDS, VIDEOS = (0.0, 0.01, 0.03, 0.06), (2, 3, 5, 10), (40, 80, 157 * 2)
# Variances of a score's parts; they add up to 1.
GROUP, VIDEO, METHOD, RUN = 0.15, 0.30, 0.20, 0.35
BATCH = 250


class Study(NamedTuple):
    """A kind of study: two methods, `seeds` of each, tested on the same videos, half of them FAKE."""

    seeds: int
    videos: int
    deviation: tuple[float, float]
    grouped: bool
    gap: float = 0.0
    auroc: float = 0.86


def draw(study: Study, n: int, rng: np.random.Generator) -> np.ndarray:
    """Scores (n, runs, videos) of n studies; the first half of the videos is REAL, the second FAKE."""
    half, runs = study.videos // 2, 2 * study.seeds
    means = np.repeat([study.auroc, study.auroc - study.gap], study.seeds)
    deviation = np.repeat(study.deviation, study.seeds)
    auroc = np.clip(rng.normal(means, deviation, (n, runs)), 0.02, 0.9999)
    group = rng.normal(0, GROUP**0.5, (n, 1, half if study.grouped else 2 * half))
    scores = np.tile(group, 2) if study.grouped else group
    scores = scores + rng.normal(0, VIDEO**0.5, (n, 1, 2 * half))
    scores = np.repeat(scores + rng.normal(0, METHOD**0.5, (n, 2, 2 * half)), study.seeds, axis=1)
    scores += rng.normal(0, RUN**0.5, scores.shape)
    scores[..., half:] += (2**0.5 * ndtri(auroc))[..., None]
    return scores


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


def verdicts(study: Study, n: int, seed: int) -> dict[str, float]:
    """How often each test calls the two methods different at 5 %."""
    rng = np.random.default_rng([seed, *(int(1000 * x) for x in np.ravel([*study[:2], *study.deviation]))])
    hits: dict[str, int] = dict.fromkeys(("joint", "Satterthwaite", "Welch", "videos"), 0)
    for start in range(0, n, BATCH):
        b = min(BATCH, n - start)
        auroc, covariance = placements(draw(study, b, rng), study.grouped)
        sides = [auroc[:, : study.seeds], auroc[:, study.seeds :]]
        gap = np.abs(sides[0].mean(axis=1) - sides[1].mean(axis=1))
        parts = variances(sides, covariance, study.videos // 2)
        of_seeds = np.array(parts.seeds)
        both, welch = (
            of_seeds.sum(axis=0),
            of_seeds.sum(axis=0) ** 2 / (of_seeds**2 / (study.seeds - 1)).sum(0),
        )
        whole = both + parts.common
        freedom = whole**2 / (of_seeds**2 / (study.seeds - 1)).sum(axis=0)  # Hillis (2007)
        limit = -stdtrit(study.videos // 2 - 1, 0.025)
        hits["joint"] += int((gap > half_width(parts, 0.05)).sum())
        hits["Satterthwaite"] += int((2 * stdtr(freedom, -gap / np.sqrt(whole)) < 0.05).sum())
        hits["Welch"] += int((2 * stdtr(welch, -gap / np.sqrt(both)) < 0.05).sum())
        hits["videos"] += int((gap > limit * np.sqrt(parts.videos)).sum())
    return {name: count / n for name, count in hits.items()}
