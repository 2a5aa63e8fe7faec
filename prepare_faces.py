"""Videos become a face cache: `python prepare_faces.py source=folder source.path=DIR out=CACHE`."""

import re
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from dfdc_lightning.runs import command, one_sentence


@hydra.main(version_base="1.3", config_path="conf", config_name="prepare_faces")
@one_sentence()
def main(config: DictConfig) -> None:
    """Fill a cache from a source, or prove and look at one that is there (check=CACHE)."""
    from hydra.utils import instantiate

    from dfdc_lightning.audit.check import check
    from dfdc_lightning.faces.build import prepare
    from dfdc_lightning.faces.extract import FacePreparation
    from dfdc_lightning.faces.shard import Shard

    if config.check is not None:
        raise SystemExit(check(Path(config.check), Path(config.studies)))
    prepare(
        instantiate(config.source),
        FacePreparation(
            instantiate(config.face_detector), config.frames, config.size, config.margin, config.smoothing
        ),
        instantiate(config.split),
        Path(config.out),
        per_label=config.per_label,
        workers=None if config.workers == "auto" else config.workers,
        timeout=config.timeout,
        shard=Shard.parse(config.shard, config.shards),
        redo=config.redo,
        labels=config.labels,
        join=None if config.join is None else Path(config.join),
    )


if __name__ == "__main__":
    # Hydra would take a comma for a sweep; several statuses, or parts, are one value.
    sys.argv = [re.sub(r"^redo=([\w,]+)$", r"redo=[\1]", argument) for argument in sys.argv]
    sys.argv = [re.sub(r"^(?:source\.)?parts=([\d,-]+)$", r'source.parts="\1"', word) for word in sys.argv]
    command(main, former={"detector": "face_detector"})
