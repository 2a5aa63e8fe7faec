"""The house stays as drawn: imports run one way, configuration stays at the door, groups name modules."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dfdc_lightning"
CONF = ROOT / "conf"
ENTRY_SCRIPTS = ("train.py", "prepare_faces.py", "report.py", "predict.py", "evaluate.py")

# The rooms from left to right; a room imports from itself and from rooms to its left.
ROOMS = (
    ("errors", "atomic", "machine"),
    ("checks",),
    ("results",),
    ("arguments", "journal", "progress"),
    ("video",),
    ("demo",),
    ("faces",),
    ("audit",),
    ("augment",),
    ("blend", "compression", "cutout", "pairs"),
    ("hardware",),
    ("doctor", "clips", "losses", "metrics"),
    ("sheet",),
    ("models",),
    ("callbacks", "loggers"),
    ("runs",),
    ("sweep",),
    ("report",),
    ("explain",),
    ("predict", "dashboard"),
    ("export",),
    ("evaluate",),
    ("app",),
)
LEVEL = {name: level for level, names in enumerate(ROOMS) for name in names}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} line {node.lineno}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return names


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_from_rooms_to_its_left(path: Path) -> None:
    here = room(path)
    assert here in LEVEL, f"{here} has no place in the house: add it to ROOMS and docs/architecture.md"
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "dfdc_lightning" or len(parts) < 2:
            continue
        there = parts[1]
        if there == here:
            continue
        assert LEVEL[there] < LEVEL[here], f"{name_of(path)} imports {name}, which is not to its left"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_runs_and_sweep_know_hydra(path: Path) -> None:
    if room(path) in ("runs", "sweep"):
        return
    known = {name.split(".")[0] for name in imported(path)}
    assert not known & {"hydra", "omegaconf"}


@pytest.mark.parametrize("script", [script for script in ENTRY_SCRIPTS if (ROOT / script).exists()])
def test_an_entry_script_fits_on_one_screen(script: str) -> None:
    assert len((ROOT / script).read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.parametrize("script", [script for script in ENTRY_SCRIPTS if (ROOT / script).exists()])
def test_an_entry_script_answers_help_without_heavy_imports(script: str) -> None:
    tree = ast.parse((ROOT / script).read_text(encoding="utf-8"))
    heavy = {"torch", "lightning", "timm", "torchvision", "cv2", "matplotlib", "av"}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
            )
            assert not {name.split(".")[0] for name in names} & heavy


def test_a_model_or_loss_file_is_a_target_of_its_group() -> None:
    """conf/<group>/x.yaml builds something that lives in dfdc_lightning/<group>… or in a library."""
    homes = {
        "model": "dfdc_lightning.models.",
        "loss": "dfdc_lightning.losses.",
        "augment": "dfdc_lightning.augment.",
        "data": "dfdc_lightning.clips.",
        "source": "dfdc_lightning.video.",
        "face_detector": "dfdc_lightning.faces.",
    }
    for group, home in homes.items():
        files = sorted((CONF / group).glob("*.yaml"))
        assert files, f"conf/{group} is empty"
        for file in files:
            target = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("_target_")
            if target is not None and target.startswith("dfdc_lightning."):
                assert target.startswith(home), f"{name_of(file)} builds {target}, which is not in {home}"


def targets(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["_target_"]] if isinstance(node.get("_target_"), str) else []
        return own + [target for child in node.values() for target in targets(child)]
    return [target for child in node for target in targets(child)] if isinstance(node, list) else []


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=name_of)
def test_every_target_of_ours_exists(file: Path) -> None:
    for target in targets(yaml.safe_load(file.read_text(encoding="utf-8"))):
        if not target.startswith("dfdc_lightning."):
            continue
        *module, name = target.split(".")
        source = ROOT.joinpath(*module).with_suffix(".py")
        if not source.exists():  # a class method or a name that a package's __init__ defines
            source = ROOT.joinpath(*module) / "__init__.py"
        if not source.exists():
            source = ROOT.joinpath(*module[:-1]).with_suffix(".py")
            name = module[-1]
        defined = {node.name for node in ast.walk(ast.parse(source.read_text())) if hasattr(node, "name")}
        assert name in defined, f"{name_of(file)}: {target} does not exist"


@pytest.mark.parametrize("file", sorted((CONF / "experiment").glob("*.yaml")), ids=name_of)
def test_an_experiment_asks_a_question_and_differs_in_ten_lines_at_most(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# @package _global_"
    assert any(line.startswith("#") and "?" in line for line in lines[1:]), "state the question as a comment"
    assert len([line for line in lines if line.strip() and not line.startswith("#")]) <= 10


def test_the_readme_names_every_room_in_the_order_of_imports() -> None:
    (drawing,) = re.findall(
        r"```\n(train\.py .*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S
    )
    named = re.findall(r"(?<=[\n ])([a-z_]+)(?:/|\.py)(?=\s)", drawing.partition("dfdc_lightning/")[2])
    assert [name for name in named if name not in ("benchmarks", "tests", "docs")] == [*LEVEL]


def test_the_rooms_of_the_documents_and_of_the_package_are_the_same() -> None:
    rooms = {room(path) for path in MODULES}
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Rooms")[2]
    first_cells = re.findall(r"^\| (`.*?) \|", table.partition("## Configuration")[0], re.M)
    assert re.findall(r"`([a-z_]+)(?:/|\.py)`", " ".join(first_cells)) == [*LEVEL]
    assert set(LEVEL) == rooms, "ROOMS names what does not exist, or lacks what does"


def test_every_folder_of_conf_is_explained() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Configuration")[2]
    first_cells = re.findall(r"^\| (`.*?) \|", table.partition("## Contracts")[0], re.M)
    groups = [path.name for path in CONF.iterdir() if path.is_dir()]
    assert sorted(re.findall(r"`([a-z_]+)/`", " ".join(first_cells))) == sorted(groups)


DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/study.md")
NAMED_FILE = re.compile(r"(?:conf|dfdc_lightning|tests|benchmarks|docs)/[\w./]+\.(?:py|yaml|md|svg|png)")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_names_files_that_exist(document: str) -> None:
    for name in NAMED_FILE.findall((ROOT / document).read_text(encoding="utf-8")):
        path = ROOT / name
        the_readers = path.stem in ("NAME", "focal4", "grey") and path.parent.is_dir()
        assert path.exists() or the_readers, f"{document} names {name}, which does not exist"


def test_ten_changes_are_shown_with_their_files() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Ten likely changes")[2]
    rows = re.findall(r"^\| (?!change|-).*\| (`.*`) \|$", text.partition("## Tests")[0], re.M)
    assert len(rows) == 10


def test_a_file_name_stands_for_one_file() -> None:
    sources = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".jinja", ".csv")]
    names = Counter(path.name for path in sources if path.stem not in ("__init__", "__main__"))
    assert not [name for name, times in names.items() if times > 1], "take the more exact noun"


def test_no_module_is_called_utils() -> None:
    assert not [path for path in MODULES if path.stem in ("utils", "helpers", "common", "misc")]


def docstrings(path: Path) -> list[str]:
    """The docstrings of a module, of its classes and of its functions."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented)]
    return [text for text in found if text]


def test_no_two_docstrings_say_the_same() -> None:
    first = Counter(text.partition("\n\n")[0] for path in MODULES for text in docstrings(path))
    assert not [sentence for sentence, times in first.items() if times > 1]


# What a sentence says instead: what must be, what is absent, "per" for each.
UNWANTED = re.compile(
    r"\b[Tt]here (is|are) no\b|\bis no \w|\bstands? there\b|"
    r"\b(rows?|frames|seconds|epochs|once|clips|maps?) an? (epoch|second|run|clip|frame|video)\b"
)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_docstring_or_message_says_what_must_be(path: Path) -> None:
    for text in (*docstrings(path), *texts(path)):
        assert not UNWANTED.search(text), f"{name_of(path)}: say otherwise: {text.strip()[:120]!r}"


RUN_FILES = ("predictions.csv", "metrics.csv", "result.json", "error.txt", "best.ckpt", "last.ckpt")


def texts(path: Path) -> list[str]:
    """Every text of a module that is no docstring, pieces of f-strings included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if node.body and isinstance(node.body[0], ast.Expr)
    }
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [node.value for node in constants if isinstance(node.value, str) and id(node) not in docstrings]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_run_folders_files_are_named_read_and_written_in_results_alone(path: Path) -> None:
    if room(path) == "results":
        return
    for text in texts(path):
        named = [name for name in RUN_FILES if name in text.split("/") or f" {name}" in f" {text}"]
        assert not named, f"{name_of(path)} says {text!r}: take {named[0]} from dfdc_lightning/results"


def test_every_run_file_and_each_of_its_columns_is_written_down_once() -> None:
    inside = [text for path in MODULES if room(path) == "results" for text in texts(path)]
    for name in (*RUN_FILES, "score_frame_"):
        assert inside.count(name) == 1, f"{name} stands {inside.count(name)} times in dfdc_lightning/results"


CURVES = {"roc", "roc_curve", "det_curve", "confusion", "confusion_matrix", "youden_threshold", "tpr_at"}


def test_curves_and_confusion_of_scores_are_computed_in_results_alone() -> None:
    for path in MODULES:
        if room(path) == "results":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name in CURVES:
                drawn = node.returns is not None and "Picture" in ast.unparse(node.returns)
                tabulated = node.returns is not None and "Table" in ast.unparse(node.returns)
                assert drawn or tabulated, f"{name_of(path)} computes {node.name} a second time"
        computing = {"sklearn", "torchmetrics.functional.classification"}
        assert not imported(path) & computing, f"{name_of(path)} has measures of its own"
