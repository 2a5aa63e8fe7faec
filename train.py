"""One run: a configuration becomes objects, trains, and the best epoch on validation is tested once."""

import hydra
from omegaconf import DictConfig

from dfdc_lightning.runs import Run, command
from dfdc_lightning.sweep import isolated


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
@isolated("dfdc_lightning.models.frame", "timm", "torch._dynamo")  # a run of a sweep has its own process
def main(config: DictConfig) -> float:
    """Train and test one detector, or skip a finished one; returns what it monitors for whoever searches."""
    run = Run.claim(config)
    if not run.finished:
        with run.recording():
            data, detector, trainer = run.objects(config)
            trainer.fit(detector, datamodule=data, ckpt_path=run.resume_from())
            (val,) = trainer.validate(detector, datamodule=data, ckpt_path=run.best, verbose=False)
            (test,) = trainer.test(detector, datamodule=data, ckpt_path=run.best, verbose=False)
            run.finish(trainer, data, {**val, **test})
    return run.announce()


if __name__ == "__main__":
    command(main)
