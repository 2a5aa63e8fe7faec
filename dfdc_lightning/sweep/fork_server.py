"""The fork server of a sweep: imports what every run needs, then forks one process per run.

Importing torch and what needs it takes seconds of a core; a run that is forked from a process which has
done so starts at once, and is as separate from the others as one that was started by hand. `run_processes.py`
starts the server and talks to it through a socket:

    to it     the arguments of a run as a line of JSON, with the file descriptors of its stdout and stderr
    from it   "started PID", and once that process has ended "ended PID STATUS"
"""

import atexit
import ctypes
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

PARENT = "DFDC_SWEEP_PROCESS"  # in the environment of a process: the one that must not die before it
DRIVERS = ("/dev/nvidia-uvm", "/dev/kfd", "/dev/dxg")  # a GPU's: CUDA on Linux, ROCm, CUDA under WSL
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_KILL_ME_FIRST = 500  # of 1000, for the kernel when memory runs out: rather one run than the sweep
_LONGEST_LINE = 1 << 20


def tie_to_parent() -> None:
    """Die when the process named in the environment dies, even by SIGKILL (Linux); without one do nothing."""
    expected = os.environ.pop(PARENT, None)
    if expected is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(expected):  # it died before we asked to be told
        os.kill(os.getpid(), signal.SIGKILL)
    with suppress(OSError):  # a hint to the kernel, refused in some containers
        Path("/proc/self/oom_score_adj").write_text(str(_KILL_ME_FIRST))


def serve(descriptor: int, script: str, modules: Sequence[str]) -> None:
    """Import the modules, then fork a run for each request, until the client closes the socket.

    Args:
        descriptor: Of the socket.
        script: What a run executes.
        modules: What every run imports.
    """
    tie_to_parent()
    # W&B keeps temporary folders from its import until the end of the process: each run needs its own.
    sys.modules["wandb"] = None  # type: ignore[assignment]  # what would like to have it (timm) does without
    for name in modules:
        importlib.import_module(name)
    del sys.modules["wandb"]
    if modules and holds_a_driver():  # start over and import nothing: each run will do it by itself
        os.execv(sys.executable, [*command(descriptor, script)])
    # Python 3.12 warns of threads here; they are OpenBLAS's, which prepares them for a fork by itself.
    warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
    _fork_for_each_request(socket.socket(fileno=descriptor), script)


def _fork_for_each_request(channel: socket.socket, script: str) -> None:
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler nothing would be written to `wakes`
    server = os.getpid()
    sources: list[socket.socket | int] = [channel, woken]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if woken in ready:
            os.read(woken, _LONGEST_LINE)
            for run, status in _ended():
                channel.sendall(f"ended {run} {status}\n".encode())
        if channel in ready:
            request, descriptors, _, _ = socket.recv_fds(channel, _LONGEST_LINE, 2)
            if not request:
                return
            while not request.endswith(b"\n"):
                request += channel.recv(_LONGEST_LINE)
            if (run := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for unused in (channel.detach(), woken, wakes):
                    os.close(unused)
                become(script, json.loads(request), descriptors, server)
            for handed_on in descriptors:
                os.close(handed_on)
            channel.sendall(f"started {run}\n".encode())


def _ended() -> Iterator[tuple[int, int]]:
    """Yield the process id and the exit status of each run that has ended."""
    with suppress(ChildProcessError):  # none is left
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            yield found[0], os.waitstatus_to_exitcode(found[1])


def holds_a_driver() -> bool:
    """Say whether an import has opened a GPU's driver, after which no fork of this process could use it."""
    opened = Path("/proc/self/fd")
    if not opened.is_dir():
        return False
    targets = (os.path.realpath(descriptor) for descriptor in opened.iterdir())
    return any(target in DRIVERS for target in targets)


def become(script: str, arguments: Sequence[str], output: Sequence[int], server: int) -> NoReturn:
    """Run the script in a fork as if from the command line, and end without taking Python down.

    Python's own end frees every object of every module, which after a fork means to copy them first: seconds.

    Args:
        script: What to execute.
        arguments: Its command line.
        output: Descriptors that become stdout and stderr.
        server: The process that this one was forked from.
    """
    os.setsid()
    os.environ[PARENT] = str(server)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    for standard, descriptor in enumerate(output, start=1):
        os.dup2(descriptor, standard)
        os.close(descriptor)
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


def command(descriptor: int, script: str, modules: Sequence[str] = ()) -> list[str]:
    """Give the command line that starts a server."""
    start = "import sys; from dfdc_lightning.sweep.fork_server import serve; "
    start += "serve(int(sys.argv[1]), sys.argv[2], sys.argv[3:])"
    return [sys.executable, "-c", start, str(descriptor), script, *modules]
