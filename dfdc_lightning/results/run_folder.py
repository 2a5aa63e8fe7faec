"""The files of a run folder by name: every other module asks here where one of them lies."""

from pathlib import Path
from typing import Literal

Level = Literal["frame", "clip"]  # what one logit of a detector judges

CHECKPOINTS = "checkpoints"
BEST, LAST, PREVIOUS = "best.ckpt", "last.ckpt", "previous.ckpt"
RESULT, METRICS, PREDICTIONS, ERROR = "result.json", "metrics.csv", "predictions.csv", "error.txt"
ELSEWHERE, EVALUATION = "elsewhere", "evaluation.json"
REFERENCE = "reference.npz"


class RunFolder:
    """The paths of one run's files, below `multirun/<study>/<experiment>/<seed>/`.

    Args:
        folder: The run folder; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.checkpoints = self.folder / CHECKPOINTS
        self.best, self.last, self.previous = (self.checkpoints / name for name in (BEST, LAST, PREVIOUS))
        self.result_file = self.folder / RESULT
        self.metrics = self.folder / METRICS
        self.predictions = self.folder / PREDICTIONS
        self.reference = self.folder / REFERENCE
        self.error = self.folder / ERROR
