"""report.py from the command line, and what it does with studies that are not as they should be."""

import csv
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.example_study import write_study
from dfdc_lightning.errors import UserError
from dfdc_lightning.report import provenance
from dfdc_lightning.report.answer import answer
from dfdc_lightning.report.evidence import Evidence, gather
from dfdc_lightning.report.planning import powers
from dfdc_lightning.report.run_card import model_card
from dfdc_lightning.report.sections import SECTIONS, Section, contents
from dfdc_lightning.report.study import read_study
from dfdc_lightning.report.table import Table
from dfdc_lightning.report.tables import results
from dfdc_lightning.report.write import plan, write_report

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("untouched")
    write_study(root / "toy", {"baseline": 1.5, "lstm": 2.4}, seeds=(0, 1, 2), videos=60)
    return root


@pytest.fixture
def root(untouched: Path, tmp_path: Path) -> Path:
    shutil.copytree(untouched, tmp_path / "multirun")
    return tmp_path / "multirun"


def command(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "report.py"), *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def evidence(root: Path, *studies: str) -> Evidence:
    read = [read_study(root, name, ["baseline"]) for name in studies or ("toy",)]
    return gather(read, n_resamples=200)


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def seeds(found: Evidence, experiment: str) -> list[int]:
    return [run.run.seed for e in found.experiments if e.name == experiment for run in e.runs]


def edit(root: Path, change: Callable[[list[list[str]]], None], run: str = "toy/lstm/1") -> None:
    path = root / run / "predictions.csv"
    with path.open(newline="") as file:
        lines = list(csv.reader(file))
    change(lines)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


def test_one_command_prints_the_table_and_writes_the_folder(root: Path) -> None:
    done = command(f"root={root}", "study=toy", "n_resamples=300")
    assert done.returncode == 0, done.stderr
    assert "| lstm" in done.stdout
    assert "index.html" in done.stdout.splitlines()[-1]
    folder = root / "toy" / "report"
    assert {path.name for path in folder.iterdir()} == {"tables", "figures", "index.html", "model_card.md"}
    for name in ("results", "auroc", "accuracy", "f1", "eer", "confusion", "differences", "enough"):
        for ending in ("md", "csv", "tex"):
            assert (folder / "tables" / f"{name}.{ending}").stat().st_size > 50
    assert {path.name for path in root.iterdir()} == {"toy"}

    # The same input gives the same bytes, in another process and after something was left over.
    before = digest(folder)
    (folder / "figures" / "learning_gone.png").write_bytes(b"left over")
    write_report(root, ["toy"], n_resamples=300)
    assert digest(folder) == before


def test_the_report_starts_without_torch() -> None:
    code = "import sys, dfdc_lightning.report.write; print('torch' in sys.modules, 'hydra' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_two_studies_stand_side_by_side(root: Path) -> None:
    write_study(root / "later", {"baseline": 2.4, "sixth": 1.0}, seeds=(0, 1), videos=60)
    done = command(f"root={root}", "study=toy,later", "n_resamples=200")
    assert done.returncode == 0, done.stderr
    assert "| later: sixth" in done.stdout
    assert (root / "toy+later" / "report" / "index.html").is_file()
    pairs = [(c.experiment.label, c.reference.label) for c in evidence(root, "toy", "later").comparisons]
    assert pairs == [
        ("toy: lstm", "toy: baseline"),
        ("later: sixth", "later: baseline"),
        ("later: baseline", "toy: baseline"),
    ]


def test_studies_on_other_videos_are_not_compared(root: Path) -> None:
    write_study(root / "small", {"baseline": 1.5}, seeds=(0, 1), videos=40)
    found = evidence(root, "toy", "small")
    assert all(c.experiment.study == c.reference.study for c in found.comparisons)
    assert any("other videos" in note.what for note in found.notes)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["study=absent"], "study=absent: .*absent does not exist; studies in .*: toy"),
        (["study=toy", "baselin=x"], "baselin"),
        (["study=toy", "confidence=95"], r"confidence must be a number above 0 and below 1 \(got 95\)"),
        (["study=toy", "confidence=high"], "confidence must be"),
        (["study=toy", "plan=maybe"], "plan must be true or false"),
        (["study=toy", "delta=0"], r"delta must be a number above 0 and below 0.5 \(got 0\)"),
        (["study=toy", "n_resamples=0"], r"n_resamples must be a whole number of at least 100 \(got 0\)"),
        (["study=toy", "n_resamples=many"], "n_resamples must be"),
        (["study=toy", "seed=-1"], r"seed must be a whole number of at least 0 \(got -1\)"),
        (["study=2024"], "study=2024: .*2024 does not exist"),
        (["study=toy", "root=nowhere"], "nowhere/toy does not exist; studies in nowhere: none"),
    ],
)
def test_a_wrong_command_gets_one_sentence_and_code_2(
    untouched: Path, words: list[str], sentence: str
) -> None:
    done = command(*words) if "root=nowhere" in words else command(f"root={untouched}", *words)
    assert done.returncode == 2
    assert re.search(sentence, done.stderr)
    assert "Traceback" not in done.stderr


def test_a_study_without_a_finished_run_is_refused_with_its_reasons(root: Path) -> None:
    for result in root.rglob("result.json"):
        result.unlink()
    with pytest.raises(UserError, match="no run can be used yet .*unfinished"):
        write_report(root, ["toy"])
    shutil.rmtree(root / "toy" / "lstm")
    shutil.rmtree(root / "toy" / "baseline")
    with pytest.raises(UserError, match="no run folder"):
        write_report(root, ["toy"])


def test_a_half_finished_study_says_what_is_missing_and_uses_what_is_there(root: Path) -> None:
    (root / "toy/lstm/1/result.json").unlink()
    shutil.rmtree(root / "toy/lstm/2")
    (root / "toy/baseline/2/result.json").unlink()
    (root / "toy/baseline/2/error.txt").write_text("Traceback …\nRuntimeError: out of memory\n")
    found = evidence(root)
    assert (seeds(found, "lstm"), seeds(found, "baseline")) == ([0], [0, 1])
    notes = {note.where: str(note) for note in found.notes}
    assert "unfinished (10 epochs so far)" in notes["toy/lstm/1"]
    assert "is missing" in notes["toy/lstm/2"]
    assert "failed (RuntimeError: out of memory)" in notes["toy/baseline/2"]
    assert "no verdict on the method" in notes["toy/lstm"]
    assert found.experiments[1].mean["auroc"].interval is None
    assert found.comparisons[0].auroc.p is None
    assert answer(found)[0].startswith("No verdict on lstm: one seed tells nothing")
    _, folder = write_report(root, ["toy"], n_resamples=100)
    page = (folder / "index.html").read_text()
    assert all(note.where in page and note.consequence in page for note in found.notes)


def test_an_experiment_without_any_usable_run_is_named(root: Path) -> None:
    for seed in range(3):
        (root / f"toy/lstm/{seed}/result.json").unlink()
    found = evidence(root)
    assert [e.name for e in found.experiments] == ["baseline"]
    assert any(note.where == "toy/lstm" and "no usable run" in note.what for note in found.notes)
    assert answer(found)[0].startswith("baseline reaches a test AUROC of")


def test_without_a_baseline_nothing_is_compared_and_that_is_said(root: Path) -> None:
    shutil.rmtree(root / "toy/baseline")
    found = evidence(root)
    assert found.comparisons == []
    assert any("'baseline'" in note.what for note in found.notes)


def truncate(lines: list[list[str]]) -> None:
    del lines[-1][3:]


def cut_rows(lines: list[list[str]]) -> None:
    del lines[-5:]


def spoil_score(value: str) -> Callable[[list[list[str]]], None]:
    def change(lines: list[list[str]]) -> None:
        next(line for line in lines if line[0] == "test")[4] = value

    return change


def repeat(lines: list[list[str]]) -> None:
    lines[-1] = list(lines[-2])


def one_class(lines: list[list[str]]) -> None:
    for line in lines[1:]:
        line[3] = "FAKE"


def rename_video(lines: list[list[str]]) -> None:
    lines[-1][1] = "another_video"


def other_label(lines: list[list[str]]) -> None:
    lines[-1][3] = "MAYBE"


def leak(lines: list[list[str]]) -> None:
    lines[-1][2] = lines[1][2]


def no_head(lines: list[list[str]]) -> None:
    del lines[0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (truncate, "truncated: line 121 has 3 of 5 fields"),
        (cut_rows, "has 55 test videos, result.json counts 60"),
        (spoil_score("nan"), "score 'nan' for test video test000000"),
        (spoil_score("1.2"), "score '1.2'"),
        (spoil_score("-0.1"), "score '-0.1'"),
        (spoil_score("high"), "score 'high'"),
        (repeat, "more than once"),
        (one_class, "only FAKE videos"),
        (rename_video, "60 test videos differ from the study's 60"),
        (other_label, "label 'MAYBE'"),
        (leak, "is in val and in test"),
        (no_head, "predictions.csv begins with"),
    ],
)
def test_a_bad_prediction_file_is_named_and_left_out(
    root: Path, change: Callable[[list[list[str]]], None], sentence: str
) -> None:
    edit(root, change)
    found = evidence(root)
    assert seeds(found, "lstm") == [0, 2]
    assert seeds(found, "baseline") == [0, 1, 2]
    about = [note for note in found.notes if note.where == "toy/lstm/1"]
    assert any(sentence in note.what for note in about), about
    assert all("left out" in note.consequence for note in about)


def test_a_missing_or_binary_prediction_file_is_named(root: Path) -> None:
    (root / "toy/lstm/0/predictions.csv").unlink()
    (root / "toy/lstm/1/predictions.csv").write_bytes(bytes(range(256)) * 10)
    found = evidence(root)
    assert seeds(found, "lstm") == [2]
    assert {"toy/lstm/0", "toy/lstm/1"} <= {note.where for note in found.notes}


def test_bad_validation_scores_leave_the_test_scores_in(root: Path) -> None:
    def spoil(lines: list[list[str]]) -> None:
        lines[1][4] = "nan"

    edit(root, spoil)
    found = evidence(root)
    assert seeds(found, "lstm") == [0, 1, 2]
    assert found.experiments[1].runs[1].validation is None
    assert any(note.consequence == "left out of everything chosen on validation" for note in found.notes)


def test_bad_frame_scores_leave_the_video_scores_in(root: Path) -> None:
    def spoil(lines: list[list[str]]) -> None:
        lines[-1][7] = "nan"

    edit(root, spoil, "toy/baseline/1")
    found = evidence(root)
    assert seeds(found, "baseline") == [0, 1, 2]
    assert found.experiments[0].runs[1].frame_auroc is None
    assert any(note.consequence == "left out of frame-level numbers" for note in found.notes)


def test_other_damaged_files_are_named(root: Path) -> None:
    (root / "toy/lstm/0/result.json").write_text("{")
    (root / "toy/lstm/1/metrics.csv").write_text("epoch,val/auroc\n0,high\n")
    (root / "toy/baseline/1/.hydra/config.yaml").write_text("a: [")
    (root / "toy/baseline/1/result.json").unlink()
    found = evidence(root)
    assert seeds(found, "lstm") == [1, 2]
    text = "\n".join(map(str, found.notes))
    for words in ("result.json is damaged", "metrics.csv is damaged", "config.yaml is damaged"):
        assert words in text


def test_a_result_that_contradicts_its_predictions_is_shown(root: Path) -> None:
    path = root / "toy/lstm/1/result.json"
    result = json.loads(path.read_text())
    result["test"]["auroc"] = 0.999
    path.write_text(json.dumps(result))
    assert any("says test AUROC 0.9990" in note.what for note in evidence(root).notes)
    assert not any("says" in str(note) for note in evidence(root).notes if note.where != "toy/lstm/1")


def test_a_failed_run_is_named_whatever_else_is_wrong_with_it(root: Path) -> None:
    (root / "toy/lstm/1/result.json").unlink()
    (root / "toy/lstm/1/error.txt").write_text("RuntimeError: out of memory\n")
    (root / "toy/lstm/1/metrics.csv").write_text("epoch,val/auroc\n0,high\n")
    about = [str(note) for note in evidence(root).notes if note.where == "toy/lstm/1"]
    assert any("failed (RuntimeError: out of memory)" in note for note in about)


def test_what_runs_share_is_no_difference_and_seeds_share_a_row(root: Path) -> None:
    rows = {tuple(row) for row in provenance.differences(evidence(root)).rows}
    assert rows == {
        ("toy/baseline (seeds 0, 1, 2)", "none", "–", "–"),
        ("toy/lstm (seeds 0, 1, 2)", "model.hidden", "absent", "256"),
        ("toy/lstm (seeds 0, 1, 2)", "model.trainable", "18", "absent"),
    }


def test_the_commands_are_those_that_made_the_runs(root: Path) -> None:
    def started(run: str, *words: str) -> None:
        (root / run / ".hydra" / "overrides.yaml").write_text(json.dumps(words))

    for seed in range(3):
        started(f"toy/baseline/{seed}", f"seed={seed}", "study=toy", "scale=scratch", "overwrite=true")
        more = ("model.optimizer.lr=1e-3", "name=lr${model.optimizer.lr}") if seed == 2 else ()
        started(f"toy/lstm/{seed}", "experiment=lstm", f"seed={seed}", "study=toy", "scale=scratch", *more)
    assert provenance.commands(read_study(root, "toy", ["baseline"])) == [
        "python train.py -m seed=0,1,2 study=toy scale=scratch",
        "python train.py -m experiment=lstm seed=0,1 study=toy scale=scratch",
        "python train.py -m experiment=lstm seed=2 study=toy scale=scratch model.optimizer.lr=1e-3 "
        "'name=lr${model.optimizer.lr}'",
        "python report.py study=toy",
    ]


def test_runs_whose_words_are_unknown_are_named_by_their_folders(root: Path) -> None:
    shutil.rmtree(root / "toy/lstm/2")
    assert provenance.commands(read_study(root, "toy", ["baseline"])) == [
        "python train.py -m experiment=baseline,lstm seed=0,1,2 study=toy",
        "python report.py study=toy",
    ]


def test_equal_runs_are_told_apart_by_validation_loss(root: Path) -> None:
    shutil.copytree(root / "toy", root / "later")
    chosen = evidence(root).chosen.run

    def less_sure(lines: list[list[str]]) -> None:
        for line in lines[1:]:
            line[4] = f"{0.5 * float(line[4]):.9g}"  # the same ranking, another loss

    edit(root, less_sure, f"toy/{chosen.experiment}/{chosen.seed}")
    found = evidence(root, "toy", "later")
    assert found.chosen.run.study == "later"
    assert "of 2 equal runs the one with the lowest validation loss" in answer(found)[-1]
    assert "equal" not in answer(evidence(root))[-1]


def test_the_run_to_use_comes_with_its_rates_at_its_own_threshold(root: Path) -> None:
    found = evidence(root)
    run = found.chosen
    called = run.test.score > run.threshold
    right, accused = (called == run.test.label).mean(), called[~run.test.label].mean()
    assert f"right in {100 * right:.1f} % of 60 test videos" in answer(found)[-1]
    assert f"calls {round(30 * accused)} of 30 REAL ones FAKE ({100 * accused:.1f} %)" in answer(found)[-1]


def test_a_perfect_separation_is_a_bound_and_no_certainty(root: Path) -> None:
    write_study(root / "easy", {"baseline": 1.5, "lstm": 40.0}, seeds=(0, 1), videos=60)
    found = evidence(root, "easy")
    assert found.experiments[1].mean["auroc"].bound
    rows = {row[0]: row for row in results(found).rows}
    assert re.fullmatch(r"≥ 0\.8\d\d", rows["lstm"][3])
    assert "at least 0.8" in answer(found)[-1]


def test_few_source_groups_give_no_interval_and_the_page_says_why(root: Path) -> None:
    write_study(root / "few", {"baseline": 1.5, "lstm": 2.0}, seeds=(0, 1), videos=24)
    found = evidence(root, "few")
    assert [row[3] for row in results(found).rows] == ["–", "–"]
    assert any("an interval needs 15" in note.what for note in found.notes)
    assert "an interval needs 15" in answer(found)[0]


def test_one_real_video_gives_numbers_without_intervals_and_no_nan(root: Path) -> None:
    def keep_one(lines: list[list[str]]) -> None:
        reals = [line for line in lines if line[0] == "test" and line[3] == "REAL"]
        for line in reals[1:]:
            lines.remove(line)

    for path in root.glob("toy/*/*/result.json"):
        edit(root, keep_one, str(path.parent.relative_to(root)))
        result = json.loads(path.read_text())
        result["data"]["counts"]["test"]["REAL"] = 1
        path.write_text(json.dumps(result))
    found = evidence(root)
    tables = [make(found) for section in SECTIONS for make in section.tables]
    said = "\n".join([*answer(found), *(table.markdown() for table in tables)])
    assert not re.search(r"\b(nan|inf)\b", said)
    assert "No verdict on lstm: 1 source group holds one of the labels, an interval needs 15." in said


def test_the_answer_opens_with_the_clearest_gain(root: Path) -> None:
    write_study(root / "gain", {"baseline": 1.0, "lstm": 3.5, "focal": 0.9}, range(5), videos=60)
    first = answer(evidence(root, "gain"))[0]
    assert re.match(r"Clearly better than baseline: lstm by 0\.\d{3} AUROC \(95 % 0\.\d{3} to", first)


def test_a_split_that_tears_groups_apart_is_named_before_any_number(root: Path) -> None:
    for path in root.glob("toy/*/*/result.json"):
        result = json.loads(path.read_text())
        result["data"]["split"] = {"split": "by_video", "leaky": True, "groups": 400, "torn": 37}
        path.write_text(json.dumps(result))
    found = evidence(root)
    words = "split=by_video leaks: 37 of 400 source groups lie in more than one split"
    assert answer(found)[0].startswith(f"toy: {words}")
    assert words in model_card(found).split("## Limits")[1].split("##")[0]
    assert ["warning", words] in [[row[0], row[1].split(", so")[0]] for row in provenance.data(found).rows]


def test_the_answer_of_many_experiments_stays_on_one_screen(root: Path) -> None:
    write_study(root / "many", {"baseline": 1.5} | {f"e{i}": 1.5 for i in range(20)}, (0, 1), videos=60)
    said = answer(evidence(root, "many"))
    assert len(said) <= 4
    assert "at most 0." in " ".join(said)
    assert re.search(r"and \d+ more \(see the table\)", " ".join(said))
    assert len(" ".join(said)) < 900


def test_a_section_is_one_object_and_its_tables_and_figures_follow(root: Path) -> None:
    def added(found: Evidence) -> Table:
        return Table(
            "added", "Added", "One function.", ["experiment"], [[e.label] for e in found.experiments]
        )

    def empty(_: Evidence) -> Table:
        return Table("empty", "", "", ["experiment"], [])

    section = Section("more", "More", tables=(added,), text=lambda found: f"{len(found.experiments)} found")
    made = contents(evidence(root), [section, Section("none", "Nothing", tables=(empty,), text="Unseen.")])
    assert [(content.title, content.text, content.tables[0].rows) for content in made] == [
        ("More", "2 found", [["baseline"], ["lstm"]])
    ]


def test_no_two_tables_or_two_figures_share_a_name(root: Path) -> None:
    made = contents(evidence(root))
    for names in (
        [table.name for content in made for table in content.tables],
        [picture.name for content in made for picture in content.pictures],
        [content.anchor for content in made],
    ):
        assert len(names) == len(set(names))


def test_a_plan_from_a_pilot_says_what_finds_the_difference_and_writes_nothing(root: Path) -> None:
    done = command(f"root={root}", "study=toy", "n_resamples=100", "plan=true", "delta=0.05")
    assert done.returncode == 0, done.stderr
    assert "power for Δ = 0.05" in done.stdout
    assert "| 20 seeds |" in done.stdout
    assert not (root / "toy" / "report").exists()


def test_a_plan_without_two_seeds_says_what_a_pilot_needs(root: Path) -> None:
    write_study(root / "one", {"baseline": 1.5, "lstm": 2.4}, seeds=(0,), videos=60)
    with pytest.raises(UserError, match="two or more seeds of baseline and of another experiment .*one seed"):
        plan(evidence(root, "one"))


def test_larger_studies_have_more_power(root: Path) -> None:
    rows = [[float(cell.rstrip(" %")) for cell in row[3:]] for row in powers(evidence(root)).rows]
    assert all(row[0] < row[-1] for row in [*rows, *zip(*rows, strict=True)]), rows
