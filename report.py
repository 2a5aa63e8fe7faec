"""Run folders in, evidence out: tables, figures and one HTML page for a study (or several, study=a,b)."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from dfdc_lightning import checks
from dfdc_lightning.runs import command, one_sentence, words


@hydra.main(version_base="1.3", config_path="conf", config_name="report")
@one_sentence()
def main(config: DictConfig) -> None:
    """Write the report and print its answer, or with plan=true say how large a study must be."""
    from dfdc_lightning.report.answer import answer
    from dfdc_lightning.report.tables import results
    from dfdc_lightning.report.write import plan, read_evidence, write_report

    settings = {name: config[name] for name in ("n_resamples", "seed", "confidence", "delta")}
    settings |= {"baseline": str(config.baseline), "scores": [Path(file) for file in words(config.scores)]}
    read = (Path(config.root), words(config.study))
    if checks.switch("plan", config.plan):
        evidence = read_evidence(*read, **settings)
        for planned in plan(evidence):
            print(planned.title, planned.markdown(), planned.caption, "", sep="\n")
        print("\n".join(f"note: {note}" for note in evidence.notes))
        return
    evidence, folder = write_report(*read, **settings)
    table = results(evidence)
    print(*answer(evidence), "", table.markdown(), table.caption, sep="\n")
    print(*(f"note: {note}" for note in evidence.notes), sep="\n")
    print(f"{folder}/: open index.html; tables/, figures/ and model_card.md beside it")


if __name__ == "__main__":
    command(main, lists=("study", "scores"))
