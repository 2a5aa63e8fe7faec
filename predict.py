"""A video becomes a verdict: `python predict.py video=FILE run=RUN`; a folder or a list becomes a table."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from dfdc_lightning.arguments import as_it_is
from dfdc_lightning.runs import command, one_sentence


@hydra.main(version_base="1.3", config_path="conf", config_name="predict")
@one_sentence()
def main(config: DictConfig) -> None:
    """Judge what `video` names by the run or the exported model that `run` names, or repeat a verdict."""
    from dfdc_lightning.errors import UserError
    from dfdc_lightning.predict.session import Options, predict
    from dfdc_lightning.predict.verdict import Rules

    if config.verify is not None:
        from dfdc_lightning.predict.verify import verify

        video, run = (Path(str(config[key])) if config.get(key) else None for key in ("video", "run"))
        verify(Path(str(config.verify)), video, run, config.face_detector.model)
        return
    for key in ("video", "run"):
        if config.get(key) in (None, "", []):
            raise UserError(f"{key}= is missing: give video=FILE (or a folder) and run=RUN (or a model.onnx)")
    predict(
        [str(config.video)]
        if isinstance(config.video, str | int | float)
        else [str(v) for v in config.video],
        Path(str(config.run)),
        Options(
            Rules(config.error, config.threshold),
            config.format,
            Path(str(config.out)) if config.out else None,
            Path(str(config.html)) if config.html else None,
            None if config.workers == "auto" else config.workers,
            config.scan,
            config.window,
            config.damaged,
        ),
        config.face_detector.model,
    )


if __name__ == "__main__":
    paths = ("video", "run", "out", "html", "verify", "face_detector.model")
    sys.argv[1:] = [as_it_is(word, paths) for word in sys.argv[1:]]
    again = "starts anew, or with a folder and out=FILE goes on from here"
    command(main, again, former={"detector": "face_detector"})
