"""An example study in the form of run folders: to see, test and time the report without training.

Nothing in it was learnt: scores are drawn from two overlapping distributions, with a part that a source
group shares.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dfdc_lightning import atomic
from dfdc_lightning.results.epochs import best_epoch, write_epochs
from dfdc_lightning.results.measures import measure
from dfdc_lightning.results.predictions import ScoredVideo, write_predictions
from dfdc_lightning.results.result import Level, Result, write_result
from dfdc_lightning.results.run_folder import RunFolder

_SEPARATION = {"baseline": 1.7, "jpeg": 1.3, "focal": 1.6, "effnet": 1.75, "lstm": 2.2}


def write_study(
    path: Path,
    separation: Mapping[str, float] = _SEPARATION,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    videos: int = 314,
    epochs: int = 10,
    clip_level: Sequence[str] = ("lstm",),
) -> None:
    """Write `path/<experiment>/<seed>/` for every experiment and seed.

    Args:
        path: The study's folder; its name is the study's.
        separation: Distance of the labels' latent means for each experiment, in standard deviations.
        seeds: The seeds.
        videos: Videos in val and in test, half of them FAKE.
        epochs: How many epochs each run has.
        clip_level: Experiments whose detectors judge whole clips.
    """
    shared = np.random.default_rng(7)
    data = {split: _videos(shared, split, videos) for split in ("val", "test")}
    for experiment, distance in separation.items():
        for seed in seeds:
            rng = np.random.default_rng([seed, *experiment.encode()])
            level: Level = "clip" if experiment in clip_level else "frame"
            write_run(RunFolder(path / experiment / str(seed)), data, rng, distance, epochs, level)


def write_run(
    run: RunFolder,
    data: Mapping[str, dict[str, np.ndarray]],
    rng: np.random.Generator,
    distance: float,
    epochs: int,
    level: Level,
) -> None:
    """Write one finished run folder, the result last."""
    distance += rng.normal(0, 0.12)
    predictions, results = [], {}
    for split, table in data.items():
        frames = _scores(rng, table, distance, 1 if level == "clip" else 10)
        score = frames.mean(axis=1)
        results[split] = measure(score, table["label"], 0.6) | {"loss": 0.4}
        if level == "frame":
            frame_label = np.repeat(table["label"], frames.shape[1])
            results[split]["frame_auroc"] = measure(frames.ravel(), frame_label, 0.6)["auroc"]
        of_frames = frames if level == "frame" else np.empty((len(score), 0))
        columns = (table["video"], table["group"], table["label"], score, of_frames)
        predictions += [ScoredVideo(split, *row) for row in zip(*columns, strict=True)]
    write_predictions(run.predictions_file, predictions)
    curve = _curve(rng, epochs, results["val"]["auroc"])
    write_epochs(run.metrics_file, curve)
    config = _config(run.study, run.experiment, run.seed, epochs)
    atomic.write_json(run.config_file, config)  # JSON is YAML too
    best = int(best_epoch(curve, "val/auroc")["epoch"])
    write_result(run.result_file, _result(run, level, config, results, best, epochs, data))


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
                "val/auroc": round(min(value, 1.0), 5),
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
    run: RunFolder,
    level: Level,
    config: dict[str, Any],
    results: dict[str, dict[str, float]],
    best: int,
    epochs: int,
    data: Mapping[str, dict[str, np.ndarray]],
) -> Result:
    counts = {
        split: {"REAL": int((~t["label"]).sum()), "FAKE": int(t["label"].sum())} for split, t in data.items()
    }
    return Result(
        study=run.study,
        experiment=run.experiment,
        seed=run.seed,
        level=level,
        test=results["test"],
        val=results["val"],
        threshold=0.6,
        best_epoch=best,
        epochs=epochs,
        seconds=48.5 * epochs,
        parameters=20_811_050,
        trainable_parameters=9_000_000,
        data={
            "cache": "data/made_up",
            "profile": "0123abcd",
            "split_hash": "89ab4567",
            "counts": {"train": {"REAL": 1254, "FAKE": 1254}, **counts},
            "n_groups": 1400,
        },
        versions={"python": "3.11", "torch": "none: the scores are made up", "dfdc_lightning": "0.1.0"},
        hardware={"device": "none", "cores": 2},
        config=config,
    )
