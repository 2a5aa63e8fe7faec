"""Build every backbone of a sweep before its first run: wrong weights are found now, not in the morning.

    python -m dfdc_lightning.sweep.backbones JSON…

is the process that builds them, given the arguments of `timm_backbone`; a sweep's own never imports torch.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from dfdc_lightning.errors import UserError
from dfdc_lightning.models.weights import in_timms_order, weights_file

_PACKAGES = str(Path(__file__).parents[2])  # the folder that holds this package


class Backbone(NamedTuple):
    """A network and where its weights come from.

    Args:
        name: timm's name of it.
        weights: The file that holds them; None: timm's hub.
    """

    name: str
    weights: Path | None


def refuse_unfit_weights(configs: Iterable[DictConfig]) -> None:
    """Make sure that the weights of all runs are at hand and belong to their networks; fetch what is missing.

    Args:
        configs: The configurations of the runs that are going to train.

    Raises:
        UserError: Naming every network whose weights are missing, damaged, altered or of another network.
    """
    wrong, unknown = [], []
    for backbone in _distinct(configs):
        try:
            path = weights_file(str(backbone["name"]), backbone.get("weights"))
        except UserError as error:
            wrong.append(str(error))
            continue
        if path is None or not in_timms_order(str(backbone["name"]), path):  # else known by its content
            unknown.append(Backbone(str(backbone["name"]), path))
    if wrong := [*wrong, *_refusals(unknown)]:
        raise UserError("; ".join(dict.fromkeys(wrong)))


def _distinct(configs: Iterable[DictConfig]) -> list[Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for config in configs:
        backbone = OmegaConf.select(config, "model.backbone", default=None)
        if backbone is not None and (backbone.get("pretrained") or backbone.get("weights") is not None):
            plain: Any = OmegaConf.to_container(backbone, resolve=True)
            found[json.dumps(plain)] = plain
    return list(found.values())


def _refusals(backbones: Sequence[Backbone]) -> list[str]:
    if not backbones:
        return []
    words = [
        json.dumps({"name": item.name, "weights": item.weights and str(item.weights)}) for item in backbones
    ]
    command = [sys.executable, "-m", "dfdc_lightning.sweep.backbones", *words]
    # The package is found from whichever folder the sweep was started in.
    path = os.pathsep.join([_PACKAGES, *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = os.environ | {"PYTHONPATH": path}
    said = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True)  # noqa: S603
    if said.returncode == 0:
        return []
    return said.stdout.splitlines() or [f"the backbones could not be built (exit code {said.returncode})"]


def main(words: Sequence[str]) -> int:
    """Build the networks and print one sentence for each that cannot be; returns the exit code."""
    from dfdc_lightning.models.backbone import timm_backbone

    def refusal(word: str) -> str:
        try:
            timm_backbone(**json.loads(word))
        except UserError as error:
            return " ".join(str(error).split())
        return ""

    with ThreadPoolExecutor(len(words)) as at_once:  # hubs are waited for together
        wrong = list(filter(None, at_once.map(refusal, words)))
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
