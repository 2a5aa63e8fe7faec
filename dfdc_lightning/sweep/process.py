"""A process that must not outlive the one that started it, and what is to be said of it when it has ended."""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PARENT = "DFDC_SWEEP_PROCESS"  # in the environment of a run: the process that must not die before it
END_OF_RUN = b"\0end of run\n"  # on stderr: everything that the run said has been heard
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
