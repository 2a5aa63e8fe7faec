"""result.json: what a finished run says of itself. It is written last, so its presence means "finished"."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from dfdc_lightning import atomic, checks
from dfdc_lightning.errors import UserError

Level = Literal["frame", "clip"]

RESULT = "result.json"
SHARES = ("auroc", "accuracy", "f1", "eer", "frame_auroc")  # measures between 0 and 1
_MOST = 10**15  # what is counted here is far below this, and a float still holds it exactly


class Result(NamedTuple):
    """What a finished run says of itself.

    Attributes:
        study: The study that the run belongs to.
        experiment: Its experiment.
        seed: Its seed.
        level: What one logit of its detector judges: a single "frame" or the whole "clip".
        test: Measures of the test videos, by the best checkpoint.
        val: Measures of the validation videos, by the same checkpoint.
        threshold: Videos with scores above it were called FAKE.
        best_epoch: The epoch that was tested, counted from 0.
        epochs: How many epochs were trained.
        seconds: How long they took.
        parameters: How many parameters the detector has.
        trainable_parameters: How many of them train at the end.
        data: The face cache, its profile, the split, and how many videos of each label it holds.
        versions: Versions of Python and of packages.
        hardware: What the run was computed on.
        config: The resolved configuration.
        weights: Where the backbone's weights came from; None where nobody knows.
        precision: Lightning's name of the precision that it was trained in; None where nobody knows.
    """

    study: str
    experiment: str
    seed: int
    level: Level
    test: dict[str, float]
    val: dict[str, float]
    threshold: float
    best_epoch: int
    epochs: int
    seconds: float
    parameters: int
    trainable_parameters: int
    data: dict[str, Any]
    versions: dict[str, str]
    hardware: dict[str, Any]
    config: dict[str, Any]
    weights: dict[str, Any] | None = None
    precision: str | None = None

    @property
    def title(self) -> str:
        """How lines of text call the run."""
        return f"{self.experiment} seed {self.seed}"

    def counts(self, split: str) -> dict[str, int]:
        """Say how many videos of each label a split holds."""
        counts: dict[str, int] = self.data["counts"].get(split, {})
        return counts


_NEEDED = [name for name in Result._fields if name not in Result._field_defaults]


def write_result(path: Path, result: Result) -> None:
    """Write the file, whole or not at all.

    Raises:
        UserError: When a value is not what it must be, a NaN for instance.
    """
    _check(result._asdict())
    atomic.write_json(path, result._asdict())


def read_result(path: Path) -> Result:
    """Read and check the file; entries of later versions are left aside.

    Raises:
        UserError: When it is absent or damaged, beginning with its path.
    """
    if not path.is_file():
        raise UserError(
            f"{path.parent} holds no finished run (no {path.name}): train it, or name another run folder"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}, expected an object")
        absent = [name for name in _NEEDED if name not in content]
        if absent:
            raise ValueError(f"it does not state {absent[0]}")
        _check(content)
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged or of an earlier version ({error}): delete it and run the same command again"
        ) from None
    return Result(**{name: content[name] for name in Result._fields if name in content})


def _check(content: Mapping[str, Any]) -> None:
    for name in ("study", "experiment"):
        checks.text(name, content[name])
    for name in ("seed", "best_epoch", "epochs", "parameters", "trainable_parameters"):
        checks.whole(name, content[name], most=_MOST)
    for name in ("test", "val", "data", "versions", "hardware", "config"):
        checks.mapping(name, content[name])
    if content.get("weights") is not None:
        checks.mapping("weights", content["weights"])
    if content.get("precision") is not None:
        checks.text("precision", content["precision"])
    checks.one_of("level", content["level"], get_args(Level))
    checks.number("threshold", content["threshold"], 0, 1)
    checks.number("seconds", content["seconds"], 0, _MOST)
    for split in ("test", "val"):
        _check_measures(split, content[split])
    for name in ("cores", "peak_gpu_memory_bytes"):
        checks.whole(f"hardware.{name}", content["hardware"].get(name, 0), most=_MOST)
    _check_data(content["data"])


def _check_measures(split: str, measures: Mapping[str, Any]) -> None:
    for name, value in ({"auroc": None} | dict(measures)).items():
        least, most = (0, 1) if name in SHARES else (-math.inf, math.inf)
        checks.number(f"{split}.{name}", value, least, most)


def _check_data(data: Mapping[str, Any]) -> None:
    for name in ("cache", "profile", "split_hash"):
        if name in data:
            checks.text(f"data.{name}", data[name])
    for split, counts in checks.mapping("data.counts", data.get("counts")).items():
        for label, count in checks.mapping(f"data.counts.{split}", counts).items():
            checks.whole(f"data.counts.{split}.{label}", count, most=_MOST)
