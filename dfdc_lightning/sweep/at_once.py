"""How many runs of a sweep go side by side on this machine: as many as its cores and its memory let pay."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from dfdc_lightning import checks
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.profile import read_profile
from dfdc_lightning.machine import cores

AUTO = "auto"
_GIB = 2**30
_PROCESS = 1.0 * _GIB  # Python, torch and a network, without its batches
_CUDA = 2.0 * _GIB  # memory of a card that no tensor shows: context, workspaces, what the allocator wastes
# A training step of 32 clips of 10 frames of 224 pixels (benchmarks/gpu_needs.py), in 16 and in 32 bits.
_STEP = {"gpu": 3.7 * _GIB, "cpu": 7.4 * _GIB}
_STEP_PIXELS = 32 * 10 * 224 * 224
_SPARE = 0.8  # of what is free: estimates err
_MOST_ON_A_CARD = 4  # no card was there to measure how many pay: more would mostly wait for one another


def runs_at_once(configs: Iterable[DictConfig]) -> int:
    """Decide how many of these runs to keep going, from `at_once`; "auto" asks the machine.

    Args:
        configs: The configurations of the runs that are going to train.

    Raises:
        UserError: When `at_once` is neither a number nor auto.
    """
    configs = list(configs)
    wanted = [OmegaConf.select(config, "at_once", default=1) for config in configs]
    for value in wanted:
        if value != AUTO:
            checks.whole("at_once", value, 1, other=AUTO)
    numbers = [value if value != AUTO else _that_pay(configs) for value in wanted]
    return min([*numbers, max(len(configs), 1)], default=1)


def _that_pay(configs: list[DictConfig]) -> int:
    threads = max(int(OmegaConf.select(config, "threads", default=1)) for config in configs)
    by_cores = cores() // threads
    accelerators = {str(OmegaConf.select(config, "trainer.accelerator", default="cpu")) for config in configs}
    card = None if accelerators == {"cpu"} else free_card_memory()
    device = "cpu" if card is None else "gpu"
    step = max(_step_share(config) for config in configs) * _STEP[device]
    if card is not None:
        by_card = int(_SPARE * card / (_CUDA + step))
        return max(1, min(by_card, by_cores // 2, _MOST_ON_A_CARD))
    return max(1, min(by_cores, int(_SPARE * free_memory() / (_PROCESS + step))))


def _step_share(config: DictConfig) -> float:
    """Compare the pixels of a run's batch with those that `_STEP` was counted for."""
    batch = OmegaConf.select(config, "data.batch_size", default=1)
    try:
        settings = read_profile(Path(config.data.cache))
        frames, size = int(settings["frames"]), int(settings["size"])
    except (UserError, OSError, KeyError, TypeError, ValueError):
        frames, size = 10, 224  # a cache without its settings: as large as the study's
    return float(batch) * frames * size * size / _STEP_PIXELS


def free_memory() -> float:
    """Ask how many bytes new processes may use: what the kernel has, within what the control group allows."""
    free = float(sys.maxsize)
    information = Path("/proc/meminfo")
    if information.is_file():
        lines = dict(line.split(":", 1) for line in information.read_text().splitlines())
        free = float(lines["MemAvailable"].split()[0]) * 1024
    group = Path("/sys/fs/cgroup")
    limit, used = group / "memory.max", group / "memory.current"
    if limit.is_file() and used.is_file() and limit.read_text().strip() != "max":
        free = min(free, float(limit.read_text()) - float(used.read_text()))
    return max(free, 0.0)


def free_card_memory() -> float | None:
    """Ask how many bytes are free on the NVIDIA card that runs get; None where no such card can be used."""
    program, visible = shutil.which("nvidia-smi"), os.environ.get("CUDA_VISIBLE_DEVICES")
    if program is None or visible == "":
        return None
    first = visible.split(",")[0] if visible else "0"
    query = [program, f"--id={first}", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    said = subprocess.run(query, capture_output=True, text=True)  # noqa: S603
    numbers = said.stdout.split()
    return float(numbers[0]) * 2**20 if said.returncode == 0 and numbers and numbers[0].isdigit() else None
