"""Run folders in, evidence out: tables, figures and one HTML page for a study (or several, study=a,b)."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from dfdc_lightning.runs import command, one_sentence, words


@hydra.main(version_base="1.3", config_path="conf", config_name="report")
@one_sentence()
def main(config: DictConfig) -> None:
    """Write the report and print its main table, its notes and where it lies."""
    from dfdc_lightning.report.tables import results
    from dfdc_lightning.report.write import write_report

    evidence, folder = write_report(
        Path(config.root),
        words(config.study),
        str(config.baseline),
        config.n_resamples,
        config.seed,
        config.confidence,
        [Path(file) for file in words(config.scores)],
    )
    table = results(evidence)
    print(table.markdown(), table.caption, *(f"note: {note}" for note in evidence.notes), sep="\n")
    print(f"{folder}/: open index.html; tables/, figures/ and model_card.md beside it")


if __name__ == "__main__":
    command(main, lists=("study", "scores"))
