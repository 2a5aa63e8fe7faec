"""A video becomes a verdict: `python predict.py video=FILE run=RUN`; a folder or a list becomes a table."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from dfdc_lightning.runs import command, one_sentence


@hydra.main(version_base="1.3", config_path="conf", config_name="predict")
@one_sentence()
def main(config: DictConfig) -> None:
    """Judge what `video` names with the run or the exported model that `run` names."""
    from dfdc_lightning.predict.session import Wishes, predict

    predict(
        [str(config.video)]
        if isinstance(config.video, str | int | float)
        else [str(v) for v in config.video],
        Path(config.run),
        Wishes(
            config.threshold,
            config.format,
            Path(config.out) if config.out else None,
            Path(config.html) if config.html else None,
            None if config.workers == "auto" else config.workers,
        ),
        config.detector.model,
    )


if __name__ == "__main__":
    command(main)
