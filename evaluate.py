"""How far do runs hold? `python evaluate.py study=NAME on=CACHE`, or corrupt=all for their test videos."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from dfdc_lightning.runs import command, one_sentence, words


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(config: DictConfig) -> None:
    """Evaluate what `study` or `run` names on what `on` names, and print a table."""
    with one_sentence():  # as a decorator it holds a generator, which Ray cannot send to another process
        _evaluate(config)


def _evaluate(config: DictConfig) -> None:
    from hydra.utils import instantiate

    from dfdc_lightning.errors import UserError
    from dfdc_lightning.evaluate.evaluation import Evaluations, Options, finished_runs
    from dfdc_lightning.evaluate.outcome_table import outcomes

    runs = [Path(run) for run in words(config.run)]
    runs += [run for study in words(config.study) for run in finished_runs(Path(config.root), study)]
    if not runs:
        raise UserError("study= is missing: give study=NAME, or run=RUN")
    evaluations = Evaluations(
        Options(
            words(config.corrupt),
            instantiate(config.source) if config.corrupt else None,
            config.face_detector.model,
            None if config.workers == "auto" else config.workers,
            config.overwrite,
        )
    )
    evaluations.run(runs, [Path(folder) for folder in words(config.on)])
    print(outcomes(evaluations.done))
    if evaluations.problems:
        raise SystemExit(1)


if __name__ == "__main__":
    command(main, lists=("study", "run", "on", "corrupt"))
