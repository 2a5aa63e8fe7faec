"""The result of a run that never trained, for tests of what reads results."""

from typing import Any

from dfdc_lightning.results.result import Result

MEASURES = {"auroc": 0.9, "accuracy": 0.8, "f1": 0.7, "eer": 0.1, "loss": 0.4}


def made_up(**other: Any) -> Result:
    """Make a whole result; `other` replaces any of its fields."""
    whole = Result(
        study="toy",
        experiment="lstm",
        seed=3,
        level="clip",
        test=MEASURES,
        val=MEASURES,
        threshold=0.6,
        best_epoch=1,
        epochs=2,
        seconds=23.4,
        parameters=20_811_050,
        trainable_parameters=9_000_000,
        data={"cache": "data/toy", "counts": {"test": {"REAL": 1, "FAKE": 1}}},
        versions={"python": "3.11"},
        hardware={"device": "cpu", "cores": 2, "peak_gpu_memory_bytes": 0},
        config={"seed": 3},
    )
    return whole._replace(**other)
