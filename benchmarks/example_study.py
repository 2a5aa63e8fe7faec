"""An example study in the form of run folders: to see, test and time the report without training.

Nothing in it was learnt: scores are drawn from two overlapping distributions, with a part that a source
group shares.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dfdc_lightning import atomic
from dfdc_lightning.results.measures import measure

_SEPARATION = {"baseline": 1.7, "jpeg": 1.3, "focal": 1.6, "effnet": 1.75, "lstm": 2.2}


def write_study(
    path: Path,
    separation: Mapping[str, float] = _SEPARATION,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    videos: int = 314,
    epochs: int = 10,
    whole_clip: Sequence[str] = ("lstm",),
) -> None:
    """Write `path/<experiment>/<seed>/` for every experiment and seed.

    Args:
        path: The study's folder; its name is the study's.
        separation: Distance of the labels' latent means for each experiment, in standard deviations.
        seeds: The seeds.
        videos: Videos in val and in test, half of them FAKE.
        epochs: Rows of metrics.csv.
        whole_clip: Experiments without frame scores.
    """
    shared = np.random.default_rng(7)
    data = {split: _videos(shared, split, videos) for split in ("val", "test")}
    for experiment, distance in separation.items():
        for seed in seeds:
            rng = np.random.default_rng([seed, *experiment.encode()])
            write_run(path / experiment / str(seed), data, rng, distance, epochs, experiment in whole_clip)


def write_run(
    path: Path,
    data: Mapping[str, dict[str, np.ndarray]],
    rng: np.random.Generator,
    distance: float,
    epochs: int,
    whole_clip: bool,
) -> None:
    """Write one finished run folder, result.json last."""
    study, experiment, seed = path.parts[-3], path.parts[-2], int(path.parts[-1])
    distance += rng.normal(0, 0.12)
    rows, results = [], {}
    for split, table in data.items():
        frames = _scores(rng, table, distance, 1 if whole_clip else 10)
        score = frames.mean(axis=1)
        results[split] = measure(score, table["label"], 0.6) | {"loss": 0.4}
        frame_label = np.repeat(table["label"], frames.shape[1])
        results[split]["frame_auroc"] = measure(frames.ravel(), frame_label, 0.6)["auroc"]
        for i in range(len(score)):
            extra = [] if whole_clip else [f"{value:.9g}" for value in frames[i]]
            name = (
                split,
                table["video"][i],
                table["group"][i],
                "FAKE" if table["label"][i] else "REAL",
                f"{score[i]:.9g}",
            )
            rows.append([*name, *extra])
    columns = ["split", "video", "group", "label", "score"]
    columns += [f"score_frame_{i}" for i in range(0 if whole_clip else 10)]
    atomic.write_csv(path / "predictions.csv", columns, rows)
    curve = _curve(rng, epochs, results["val"]["auroc"])
    atomic.write_csv(path / "metrics.csv", list(curve[0]), [list(row.values()) for row in curve])
    config = _config(study, experiment, seed, epochs)
    atomic.write_json(path / ".hydra" / "config.yaml", config)  # JSON is YAML too
    best = int(np.argmax([row["val/auroc"] for row in curve]))
    atomic.write_json(path / "result.json", _result(path, config, results, best, epochs, data))


def _videos(rng: np.random.Generator, split: str, n: int) -> dict[str, np.ndarray]:
    """Half REAL, half FAKE; most FAKE videos share a group with their original, some groups are FAKE only."""
    label = np.arange(n) % 2 == 1
    group = np.where(label, rng.integers(0, n // 2 + n // 8, n), np.arange(n) // 2)
    return {
        "video": np.array([f"{split}{i:06d}" for i in range(n)]),
        "group": np.array([f"{split}_g{g:06d}" for g in group]),
        "label": label,
    }


def _scores(
    rng: np.random.Generator, table: dict[str, np.ndarray], distance: float, frames: int
) -> np.ndarray:
    n = len(table["label"])
    _, index = np.unique(table["group"], return_inverse=True)
    difficulty = (
        np.random.default_rng(11).normal(0, 0.6, n) + np.random.default_rng(12).normal(0, 0.4, n)[index]
    )
    latent = distance * (table["label"] - 0.5) + difficulty + rng.normal(0, 0.7, n)
    wobble = np.cumsum(rng.normal(0, 0.35, (n, frames)), axis=1) if frames > 1 else np.zeros((n, 1))
    scores: np.ndarray = 1 / (
        1 + np.exp(-(1.5 * latent[:, None] + 0.5 + wobble - wobble.mean(axis=1, keepdims=True)))
    )
    return np.round(scores, 6)


def _curve(rng: np.random.Generator, epochs: int, auroc: float) -> list[dict[str, int | float]]:
    rows = []
    for epoch in range(epochs):
        grown = 1 - np.exp(-(epoch + 1) / (0.25 * epochs))
        value = 0.5 + (auroc - 0.5) * grown + rng.normal(0, 0.01)
        loss = 0.69 - 0.35 * grown + rng.normal(0, 0.01)
        rows.append(
            {
                "epoch": epoch,
                "train/loss": round(loss - 0.12 * grown, 5),
                "train/auroc": round(min(value + 0.06 * grown, 0.999), 5),
                "val/loss": round(loss + 0.1 * max(0.0, epoch / epochs - 0.6), 5),
                "val/auroc": round(value, 5),
                "val/accuracy": round(value - 0.05, 5),
                "val/f1": round(value - 0.06, 5),
                "val/eer": round(1.05 - value, 5),
                "val/frame_auroc": round(value - 0.06, 5),
                "lr": round(1.5e-4 * (1 + np.cos(np.pi * epoch / epochs)), 9),
                "trainable_parameters": 9_000_000,
                "clips_per_second": 52.0,
                "seconds": 48.5,
            }
        )
    return rows


def _config(study: str, experiment: str, seed: int, epochs: int) -> dict[str, Any]:
    differences: dict[str, dict[str, Any]] = {
        "jpeg": {"augment": {"jpeg": {"quality": [10, 50], "p": 1.0}}},
        "focal": {"loss": {"_target_": "dfdc_lightning.losses.FocalLoss", "alpha": 0.25, "gamma": 2.0}},
        "effnet": {"model": {"backbone": "efficientnet_b3", "trainable": 18}},
        "lstm": {"model": {"backbone": "xception", "hidden": 256}},
    }
    config: dict[str, Any] = {
        "study": study,
        "name": experiment,
        "seed": seed,
        "data": {"cache": "data/made_up", "seed": seed},
        "loss": {"_target_": "dfdc_lightning.losses.SmoothedBCE", "smoothing": 0.005},
        "model": {"backbone": "xception", "trainable": 18},
        "augment": {"flip": {"p": 0.5}},
        "optimizer": {"lr": 3e-4},
        "trainer": {"max_epochs": epochs},
    }
    return config | differences.get(experiment, {})


def _result(
    path: Path,
    config: dict[str, Any],
    results: dict[str, dict[str, float]],
    best: int,
    epochs: int,
    data: Mapping[str, dict[str, np.ndarray]],
) -> dict[str, Any]:
    counts = {
        split: {"REAL": int((~t["label"]).sum()), "FAKE": int(t["label"].sum())} for split, t in data.items()
    }
    return {
        "study": path.parts[-3],
        "experiment": path.parts[-2],
        "seed": int(path.parts[-1]),
        "config": config,
        "test": results["test"],
        "val": results["val"],
        "best_epoch": best,
        "epochs": epochs,
        "seconds": 48.5 * epochs,
        "parameters": 20_811_050,
        "trainable_parameters": 9_000_000,
        "threshold": 0.6,
        "data": {
            "cache": "data/made_up",
            "profile": "0123abcd",
            "split_hash": "89ab4567",
            "counts": {"train": {"REAL": 1254, "FAKE": 1254}, **counts},
            "n_groups": 1400,
        },
        "versions": {"python": "3.11", "torch": "none: the scores are made up", "dfdc_lightning": "0.1.0"},
        "hardware": {"device": "none", "cores": 2},
    }
