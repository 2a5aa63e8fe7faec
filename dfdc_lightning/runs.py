"""One run folder: claim, resume, finish, load its detector back. The only module that knows Hydra."""

import csv
import fcntl
import hashlib
import json
import os
import platform
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig, OmegaConf

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FaceCache

if TYPE_CHECKING:
    import torch
    from lightning import Trainer

    from dfdc_lightning.clips import FaceDataModule
    from dfdc_lightning.models.detector import Detector

# Where and how a run is watched or computed, never what it computes: equal runs may differ in these.
CANNOT_CHANGE_RESULTS = (
    "overwrite",
    "plan",
    "print_config",
    "study",
    "name",
    "logger",
    "callbacks.progress",
    "data.cache",  # the cache's content counts, not its place
    "data.workers",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.default_root_dir",
    "trainer.profiler",
)
_NOT_SHOWN = ("study", "name", "seed", "logger", "plan", "print_config")  # in the title, or beside the point
_SHOWN_DIFFERENCES = 8  # a refusal names so many keys; more would bury the remedy
CACHE_CONTENT = "data.cache content"
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
        run.lock()
        settings = result_settings(config)
        if config.overwrite:
            run.clear()
        else:
            run.refuse_other(settings)
        if not run.finished:
            print(introduction(config, run), flush=True)
            atomic.write_json(run._settings_file, settings)
            atomic.write_text(run.folder / ".hydra" / "config.yaml", OmegaConf.to_yaml(config, resolve=True))
        return run

    @property
    def _settings_file(self) -> Path:
        return self.folder / ".hydra" / "settings.json"

    @property
    def finished(self) -> bool:
        """Whether result.json, which is written last, is there and whole."""
        try:
            return bool(self.result)
        except UserError:
            return False

    @property
    def begun(self) -> bool:
        """Whether an earlier start left something to go on from."""
        return any(self.folder.glob("checkpoints/*.ckpt")) or self.metrics.is_file()

    @cached_property
    def result(self) -> dict[str, Any]:
        """The content of result.json.

        Raises:
            UserError: When the run is not finished or the file is damaged.
        """
        if not self.result_file.is_file():
            raise UserError(
                f"{self.folder} holds no finished run (no result.json): "
                "train it first, or name another run folder"
            )
        try:
            result: dict[str, Any] = json.loads(self.result_file.read_text(encoding="utf-8"))
            float(result["test"]["auroc"]), float(result["val"]["auroc"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.result_file} is damaged ({error!r}): delete it and run the same command again"
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
        """Forget all that an earlier run left here; result.json, which means finished, goes first."""
        left = (self.predictions, self.metrics, self.error, self.folder / ".hydra" / "wandb.json")
        for path in (self.result_file, *self.folder.glob("checkpoints/*.ckpt"), *left):
            path.unlink(missing_ok=True)
        self.__dict__.pop("result", None)

    @property
    def result_file(self) -> Path:
        """Path of result.json."""
        return self.folder / "result.json"

    def objects(self, config: DictConfig) -> "tuple[FaceDataModule, Detector, Trainer]":
        """Build what the configuration describes; the seed is set just before its weights are drawn.

        Raises:
            UserError: When the cache cannot be used, which is seen before any weights are fetched.
        """
        from hydra.utils import instantiate
        from lightning import seed_everything

        _quieten()
        data = instantiate(config.data)
        data.setup("fit")
        seed_everything(config.seed, verbose=False)
        detector = instantiate(config.model)
        trainer = instantiate(
            config.trainer,
            default_root_dir=str(self.folder),
            callbacks=[instantiate(item) for item in (*config.callbacks.values(), *config.logger.values())],
            logger=False,  # ours are callbacks that mirror metrics.csv
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
        except (KeyboardInterrupt, SystemExit):  # stopped by the user: half-done, not failed
            raise
        except BaseException:
            atomic.write_text(self.error, traceback.format_exc())
            raise

    def finish(self, trainer: "Trainer", data: "FaceDataModule", scores: Mapping[str, float]) -> None:
        """Write result.json, which means: finished.

        Args:
            trainer: What trained and tested the detector.
            data: What the detector saw; gives the provenance.
            scores: `val/…` and `test/…` metrics of the best checkpoint.
        """
        detector = cast("Detector", trainer.lightning_module)
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
                "hardware": hardware(trainer.strategy.root_device),
                "config": OmegaConf.to_container(self.config),
            },
        )
        self.__dict__.pop("result", None)
        (self.last.parent / "previous.ckpt").unlink(missing_ok=True)  # it was there to go on from

    def epochs(self) -> list[dict[str, str]]:
        """The rows of metrics.csv, one an epoch."""
        with self.metrics.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @property
    def auroc(self) -> float:
        """Validation AUROC of the finished run: what a search may choose by."""
        return float(self.result["val"]["auroc"])

    def announce(self) -> float:
        """Print the run's outcome in one line and return its validation AUROC."""
        test, name = self.result["test"], f"{self.result['experiment']} seed {self.result['seed']}"
        figures = "  ".join(f"{key} {test[key]:.3f}" for key in ("auroc", "accuracy", "f1", "eer"))
        print(f"{name}: test {figures}  (best epoch {self.result['best_epoch']}, {self.folder})", flush=True)
        return self.auroc

    def load_detector(self) -> "Detector":
        """The detector of the best checkpoint, on the CPU, in evaluation mode; needs no pretrained weights.

        Raises:
            UserError: When there is no checkpoint or it does not belong to this configuration.
        """
        from hydra.utils import instantiate

        from dfdc_lightning.callbacks.checkpoints import load_weights

        model = self.config.model.copy()
        model.backbone.pretrained = False  # the checkpoint holds every weight
        model.backbone.weights = None  # nor need the file still be there
        detector: Detector = instantiate(model)
        load_weights(detector, self.best)
        return detector.eval()

    def refuse_other(self, settings: dict[str, Any]) -> None:
        """Make sure that what the folder holds was made with these settings.

        Args:
            settings: What `result_settings` says of the configuration that wants the folder.

        Raises:
            UserError: With the differing keys, when the folder holds another run or one of unknown settings.
        """
        remedy = "use another study=NAME, or overwrite=true to redo it"
        try:
            before = json.loads(self._settings_file.read_text(encoding="utf-8"))
            keys = sorted(
                key for key in settings.keys() | before.keys() if self._differs(key, before, settings)
            )
        except FileNotFoundError:
            if self.begun or self.result_file.is_file():
                raise UserError(
                    f"{self.folder} holds a run of unknown settings (no {self._settings_file.name}): {remedy}"
                ) from None
            return
        except (ValueError, AttributeError) as error:
            raise UserError(f"{self._settings_file} is damaged ({error}): {remedy}") from None
        if keys:
            differences = [f"{key}: {before.get(key)} there, {settings.get(key)} here" for key in keys]
            shown = "; ".join(differences[:_SHOWN_DIFFERENCES])
            more = f"; and {len(keys) - _SHOWN_DIFFERENCES} more" if len(keys) > _SHOWN_DIFFERENCES else ""
            raise UserError(f"{self.folder} holds a run with another configuration ({shown}{more}): {remedy}")

    @staticmethod
    def _differs(key: str, before: dict[str, Any], now: dict[str, Any]) -> bool:
        if key == CACHE_CONTENT and key not in now:
            return False  # a finished run stays finished after its cache has been moved away
        return bool(before.get(key) != now.get(key))

    def lock(self) -> None:
        """Take the folder for this process; the kernel frees it when the process ends, however it ends.

        Raises:
            UserError: When another process has it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._held = (self.folder / ".lock").open("w")
        try:
            fcntl.lockf(
                self._held, fcntl.LOCK_EX | fcntl.LOCK_NB
            )  # of a kind that forked loader workers don't hold
        except OSError:
            self.unlock()
            raise UserError(
                f"{self.folder} is being worked on by another process: wait for it, or use another study=NAME"
            ) from None

    def unlock(self) -> None:
        """Give the folder back."""
        self._held.close()


def _quieten() -> None:
    """Keep the framework's tips, and warnings about what is done on purpose, out of a sweep's log."""
    import logging
    import warnings

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (r".*isinstance\(treespec, LeafSpec\)", r"Found \d+ module\(s\) in eval mode"):
        warnings.filterwarnings("ignore", message)


def result_settings(config: DictConfig) -> dict[str, Any]:
    """All that can change a run's results, flat: `{"optimizer.lr": 0.0003, …}`, and the cache's content."""
    flat = dict(_flatten(OmegaConf.to_container(config, resolve=True)))
    kept = {key: value for key, value in flat.items() if not _cannot_change_results(key)}
    manifest = Path(config.data.cache) / "manifest.csv"
    if manifest.is_file():
        status = manifest.stat()
        kept[CACHE_CONTENT] = _usable_clips(manifest.parent, status.st_mtime_ns, status.st_size)
    return kept


@cache
def _usable_clips(cache_folder: Path, _mtime_ns: int, _size: int) -> str:
    """A short hash of every clip that a detector may see, and of the settings its pixels were made with."""
    usable = [row for row in FaceCache(cache_folder).rows() if row.status == "ok" and row.split]
    seen = [(row.video, row.label, row.group, row.split, row.profile) for row in usable]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]


def introduction(config: DictConfig, run: Run) -> str:
    """What is about to run: how it differs from a plain baseline run, or all of it with print_config=true."""
    from hydra import compose
    from hydra.core.hydra_config import HydraConfig

    title = f"{config.name} seed {config.seed}: {'goes on' if run.begun else 'starts'} in {run.folder}"
    if config.print_config:
        return f"{title}\n{OmegaConf.to_yaml(config, resolve=True)}"
    hydra = HydraConfig.get()
    where: Any = OmegaConf.to_container(hydra.overrides.hydra, resolve=False)  # it may lie in another folder
    plain = compose(hydra.job.config_name, [*where, f"seed={config.seed}"])
    changes = differences(
        OmegaConf.to_container(plain, resolve=True), OmegaConf.to_container(config, resolve=True)
    )
    return "\n".join([title, *(f"  {change}" for change in changes or ["as the baseline"])])


def differences(plain: Any, here: Any, path: str = "") -> list[str]:
    """How one configuration differs from another, a line a value; lists tell what they gained and lost.

    Args:
        plain: The configuration to compare with, as plain dicts and lists.
        here: The other one.
        path: Key of both within the whole.
    """
    if path in _NOT_SHOWN or plain == here:
        return []
    if isinstance(plain, dict) and isinstance(here, dict):
        prefix = f"{path}." if path else ""
        keys = dict.fromkeys((*plain, *here))
        return [line for key in keys for line in differences(plain.get(key), here.get(key), f"{prefix}{key}")]
    if isinstance(plain, list) and isinstance(here, list) and any(isinstance(item, dict) for item in here):
        lost = [f"{path}: - {_compact(item)}" for item in plain if item not in here]
        return lost + [f"{path}: + {_compact(item)}" for item in here if item not in plain]
    return [f"{path}: {_compact(plain)} → {_compact(here)}"]


def _compact(node: Any) -> str:
    """`{"_target_": "a.b.Jpeg", "quality": [10, 50]}` as `Jpeg(quality=[10, 50])`."""
    if not isinstance(node, dict):
        return str(node)
    inner = ", ".join(f"{key}={_compact(value)}" for key, value in node.items() if key != "_target_")
    return f"{str(node.get('_target_', '')).rpartition('.')[2]}({inner})"


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


def hardware(device: "torch.device") -> dict[str, Any]:
    """What the run was computed on."""
    import torch

    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device)
        if on_gpu
        else (platform.processor() or platform.machine()),
        "cores": os.cpu_count(),
        "peak_gpu_memory_bytes": torch.cuda.max_memory_allocated(device) if on_gpu else 0,
    }


def command(main: Callable[[], object]) -> None:
    """Run an entry script: what the user can mend becomes one sentence on stderr and exit code 2.

    Args:
        main: The function decorated with `hydra.main`.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let exceptions through instead of Hydra's exit code 1
    try:
        with one_sentence():
            main()
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn what the user can mend into one sentence on stderr and exit code 2."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (UserError, HydraException, OmegaConfBaseException) as error:
        if isinstance(error.__cause__, UserError):  # Hydra's words about our own sentence add nothing
            error = error.__cause__
        cause = f" ({error.__cause__})" if error.__cause__ and str(error.__cause__) not in str(error) else ""
        print(f"error: {' '.join(f'{error}{cause}'.split())}", file=sys.stderr)
        raise SystemExit(2) from None
