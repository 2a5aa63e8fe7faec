"""What of a configuration can change a run's results, and how one configuration differs from another."""

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dfdc_lightning import checks
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FaceCache
from dfdc_lightning.loggers.login import say_once_how_to_watch
from dfdc_lightning.models.hub import refuse_unreachable
from dfdc_lightning.models.weights import sha256_of, weights_file
from dfdc_lightning.results.epochs import MONITORS

# Where and how a run is watched or computed, never what it computes: equal runs may differ in these.
CANNOT_CHANGE_RESULTS = (
    "overwrite",
    "at_once",
    "plan",
    "print_config",
    "study",
    "name",
    "logger",
    "callbacks.progress",
    "data.cache",  # the cache's content counts, not its place
    "data.validation_cache",
    "weights",  # so does that of the weights
    "model.backbone.weights",
    "data.workers",
    "trainer.accelerator",
    "trainer.precision.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.default_root_dir",
    "trainer.profiler",
)
_NOT_SHOWN = (
    "study",
    "name",
    "seed",
    "at_once",
    "logger",
    "weights",
    "plan",
    "print_config",
)  # in the title, or beside the point
CACHE_CONTENT, WEIGHTS_CONTENT = "data.cache content", "model.backbone.weights content"
VALIDATION_CONTENT = "data.validation_cache content"
PRECISION = "precision that ran"  # which follows from the machine, where the configuration leaves it open
# What would be noticed late or never; an overwrite=no, which is text to Hydra, would even count as yes.
_NUMBERS = {  # its type, the least, the most
    "seed": (int, 0, 2**32 - 1),
    "threads": (int, 1, math.inf),
    "trainer.max_epochs": (int, 1, math.inf),
    "data.batch_size": (int, 1, math.inf),
    "model.optimizer.lr": (float, 0, math.inf),
    "model.threshold": (float, 0, 1),
}
_SWITCHES = ("overwrite", "plan", "print_config")


def check_values(config: DictConfig) -> None:
    """Refuse values that no run can have, before anything is written.

    Args:
        config: The configuration of one job.

    Raises:
        UserError: With the key and what it can be.
    """
    for key, (kind, least, most) in _NUMBERS.items():
        (checks.whole if kind is int else checks.number)(
            key, OmegaConf.select(config, key, default=least), least, most
        )
    checks.one_of("monitor", OmegaConf.select(config, "monitor", default="val/auroc"), MONITORS)
    for key in _SWITCHES:
        checks.switch(key, config[key])
    if Path(str(config.name)).name != str(config.name):
        raise UserError(
            f"name={config.name} is not the name of one folder: the report would not find the run"
        )


def result_settings(config: DictConfig) -> dict[str, Any]:
    """Collect all that can change a run's results, flat: `{"lr": 0.0003, …}`, and the contents of files."""
    flat = dict(_flatten(OmegaConf.to_container(config, resolve=True)))
    kept = {key: value for key, value in flat.items() if not cannot_change_results(key)}
    manifest = Path(config.data.cache) / "manifest.csv"
    if manifest.is_file():
        kept[CACHE_CONTENT] = _content(manifest)
    other = config.data.get("validation_cache")
    if other is not None and (Path(other) / "manifest.csv").is_file():
        kept[VALIDATION_CONTENT] = _content(Path(other) / "manifest.csv")
    with suppress(UserError):  # a finished run needs no weights; whoever is going to train is refused later
        kept[WEIGHTS_CONTENT] = weights_content(config)
    return kept


def weights_content(config: DictConfig) -> str | None:
    """Hash the file that the backbone's weights are read from; None where timm fetches them.

    Raises:
        UserError: When that file is missing, or the package that should hold it is missing or altered.
    """
    backbone = OmegaConf.select(config, "model.backbone", default=None) or {}
    path = weights_file(str(backbone.get("name")), backbone.get("weights"))
    return sha256_of(path) if path else None


def refuse_absent_weights(config: DictConfig) -> None:
    """Make sure, before anything large is imported, that the backbone's weights are here or can be fetched.

    Raises:
        UserError: When their file or package is missing or altered, or would have to be fetched from where
            nobody answers.
    """
    backbone = OmegaConf.select(config, "model.backbone", default=None) or {}
    fetched = weights_content(config) is None and backbone.get("pretrained")
    if (
        fetched and Path(config.data.cache, "manifest.csv").is_file()
    ):  # an absent cache is the first thing to mend
        refuse_unreachable(str(backbone.get("name")))


def say_how_to_watch(config: DictConfig) -> None:
    """Print how runs could be watched in W&B, where `logger=auto` finds nobody; a sweep does so once."""
    loggers = (OmegaConf.select(config, "logger", default=None) or {}).values()
    if any(str(each.get("_target_")).endswith(".wandb_where_a_key_is") for each in loggers):
        say_once_how_to_watch()


def _content(manifest: Path) -> str:
    status = manifest.stat()
    return _usable_clips(manifest.parent, status.st_mtime_ns, status.st_size)


@cache
def _usable_clips(cache_folder: Path, _mtime_ns: int, _size: int) -> str:
    """Hash every clip that a detector may see, and the settings that its pixels were made with."""
    usable = [row for row in FaceCache(cache_folder).rows() if row.status == "ok" and row.split]
    seen = [(row.video, row.label, row.group, row.split, row.profile) for row in usable]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]


def introduction(config: DictConfig, title: str) -> str:
    """Say how the run differs from a plain baseline run, or all of it with print_config=true."""
    from hydra import compose
    from hydra.core.hydra_config import HydraConfig

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
    """Say how one configuration differs from another, one line per value; of lists, what came and went.

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
    """Shorten `{"_target_": "a.b.Jpeg", "quality": [10, 50]}` to `Jpeg(quality=[10, 50])`."""
    if not isinstance(node, dict):
        return str(node)
    inner = ", ".join(f"{key}={_compact(value)}" for key, value in node.items() if key != "_target_")
    return f"{str(node.get('_target_', '')).rpartition('.')[2]}({inner})"


def cannot_change_results(key: str) -> bool:
    """Say whether a key of the configuration only decides where and how a run is watched or computed."""
    return any(key == prefix or key.startswith(prefix + ".") for prefix in CANNOT_CHANGE_RESULTS)


def _flatten(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    if not isinstance(node, dict | list):
        yield path, node
    for key, child in children:
        yield from _flatten(child, f"{path}.{key}" if path else str(key))
