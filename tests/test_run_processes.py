"""Runs are forked from a process that has imported what they need, unless a GPU's driver got in the way."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sweeping import ROOT

from dfdc_lightning.sweep.run_processes import Exit, RunProcesses

WARM = """
import sys
from pathlib import Path
here = Path(__file__).parent
with (here / "imports").open("a") as file:
    file.write("once\\n")
if (here / "driver").exists():
    opened = (here / "driver").open()
    sys.modules["dfdc_lightning.sweep.fork_server"].DRIVERS = (str(here / "driver"),)
"""
SCRIPT = """
import os, sys, warm
from pathlib import Path
Path(sys.argv[1]).write_text(str(os.getpid()))
"""


@pytest.mark.parametrize(("driver", "imports"), [(False, 1), (True, 3)])
def test_runs_share_their_imports_unless_these_opened_a_gpus_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: bool, imports: int
) -> None:
    (tmp_path / "warm.py").write_text(WARM)
    (tmp_path / "script.py").write_text(SCRIPT)
    if driver:
        (tmp_path / "driver").touch()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with closing(RunProcesses(tmp_path / "script.py", ["warm"])) as processes:
        for name in ("first", "second"):
            run = processes.start([str(tmp_path / name)])
            assert processes.wait() == (run, Exit(0, ""))
    assert (tmp_path / "first").read_text() != (tmp_path / "second").read_text(), (
        "not in processes of their own"
    )
    assert len((tmp_path / "imports").read_text().splitlines()) == imports


def test_importing_what_runs_need_asks_nothing_of_a_gpu() -> None:
    source = (ROOT / "train.py").read_text()
    warm = [
        name for line in source.splitlines() if line.startswith("@isolated") for name in line.split('"')[1::2]
    ]
    assert "torch._dynamo" in warm
    code = (
        "import sys, torch, importlib\n"
        "def asked(*_): raise SystemExit('a GPU was asked for at import')\n"
        "torch._C._cuda_getDeviceCount = torch._C._cuda_init = torch.cuda._lazy_init = asked\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
    )
    command = [sys.executable, "-c", code, *warm]
    said = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
