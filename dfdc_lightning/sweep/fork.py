"""The inside of a nursery: import what runs need, then fork one for each command line that comes in.

    python -m dfdc_lightning.sweep.fork ANSWERS SCRIPT MODULE…

is what `nursery.py` starts. ANSWERS is the file descriptor that takes each run's process id and exit status.
"""

import atexit
import importlib
import json
import os
import runpy
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from dfdc_lightning.sweep.process import END_OF_RUN, PARENT, tie_to_parent

DRIVERS = ("/dev/nvidia-uvm", "/dev/kfd", "/dev/dxg")  # a GPU's: CUDA on Linux, ROCm, CUDA under WSL


def serve(answers: int, script: str, warm: Sequence[str]) -> None:
    """Fork a run for each command line on stdin; tell its process id and its exit status."""
    tie_to_parent()
    # W&B keeps temporary folders from its import until the end of the process: each run needs its own.
    sys.modules["wandb"] = None  # type: ignore[assignment]  # what would like to have it (timm) does without
    for name in warm:
        importlib.import_module(name)
    del sys.modules["wandb"]
    if warm and holds_a_driver():  # start over and import nothing: each run will do it by itself
        os.execv(sys.executable, [sys.executable, "-m", "dfdc_lightning.sweep.fork", str(answers), script])
    # Python 3.12 warns of threads here; they are OpenBLAS's, which prepares them for a fork by itself.
    warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
    for line in sys.stdin:
        nursery, run = os.getpid(), os.fork()
        if run == 0:
            os.close(answers)
            become(script, json.loads(line), nursery)
        os.write(answers, f"{run}\n".encode())
        _, status = os.waitpid(run, 0)
        os.write(2, END_OF_RUN)
        os.write(answers, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def holds_a_driver() -> bool:
    """Whether an import has opened a GPU's driver, after which no fork of this process could use the GPU."""
    opened = Path("/proc/self/fd")
    if not opened.is_dir():
        return False
    targets = (os.path.realpath(descriptor) for descriptor in opened.iterdir())
    return any(target in DRIVERS for target in targets)


def become(script: str, arguments: Sequence[str], nursery: int) -> NoReturn:
    """In a fork: be the script as if started from the command line, and end without taking Python down.

    Python's own end frees every object of every module, which after a fork means to copy them first: seconds.
    """
    os.setsid()
    os.environ[PARENT] = str(nursery)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).parent)
    status: object = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        status = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
