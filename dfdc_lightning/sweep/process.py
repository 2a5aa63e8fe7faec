"""One command in a process group of its own: heard, outlived, and never left behind."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

PARENT = "DFDC_SWEEP_PROCESS"  # in the child's environment: the process that must not die before it
_STOP_SECONDS = 3.0  # between asking a run to stop and killing it; the user was promised five in all
_TAIL_LINES = 60
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_KILL_ME_FIRST = 500  # of 1000, for the kernel when memory runs out: rather one run than the sweep


class Ending(NamedTuple):
    """How a process ended: its exit status (negative: the signal that killed it) and its last words."""

    status: int
    last_words: str

    @property
    def epitaph(self) -> str:
        """One sentence on what happened."""
        errors = [line for line in self.last_words.splitlines() if line.startswith("error: ")]
        if errors:
            return errors[-1].removeprefix("error: ")
        if self.status >= 0:
            return f"the process ended with exit code {self.status} and left no traceback"
        name = signal.Signals(-self.status).name
        hint = ": out of memory, most likely, or killed by hand" if name == "SIGKILL" else ""
        return f"the process was killed by {name}{hint}"


def run_in_own_process(command: Sequence[str]) -> Ending:
    """Run a command to its end, passing on what it says; nothing it started survives it.

    Args:
        command: Program and arguments. Its stdout is ours (so a terminal stays one), its stderr is passed on.

    Raises:
        KeyboardInterrupt: Or whatever else stops the caller, after the command was stopped.
    """
    environment = os.environ | {PARENT: str(os.getpid()), "PYTHONFAULTHANDLER": "1"}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # a Ctrl-C reaches only us, and we stop the whole group
    )
    assert process.stderr is not None
    tail: deque[bytes] = deque(maxlen=_TAIL_LINES)
    listener = threading.Thread(target=_pass_on, args=(process.stderr, tail), daemon=True)
    listener.start()
    try:
        process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        raise
    finally:
        _kill_group(process)
        listener.join(timeout=1)
    return Ending(process.returncode, b"".join(tail).decode(errors="replace"))


def tie_to_parent() -> None:
    """In a process started by `run_in_own_process`: die when that parent dies, even by SIGKILL (Linux)."""
    expected = os.environ.pop(PARENT, None)
    if expected is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(expected):  # it died before we asked to be told
        os.kill(os.getpid(), signal.SIGKILL)
    with suppress(OSError):  # a hint to the kernel, refused in some containers
        Path("/proc/self/oom_score_adj").write_text(str(_KILL_ME_FIRST))


def _pass_on(pipe: IO[bytes], tail: deque[bytes]) -> None:
    for line in pipe:
        tail.append(line)
        sys.stderr.write(line.decode(errors="replace"))
        sys.stderr.flush()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # nobody is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
