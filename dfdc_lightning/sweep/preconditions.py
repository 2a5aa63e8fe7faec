"""Look at what a sweep's runs need before the first starts: their weights, and a GPU that can be used.

    python -m dfdc_lightning.sweep.preconditions JSON…

is the process that looks, given the arguments of `timm_backbone` or of `check_accelerator`; a sweep's own
process never imports torch.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dfdc_lightning.errors import UserError
from dfdc_lightning.machine import card_with_driver
from dfdc_lightning.models.hub import refuse_unreachable
from dfdc_lightning.models.weights import in_timms_order, weights_file

_PACKAGES = str(Path(__file__).parents[2])  # the folder that holds this package

Question = Mapping[str, Any]  # the arguments of a function that answers with a UserError, or not at all


def refuse_unmet(configs: Iterable[DictConfig], here: bool = True) -> None:
    """Make sure that the runs find what they need; fetch what is missing.

    Args:
        configs: The configurations of the runs that are going to train.
        here: Whether they train on this machine, whose GPU then counts.

    Raises:
        UserError: Naming every network whose weights are missing, damaged, altered or of another network,
            and the GPU where it is there and cannot be used.
    """
    configs = list(configs)
    wrong, questions = [], _accelerators(configs) if here and card_with_driver() else []
    backbones = _backbones(configs)
    with ThreadPoolExecutor(max(len(backbones), 1)) as at_once:  # hubs are waited for together
        absences = list(at_once.map(_absence, backbones))
    for backbone, absence in zip(backbones, absences, strict=True):
        name, weights = str(backbone["name"]), backbone.get("weights")
        if absence:
            wrong.append(absence)
            continue
        path = weights_file(name, weights)
        if path is None or not in_timms_order(name, path):  # else known by its content
            questions.append({"name": name, "weights": path and str(path)})
    if wrong := [*wrong, *_refusals(questions)]:
        raise UserError("; ".join(dict.fromkeys(wrong)))


def _absence(backbone: Question) -> str:
    """Say why weights are neither here nor to be fetched; nothing where they may be."""
    name = str(backbone["name"])
    try:
        if weights_file(name, backbone.get("weights")) is None:
            refuse_unreachable(name)
    except UserError as error:
        return str(error)
    return ""


def _accelerators(configs: Sequence[DictConfig]) -> list[Question]:
    found = {str(OmegaConf.select(config, "trainer.accelerator", default="cpu")) for config in configs}
    return [{"accelerator": accelerator} for accelerator in sorted(found - {"cpu"})]


def _backbones(configs: Sequence[DictConfig]) -> list[Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for config in configs:
        backbone = OmegaConf.select(config, "model.backbone", default=None)
        if backbone is not None and (backbone.get("pretrained") or backbone.get("weights") is not None):
            plain: Any = OmegaConf.to_container(backbone, resolve=True)
            found[json.dumps(plain)] = plain
    return list(found.values())


def _refusals(questions: Sequence[Question]) -> list[str]:
    if not questions:
        return []
    words = [json.dumps(question) for question in questions]
    command = [sys.executable, "-m", "dfdc_lightning.sweep.preconditions", *words]
    said = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True)  # noqa: S603
    if said.returncode == 0:
        return []
    return said.stdout.splitlines() or [f"the backbones could not be built (exit code {said.returncode})"]


def environment() -> dict[str, str]:
    """This process's variables for another one that finds the package from whichever folder it starts in."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([_PACKAGES, *filter(None, [os.environ.get("PYTHONPATH")])])
    }


def main(words: Sequence[str]) -> int:
    """Print one sentence for each question that is answered by a refusal; returns the exit code."""
    from dfdc_lightning.hardware import check_accelerator
    from dfdc_lightning.models.backbone import timm_backbone

    def refusal(word: str) -> str:
        question = json.loads(word)
        try:
            (check_accelerator if "accelerator" in question else timm_backbone)(**question)
        except UserError as error:
            return " ".join(str(error).split())
        return ""

    with ThreadPoolExecutor(len(words)) as at_once:  # hubs are waited for together
        wrong = list(filter(None, at_once.map(refusal, words)))
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
