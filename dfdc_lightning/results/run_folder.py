"""One run folder: where each of its files lies, what they say, and in which state the run is."""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from dfdc_lightning import checks
from dfdc_lightning.errors import UserError
from dfdc_lightning.results.epochs import METRICS, Epoch, read_epochs
from dfdc_lightning.results.predictions import PREDICTIONS, SPLITS, Predictions, read_predictions
from dfdc_lightning.results.result import RESULT, Result, read_result

CHECKPOINTS = "checkpoints"
BEST, LAST, PREVIOUS = "best.ckpt", "last.ckpt", "previous.ckpt"
ELSEWHERE, EVALUATION = "elsewhere", "evaluation.json"
REFERENCE = "reference.npz"
ERROR, DIVERGENCE = "error.txt", "divergence.txt"


class Status(NamedTuple):
    """How far a run has come, and a sentence on what stopped it."""

    state: Literal["finished", "failed", "unfinished", "missing"]
    detail: str = ""


class RunFolder:
    """The files of one run, below `multirun/<study>/<experiment>/<seed>/`, and what they say.

    Args:
        folder: The run folder; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.checkpoints = self.folder / CHECKPOINTS
        self.best, self.last, self.previous = (self.checkpoints / name for name in (BEST, LAST, PREVIOUS))
        self.result_file = self.folder / RESULT
        self.metrics_file = self.folder / METRICS
        self.predictions_file = self.folder / PREDICTIONS
        self.reference_file = self.folder / REFERENCE
        self.error_file, self.divergence_file = self.folder / ERROR, self.folder / DIVERGENCE
        hydra = self.folder / ".hydra"
        self.config_file, self.overrides_file = hydra / "config.yaml", hydra / "overrides.yaml"
        self.settings_file, self.wandb_file = hydra / "settings.json", hydra / "wandb.json"
        self.lock_file = self.folder / ".lock"
        self.pictures = self.folder / "explain"

    @property
    def study(self) -> str:
        """The study that the folder lies in."""
        return self.folder.parent.parent.name

    @property
    def experiment(self) -> str:
        """The experiment that the folder lies in."""
        return self.folder.parent.name

    @property
    def seed(self) -> int:
        """The seed that the folder is named after."""
        return int(self.folder.name)

    @property
    def name(self) -> str:
        """Where the run lies below the folder of all studies."""
        return f"{self.study}/{self.experiment}/{self.folder.name}"

    @property
    def status(self) -> Status:
        """How far the run has come."""
        if not self.folder.is_dir():
            return Status("missing")
        if self.result_file.is_file():
            try:
                _ = self.result
            except UserError as error:
                return Status("failed", self.without_place(error))
            return Status("finished")
        if self.error_file.is_file():
            return Status("failed", self.failure())
        try:
            return Status("unfinished", f"{len(self.epochs())} epochs so far")
        except UserError as error:
            return Status("unfinished", self.without_place(error))

    @property
    def finished(self) -> bool:
        """Whether result.json, which is written last, is there and whole."""
        return self.status.state == "finished"

    @property
    def begun(self) -> bool:
        """Whether an earlier start left something to go on from."""
        return any(self.checkpoints.glob("*.ckpt")) or self.metrics_file.is_file()

    @cached_property
    def result(self) -> Result:
        """What the finished run says of itself.

        Raises:
            UserError: When the run is not finished or the file is damaged.
        """
        return read_result(self.result_file)

    def epochs(self) -> list[Epoch]:
        """Read the measures of each epoch so far.

        Raises:
            UserError: When the file is damaged.
        """
        return read_epochs(self.metrics_file)

    @cached_property
    def predictions(self) -> Predictions:
        """The scores of validation and test videos, of a finished run.

        Raises:
            UserError: When the run is not finished; what is wrong with the scores stands in their `faults`.
        """
        splits, faults = read_predictions(self.predictions_file, self.result.level)
        for split in SPLITS:
            expected = sum(self.result.counts(split).values())
            if split in splits and expected and len(splits[split].video) != expected:
                there = len(splits.pop(split).video)
                faults[split] = f"{PREDICTIONS} has {there} {split} videos, {RESULT} counts {expected}"
        return Predictions(splits, faults)

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """The resolved configuration that the run was started with.

        Raises:
            UserError: When the file is absent or damaged.
        """
        if not self.config_file.is_file():
            raise UserError(f"{self.config_file} does not exist: {self.folder} is not a run folder")
        content = self._yaml(self.config_file)
        if not isinstance(content, dict):
            raise UserError(
                f"{self.config_file} is damaged (it holds a {type(content).__name__}, expected keys)"
            )
        return content

    @property
    def cache(self) -> Path:
        """Where the face cache lay that the run was trained on.

        Raises:
            UserError: When the configuration is damaged or names none.
        """
        try:
            data = checks.mapping("data", self.configuration.get("data"))
            return Path(checks.text("data.cache", data.get("cache")))
        except UserError as error:
            raise UserError(f"{self.config_file} is damaged ({self.without_place(error)})") from None

    @cached_property
    def overrides(self) -> list[str]:
        """The words of the command line that started the run; empty where nobody wrote them down.

        Raises:
            UserError: When the file is damaged.
        """
        content = self._yaml(self.overrides_file) if self.overrides_file.is_file() else []
        if not isinstance(content, list):
            raise UserError(
                f"{self.overrides_file} is damaged (it holds a {type(content).__name__}, expected a list)"
            )
        return [str(word) for word in content]

    def failure(self) -> str:
        """Read the line of error.txt that says most: of a traceback the last, otherwise the first."""
        text = self.error_file.read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()] or [f"{ERROR} is empty"]
        return lines[-1 if lines[0].startswith("Traceback") else 0]

    def without_place(self, error: UserError) -> str:
        """Shorten a sentence on one of the run's files to the file's name."""
        return str(error).removeprefix(f"{self.folder}/")

    @staticmethod
    def _yaml(path: Path) -> Any:
        try:
            return yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
            raise UserError(f"{path} is damaged ({' '.join(str(error).split())})") from None


def find_runs(study: Path) -> list[RunFolder]:
    """Find the run folders of a study, by experiment and seed; a seed is written without leading zeros."""
    found = [RunFolder(folder) for folder in Path(study).glob("*/*") if folder.is_dir()]
    return sorted(
        (run for run in found if run.folder.name.isdecimal() and run.folder.name == str(run.seed)),
        key=lambda run: (run.experiment, run.seed),
    )
