"""How the tests start a sweep as a user does: a command in a folder, with what it said and left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache, Row
from dfdc_lightning.results.result import Result
from dfdc_lightning.results.run_folder import find_runs

ROOT = Path(__file__).parents[1]
TOY = ROOT / "tests" / "toy" / "toy.py"


class Said(NamedTuple):
    status: int
    out: str
    err: str

    def outcomes(self) -> dict[str, str]:
        """`{"toy 0": "done", …}` from the table at the end."""
        lines = self.out[self.out.rindex("experiment  ") :].splitlines()[1:]
        cells = [line.split() for line in lines if len(line.split()) > 2 and line.split()[1].isdigit()]
        return {f"{name} {seed}": word for name, seed, word, *_ in cells}


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with our package importable and one thread a process."""
    return (
        os.environ
        | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        | more
    )


def start(script: Path, *arguments: str, cwd: Path, **more: str) -> subprocess.Popen[str]:
    """Start a script; toys find conf/compute by Hydra's search path, as a user's own folder would."""
    search = (f"hydra.searchpath=[file://{ROOT}/conf]",) if script == TOY else ()
    return subprocess.Popen(
        [sys.executable, str(script), *arguments, *search],
        cwd=cwd,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(script: Path, *arguments: str, cwd: Path, **more: str) -> Said:
    """Start a script and wait for it."""
    process = start(script, *arguments, cwd=cwd, **more)
    out, err = process.communicate(timeout=240)
    return Said(process.returncode, out, err)


def toy(cwd: Path, *arguments: str, fates: dict[int, str] | None = None, **more: str) -> Said:
    """Run the toy in a folder that has a cache with one clip's row."""
    if not (cwd / "cache").exists():
        FaceCache(cwd / "cache").write_rows(
            [Row("a", REAL, "", "a", "train"), Row("b", FAKE, "a", "a", "train")]
        )
    return run(TOY, *arguments, cwd=cwd, TOY_FATES=json.dumps(fates or {}), **more)


def results(study: Path) -> dict[str, Result]:
    """`{"toy/0": its result, …}`."""
    return {f"{run.experiment}/{run.seed}": run.result for run in find_runs(study) if run.finished}
