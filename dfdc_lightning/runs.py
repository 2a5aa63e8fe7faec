"""One run folder: claim, resume, finish, load its detector back. The only module that knows Hydra."""

import csv
import fcntl
import hashlib
import json
import os
import platform
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError

if TYPE_CHECKING:
    from lightning import Trainer

    from dfdc_lightning.clips import FaceDataModule
    from dfdc_lightning.models.detector import Detector

# Where and how a run is watched or computed, never what it computes: equal runs may differ in these.
CANNOT_CHANGE_RESULTS = (
    "overwrite",
    "study",
    "name",
    "logger",
    "data.cache",  # the cache's content counts, not its place
    "data.workers",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.default_root_dir",
)
PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "torchmetrics",
    "opencv-python-headless",
    "numpy",
    "hydra-core",
)


class Run:
    """The folder of one run, `multirun/<study>/<name>/<seed>/`.

    Args:
        folder: The run folder; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.best = self.folder / "checkpoints" / "best.ckpt"
        self.last = self.folder / "checkpoints" / "last.ckpt"
        self.predictions = self.folder / "predictions.csv"
        self.metrics = self.folder / "metrics.csv"
        self.error = self.folder / "error.txt"

    @classmethod
    def claim(cls, config: DictConfig) -> "Run":
        """Take the run folder that this job's Hydra configuration names, for this process alone.

        Args:
            config: The composed configuration of one job.

        Raises:
            UserError: When the folder holds a run whose configuration differs in what can change results, or
                another process works in it.
        """
        from hydra.core.hydra_config import HydraConfig

        run = cls(Path(HydraConfig.get().runtime.output_dir))
        run._lock()
        settings = result_settings(config)
        if config.overwrite:
            run.clear()
        elif run._settings_file.is_file():
            run._refuse_other(settings)
        atomic.write_json(run._settings_file, settings)
        atomic.write_text(run.folder / ".hydra" / "config.yaml", OmegaConf.to_yaml(config, resolve=True))
        return run

    @property
    def _settings_file(self) -> Path:
        return self.folder / ".hydra" / "settings.json"

    @property
    def finished(self) -> bool:
        """Whether result.json, which is written last, is there."""
        return (self.folder / "result.json").is_file()

    @cached_property
    def result(self) -> dict[str, Any]:
        """The content of result.json.

        Raises:
            UserError: When the run is not finished or the file is damaged.
        """
        path = self.folder / "result.json"
        if not path.is_file():
            raise UserError(
                f"{self.folder} holds no finished run (no result.json): train it first, or name another"
            )
        try:
            result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise UserError(
                f"{path} is damaged ({error}): delete it and run the same command again"
            ) from None
        return result

    @cached_property
    def config(self) -> DictConfig:
        """The resolved configuration the run was made with."""
        path = self.folder / ".hydra" / "config.yaml"
        if not path.is_file():
            raise UserError(f"{path} does not exist: {self.folder} is not a run folder")
        config = OmegaConf.load(path)
        assert isinstance(config, DictConfig)
        return config

    def clear(self) -> None:
        """Forget everything an earlier run left in the folder."""
        self.result_file.unlink(missing_ok=True)
        for path in (*self.folder.glob("checkpoints/*.ckpt"), self.predictions, self.metrics, self.error):
            path.unlink(missing_ok=True)

    @property
    def result_file(self) -> Path:
        """Path of result.json."""
        return self.folder / "result.json"

    def objects(self, config: DictConfig) -> "tuple[FaceDataModule, Detector, Trainer]":
        """Build what the configuration describes; the seed is set first, so the weights follow from it."""
        from hydra.utils import instantiate
        from lightning import seed_everything

        seed_everything(config.seed, verbose=False)
        detector = instantiate(config.model)
        data = instantiate(config.data)
        trainer = instantiate(
            config.trainer,
            default_root_dir=str(self.folder),
            callbacks=[instantiate(callback) for callback in config.callbacks.values()],
            logger=[instantiate(logger) for logger in config.logger.values()],
        )
        return data, detector, trainer

    def resume_from(self) -> Path | None:
        """The newest readable checkpoint of a half-done run, or None for a fresh start."""
        from dfdc_lightning.callbacks.checkpoints import newest_readable

        return newest_readable(self.folder / "checkpoints")

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Leave the traceback of a failure in error.txt, and no trace of an earlier one after success."""
        self.error.unlink(missing_ok=True)
        try:
            yield
        except BaseException:
            atomic.write_text(self.error, traceback.format_exc())
            raise
        finally:
            if "wandb" in sys.modules:  # all jobs of one process would become one W&B run otherwise
                sys.modules["wandb"].finish()

    def finish(self, data: "FaceDataModule", detector: "Detector", scores: Mapping[str, float]) -> None:
        """Write result.json, which means: finished.

        Args:
            data: What the detector saw; gives the provenance.
            detector: The trained detector.
            scores: `val/…` and `test/…` metrics of the best checkpoint.
        """
        epochs = self.epochs()
        best = max(
            epochs, key=lambda row: float(row["val/auroc"])
        )  # the first of equals, as the checkpoint is
        atomic.write_json(
            self.result_file,
            {
                "study": self.config.study,
                "experiment": self.config.name,
                "seed": self.config.seed,
                "test": _with_prefix("test/", scores),
                "val": _with_prefix("val/", scores),
                "threshold": detector.threshold,
                "best_epoch": int(best["epoch"]),
                "epochs": len(epochs),
                "seconds": sum(float(row["seconds"]) for row in epochs),
                "parameters": sum(p.numel() for p in detector.parameters()),
                "trainable_parameters": sum(p.numel() for p in detector.parameters() if p.requires_grad),
                "data": data.provenance(),
                "versions": {"python": platform.python_version()}
                | {name: version(name) for name in PACKAGES},
                "hardware": hardware(detector),
                "config": OmegaConf.to_container(self.config),
            },
        )
        self.__dict__.pop("result", None)

    def epochs(self) -> list[dict[str, str]]:
        """The rows of metrics.csv, one an epoch."""
        with self.metrics.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def announce(self) -> float:
        """Print the run's outcome in one line and return its validation AUROC."""
        test, name = self.result["test"], f"{self.result['experiment']} seed {self.result['seed']}"
        figures = "  ".join(f"{key} {test[key]:.3f}" for key in ("auroc", "accuracy", "f1", "eer"))
        print(f"{name}: test {figures}  (best epoch {self.result['best_epoch']}, {self.folder})", flush=True)
        return float(self.result["val"]["auroc"])

    def load_detector(self) -> "Detector":
        """The detector of the best checkpoint, on the CPU, in evaluation mode; needs no pretrained weights.

        Raises:
            UserError: When there is no checkpoint or it does not belong to this configuration.
        """
        from hydra.utils import instantiate

        from dfdc_lightning.callbacks.checkpoints import load_weights

        model = self.config.model.copy()
        model.backbone.pretrained = False  # the checkpoint holds every weight
        detector: Detector = instantiate(model)
        load_weights(detector, self.best)
        return detector.eval()

    def _refuse_other(self, settings: dict[str, Any]) -> None:
        before = json.loads(self._settings_file.read_text(encoding="utf-8"))
        keys = sorted(key for key in before.keys() | settings.keys() if before.get(key) != settings.get(key))
        if keys:
            differences = "; ".join(
                f"{key}: {before.get(key)} there, {settings.get(key)} here" for key in keys
            )
            raise UserError(
                f"{self.folder} holds a run with another configuration ({differences}): "
                "use another study=NAME, or overwrite=true to redo it"
            )

    def _lock(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._held = (self.folder / ".lock").open(
            "w"
        )  # freed by the kernel when this process ends, however it ends
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{self.folder} is being worked on by another process: wait for it, or use another study=NAME"
            ) from None


def result_settings(config: DictConfig) -> dict[str, Any]:
    """What can change a run's results, flat: `{"optimizer.lr": 0.0003, …}` and the cache's content."""
    flat = dict(_flatten(OmegaConf.to_container(config, resolve=True)))
    kept = {key: value for key, value in flat.items() if not _cannot_change_results(key)}
    manifest = Path(config.data.cache) / "manifest.csv"
    if manifest.is_file():
        kept["data.cache content"] = hashlib.sha256(manifest.read_bytes()).hexdigest()[:16]
    return kept


def _cannot_change_results(key: str) -> bool:
    return any(key == prefix or key.startswith(prefix + ".") for prefix in CANNOT_CHANGE_RESULTS)


def _flatten(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    if not isinstance(node, dict | list):
        yield path, node
    for key, child in children:
        yield from _flatten(child, f"{path}.{key}" if path else str(key))


def _with_prefix(prefix: str, scores: Mapping[str, float]) -> dict[str, float]:
    return {key.removeprefix(prefix): float(value) for key, value in scores.items() if key.startswith(prefix)}


def hardware(detector: "Detector") -> dict[str, Any]:
    """What the run was computed on."""
    import torch

    on_gpu = detector.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(detector.device)
        if on_gpu
        else (platform.processor() or platform.machine()),
        "cores": os.cpu_count(),
        "peak_gpu_memory_bytes": torch.cuda.max_memory_allocated(detector.device) if on_gpu else 0,
    }


def command(main: Callable[[], object]) -> None:
    """Run an entry script: what the user can mend becomes one sentence on stderr and exit code 2.

    Args:
        main: The function decorated with `hydra.main`.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let exceptions through instead of Hydra's exit code 1
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        main()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
