"""Videos become a face cache: `python prepare_faces.py source=folder source.path=DIR out=CACHE`."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from dfdc_lightning.runs import command


@hydra.main(version_base="1.3", config_path="conf", config_name="prepare_faces")
def main(config: DictConfig) -> None:
    """Fill a cache from a source, or prove one that is there (check=CACHE)."""
    from hydra.utils import instantiate

    from dfdc_lightning.faces.check import check
    from dfdc_lightning.faces.journal import Shard
    from dfdc_lightning.faces.preparation import FacePreparation
    from dfdc_lightning.faces.prepare import prepare

    if config.check is not None:
        raise SystemExit(check(Path(config.check)))
    redo = config.redo.split(",") if isinstance(config.redo, str) else config.redo
    prepare(
        instantiate(config.source),
        FacePreparation(
            instantiate(config.detector), config.frames, config.size, config.margin, config.smoothing
        ),
        instantiate(config.split),
        Path(config.out),
        per_label=config.per_label,
        workers=None if config.workers == "auto" else config.workers,
        timeout=config.timeout,
        shard=Shard.parse(config.shard, config.shards),
        redo=redo,
    )


if __name__ == "__main__":
    command(main)
