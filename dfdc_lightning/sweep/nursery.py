"""Where the runs of a sweep are born: one small process imports what they all need, and each run is its fork.

Importing torch and its kin takes seconds of a core; a run that is forked from a process which has done so
starts at once, and is as separate from the others as one that was started by hand.
"""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from dfdc_lightning.sweep.process import END_OF_RUN, PARENT, Ending

_STOP_SECONDS = 3.0  # between asking a run to stop and killing it; the user was promised five in all
_TAIL_LINES = 60


class Nursery:
    """Runs one script again and again, each time in a process of its own.

    Args:
        script: The script.
        warm: Modules that every run imports; they are imported once.
    """

    def __init__(self, script: Path, warm: Sequence[str]) -> None:
        self.script, self.warm = script, tuple(warm)
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, arguments: Sequence[str]) -> Ending:
        """Run the script to its end, passing on what it says; nothing it started survives it.

        Args:
            arguments: Its command line.

        Raises:
            KeyboardInterrupt: Or whatever else stops the caller, after the run was stopped.
        """
        if self._process is None or self._process.poll() is not None:
            self._process = self._open()
        self._tail.clear()
        self._heard.clear()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # then nobody answers below
            self._process.stdin.write(json.dumps(list(arguments)).encode() + b"\n")
            self._process.stdin.flush()
        if not (born := self._answers.readline()):
            return self._ending(self._process.wait())
        try:
            answer = self._answers.readline()
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(int(born), signal.SIGINT)
            select.select([self._answers], [], [], _STOP_SECONDS)
            raise
        finally:
            with suppress(ProcessLookupError):  # nobody is left
                os.killpg(int(born), signal.SIGKILL)
        # Without an answer the nursery itself was killed, and took the run with it.
        return self._ending(int(answer) if answer else self._process.wait())

    def _ending(self, status: int) -> Ending:
        self._heard.wait(timeout=1)
        return Ending(status, b"".join(self._tail).decode(errors="replace"))

    def _open(self) -> subprocess.Popen[bytes]:
        ours, theirs = os.pipe()
        # The package is found as the script finds it; whatever happens, the nursery ends with this process.
        path = os.pathsep.join([str(self.script.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        variables = {PARENT: str(os.getpid()), "PYTHONFAULTHANDLER": "1", "PYTHONPATH": path}
        process = subprocess.Popen(
            [sys.executable, "-m", "dfdc_lightning.sweep.fork", str(theirs), str(self.script), *self.warm],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[theirs],
            env=os.environ | variables,
            start_new_session=True,  # a Ctrl-C reaches only us, and we stop the run
        )
        os.close(theirs)
        atexit.register(process.wait)
        atexit.register(process.kill)
        self._answers = os.fdopen(ours, "r")
        self._tail: deque[bytes] = deque(maxlen=_TAIL_LINES)
        self._heard = threading.Event()
        threading.Thread(target=self._listen, args=(process.stderr,), daemon=True).start()
        return process

    def _listen(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            if line.endswith(END_OF_RUN):
                line = line.removesuffix(END_OF_RUN)
                self._heard.set()
            if line:
                self._tail.append(line)
                sys.stderr.write(line.decode(errors="replace"))
                sys.stderr.flush()
        self._heard.set()
