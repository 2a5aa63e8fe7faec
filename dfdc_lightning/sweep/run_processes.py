"""Runs in processes of their own, one or several at a time: started, listened to, stopped together."""

import atexit
import itertools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TextIO

from dfdc_lightning.sweep.fork_server import PARENT, command

_STOP_SECONDS = 3.0  # between asking runs to stop and killing them; the user was promised five in all
_READ_OUT_SECONDS = 1.0  # for what an ended run has written and we have not read yet
_TAIL_LINES = 60


class Exit(NamedTuple):
    """How a process ended.

    Args:
        status: Its exit status; negative: the signal that killed it.
        stderr: The last lines that it wrote there.
    """

    status: int
    stderr: str

    @property
    def reason(self) -> str:
        """What happened, in one sentence."""
        errors = [line for line in self.stderr.splitlines() if line.startswith("error: ")]
        if errors:
            return errors[-1].removeprefix("error: ")
        if self.status >= 0:
            return f"the process ended with exit code {self.status} and left no traceback"
        name = signal.Signals(-self.status).name
        hint = ": out of memory, most likely, or killed by hand" if name == "SIGKILL" else ""
        return f"the process was killed by {name}{hint}"


class _Stream:
    """One output of one process, passed on line by line.

    Args:
        pipe: The end that is read.
        target: Where its lines go.
        label: What stands before each of them; a line that begins with it already is left as it is.
    """

    def __init__(self, pipe: int, target: TextIO, label: str = "") -> None:
        self.pipe, self.target, self.label = pipe, target, label
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.open = True  # more may come
        self.closed = False  # by us
        self._rest = b""

    def read(self) -> None:
        """Pass on what has come; on its end, also what lacks a line's end."""
        data = os.read(self.pipe, 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not data:
            self.open = False
            lines, self._rest = ([self._rest] if self._rest else []), b""
        for line in lines:
            text = line.decode(errors="replace") + "\n"
            self.tail.append(text)
            self.target.write(text if text.startswith(self.label) else self.label + text)
        if lines:
            self.target.flush()


class _Server:
    """A fork server and the socket through which it is spoken to.

    Args:
        script: What its forks execute.
        modules: What it imports.
    """

    def __init__(self, script: Path, modules: Sequence[str]) -> None:
        self.channel, theirs = socket.socketpair()
        errors, written = os.pipe()
        # The package is found as the script finds it; whatever happens, the server ends with this process.
        path = os.pathsep.join([str(script.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        variables = {PARENT: str(os.getpid()), "PYTHONFAULTHANDLER": "1", "PYTHONPATH": path}
        self.process = subprocess.Popen(
            command(theirs.fileno(), str(script), modules),
            stdin=subprocess.DEVNULL,
            stderr=written,
            pass_fds=[theirs.fileno()],
            env=os.environ | variables,
            start_new_session=True,  # a Ctrl-C reaches only us, and we stop the runs
        )
        theirs.close()
        os.close(written)
        atexit.register(self.close)
        self.errors = _Stream(errors, sys.stderr)
        self.alive = True
        self.started = 0  # the last run of which it said so
        self.exits: dict[int, int] = {}
        self._unheard = b""

    def close(self) -> None:
        """End the server, which takes its runs with it."""
        atexit.unregister(self.close)
        self.process.kill()
        self.process.wait()
        self.channel.close()

    def hear(self) -> None:
        """Note what it says: a run has started, or has ended."""
        data = self.channel.recv(1 << 16)
        self.alive = bool(data)
        *lines, self._unheard = (self._unheard + data).split(b"\n")
        for line in lines:
            word, run, *status = line.decode().split()
            if word == "started":
                self.started = int(run)
            else:
                self.exits[int(run)] = int(status[0])


class RunProcesses:
    """Runs one script again and again, each time in a process of its own, forked from a server.

    Args:
        script: The script.
        modules: Modules that every run imports; the server imports them once.
    """

    def __init__(self, script: Path, modules: Sequence[str]) -> None:
        self.script, self.modules = script, tuple(modules)
        self._server: _Server | None = None
        self._streams: dict[int, list[_Stream]] = {}  # of each run that is going: stderr first

    @cached_property
    def _selector(self) -> selectors.BaseSelector:
        return selectors.DefaultSelector()  # made late: launchers send us to other machines before we start

    def start(self, arguments: Sequence[str], label: str = "") -> int | Exit:
        """Start the script; returns its process id, or how the server ended that should have started it.

        Args:
            arguments: Its command line.
            label: Stands before each line that it writes; without one its stdout is ours.
        """
        server = self._living_server()
        pipes = [os.pipe()] if not label else [os.pipe(), os.pipe()]
        written = [end for _, end in pipes]
        streams = [_Stream(pipes[-1][0], sys.stderr, label)]
        if label:
            streams.append(_Stream(pipes[0][0], sys.stdout, label))
        handed_on = written if label else [1, *written]
        with suppress(BrokenPipeError, ConnectionResetError):  # then nobody answers below
            socket.send_fds(server.channel, [json.dumps(list(arguments)).encode() + b"\n"], handed_on)
        for end in written:
            os.close(end)
        for stream in streams:
            self._selector.register(stream.pipe, selectors.EVENT_READ, stream)
        server.started = 0
        self._pump_until(lambda: bool(server.started))
        if not server.started:
            for stream in streams:
                self._close(stream)
            return self._exit_of(server)
        self._streams[server.started] = streams
        return server.started

    def wait(self) -> tuple[int, Exit]:
        """Wait until one of the started runs has ended; returns its process id and how it ended.

        Raises:
            KeyboardInterrupt: Or whatever else stops the caller, after all runs were stopped.
        """
        server = self._server
        assert server is not None and self._streams, "no run is going"
        self._pump_until(lambda: bool(server.exits))
        if not server.exits:  # the server was killed, and took the runs with it
            server.exits |= dict.fromkeys(self._streams, self._exit_of(server).status)
        run = next(iter(server.exits))
        status, streams = server.exits.pop(run), self._streams.pop(run)
        _kill_group(run)  # nothing that it started outlives it
        self._read_out(streams)
        return run, Exit(status, "".join(streams[0].tail))

    def close(self) -> None:
        """End the server and whatever run is going."""
        if self._server is not None:
            self._server.close()
            for stream in [self._server.errors, *itertools.chain.from_iterable(self._streams.values())]:
                self._close(stream)
            self._selector.close()
            self._server = None

    def _stop(self) -> None:
        """Ask every run to stop, then kill what is left."""
        server = self._server
        assert server is not None
        for run in self._streams.keys() - server.exits:
            with suppress(ProcessLookupError):
                os.kill(run, signal.SIGINT)
        until = time.monotonic() + _STOP_SECONDS
        while server.alive and self._streams.keys() - server.exits and time.monotonic() < until:
            self._pump(0.1)
        for run in self._streams:
            _kill_group(run)

    def _pump_until(self, done: Callable[[], bool]) -> None:
        """Read until `done` or the server is gone; whatever stops the caller stops all runs."""
        assert self._server is not None
        try:
            while not done() and self._server.alive:
                self._pump()
        except BaseException:
            self._stop()
            raise

    def _pump(self, timeout: float | None = None) -> None:
        """Read whatever has come: lines of the runs, and words of the server."""
        for key, _ in self._selector.select(timeout):
            source = key.data
            if isinstance(source, _Server):
                source.hear()
                if not source.alive:
                    self._selector.unregister(source.channel)
            else:
                source.read()
                if not source.open:
                    self._close(source)

    def _close(self, stream: _Stream) -> None:
        if not stream.closed:
            stream.open, stream.closed = False, True
            self._selector.unregister(stream.pipe)
            os.close(stream.pipe)

    def _read_out(self, streams: Sequence[_Stream]) -> None:
        """Read what an ended process has written, and close its pipes."""
        until = time.monotonic() + _READ_OUT_SECONDS
        while any(stream.open for stream in streams) and time.monotonic() < until:
            self._pump(0.1)
        for stream in streams:
            self._close(stream)

    def _exit_of(self, server: _Server) -> Exit:
        status = server.process.wait()
        self._read_out([server.errors])
        return Exit(status, "".join(server.errors.tail))

    def _living_server(self) -> _Server:
        if self._server is not None and (self._server.process.poll() is not None or not self._server.alive):
            self._close(self._server.errors)
            if self._server.alive:  # it ended, and we have not read so yet
                self._selector.unregister(self._server.channel)
            self._server.close()
            self._server = None
        if self._server is None:
            self._server = server = _Server(self.script, self.modules)
            self._selector.register(server.channel, selectors.EVENT_READ, server)
            self._selector.register(server.errors.pipe, selectors.EVENT_READ, server.errors)
        return self._server


def _kill_group(run: int) -> None:
    with suppress(ProcessLookupError):  # nobody is left
        os.killpg(run, signal.SIGKILL)
