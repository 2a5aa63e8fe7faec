"""Run folders in, evidence out: tables, figures and one HTML page for a study (or several, study=a,b)."""

import re
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, ListConfig

from dfdc_lightning.runs import command, one_sentence


@hydra.main(version_base="1.3", config_path="conf", config_name="report")
@one_sentence()
def main(config: DictConfig) -> None:
    """Write the report and print its main table, its notes and where it lies."""
    from dfdc_lightning.report.tables import results
    from dfdc_lightning.report.write import write_report

    named = config.study if isinstance(config.study, ListConfig) else [config.study]
    studies = list(dict.fromkeys(str(name) for name in named))
    evidence, folder = write_report(
        Path(config.root), studies, str(config.baseline), config.n_resamples, config.seed, config.confidence
    )
    table = results(evidence)
    print(table.markdown(), table.caption, *(f"note: {note}" for note in evidence.notes), sep="\n")
    print(f"{folder}/: open index.html; tables/, figures/ and model_card.md beside it")


if __name__ == "__main__":
    # Hydra takes a bare comma for a sweep; here it is a list of studies for one report.
    sys.argv = [re.sub(r"^study=([^\[\"']*,.*)$", r"study=[\1]", argument) for argument in sys.argv]
    command(main)
