"""Worker processes that may hang, crash or be killed: one task each at a time, and no task is lost."""

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Generic, TypeVar

from dfdc_lightning.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")

# A worker may be killed from outside; a task that takes three workers with it is at fault itself.
_ATTEMPTS = 3
_READY = "ready"  # a worker's first word
_FAREWELL_SECONDS = 0.5  # for a worker to tidy up before it is killed
_START_SECONDS = 60.0  # that a worker may take until then


class Loss(Enum):
    """Why a task gave no result."""

    TIMEOUT = "timeout"
    CRASHED = "crashed"


class Pool(Generic[Task, Result]):
    """Worker processes; leaving the block ends them at once.

    Args:
        work: What a worker does with one task. It is sent to the workers, so it must be picklable.
        workers: How many processes at most; they start when there is something to do.
        timeout: Seconds after which a worker is killed over its task.
    """

    def __init__(self, work: Callable[[Task], Result], workers: int, timeout: float) -> None:
        self.work, self.timeout, self.n_workers = work, timeout, workers
        # Workers come from a small clean process: they start fast and inherit neither threads nor open files.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["dfdc_lightning.faces.worker"])
        self._workers: list[_Worker[Task]] = []
        self._stillborn = 0

    def __enter__(self) -> "Pool[Task, Result]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + _FAREWELL_SECONDS
        for worker in self._workers:
            worker.end(deadline)
        self._workers.clear()

    def map(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result | Loss]]:
        """Work on all tasks; results come as they are ready.

        Raises:
            Exception: Whatever `work` raised.
            RuntimeError: When workers die before they begin.
        """
        waiting = deque((task, 1) for task in tasks)
        while waiting or any(worker.busy for worker in self._workers):
            self._give(waiting)
            busy = {worker.connection: worker for worker in self._workers if worker.busy}
            patience = max(0.0, min(worker.deadline for worker in busy.values()) - time.monotonic())
            ready: list[Any] = wait(list(busy), patience)
            for worker in [busy[connection] for connection in ready]:
                task, attempt = worker.task
                try:
                    outcome = worker.connection.recv()
                except (EOFError, OSError):  # the worker is dead
                    self._bury(worker)
                    self._stillborn += not worker.begun
                    if self._stillborn == _ATTEMPTS:
                        raise RuntimeError("worker processes die before they begin") from None
                    if attempt < _ATTEMPTS:
                        waiting.appendleft((task, attempt + 1))
                    else:
                        yield task, Loss.CRASHED
                    continue
                if not worker.begun:  # from here on its time counts; to start may take longer than a task
                    worker.begun, worker.deadline = True, time.monotonic() + self.timeout
                    continue
                worker.busy = False
                if isinstance(outcome, Exception):
                    raise outcome
                yield task, outcome
            for worker in [
                worker for worker in self._workers if worker.busy and worker.deadline <= time.monotonic()
            ]:
                if not worker.connection.poll():
                    self._bury(worker)
                    yield worker.task[0], Loss.TIMEOUT

    def _give(self, waiting: "deque[tuple[Task, int]]") -> None:
        """Give every idle worker a task; start workers while there are more tasks than workers."""
        while waiting:
            worker = next((worker for worker in self._workers if not worker.busy), None)
            if worker is None:
                if len(self._workers) == self.n_workers:
                    return
                worker = _Worker(self._context, self.work)
                self._workers.append(worker)
            task = waiting.popleft()
            try:
                worker.give(task, self.timeout if worker.begun else self.timeout + _START_SECONDS)
            except OSError:  # it died idle
                self._bury(worker)
                waiting.appendleft(task)

    def _bury(self, worker: "_Worker[Task]") -> None:
        self._workers.remove(worker)
        worker.end(time.monotonic() + _FAREWELL_SECONDS)


class _Worker(Generic[Task]):
    """One process and what it is busy with."""

    task: tuple[Task, int]

    def __init__(self, context: Any, work: Callable[[Task], object]) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        self.begun, self.busy, self.deadline = False, False, 0.0
        self.process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        try:
            self.process.start()
        except OSError as error:
            if "AF_UNIX path too long" not in str(error):
                raise
            raise UserError(
                f"TMPDIR={tempfile.gettempdir()} is too long for the socket workers start through: set "
                "TMPDIR to a shorter path"
            ) from None
        theirs.close()

    def give(self, task: tuple[Task, int], timeout: float) -> None:
        self.connection.send(task[0])
        self.task, self.busy, self.deadline = task, True, time.monotonic() + timeout

    def end(self, deadline: float) -> None:
        """Let it remove what it has half done, the copy of a video say; kill it where it does not listen."""
        self.process.terminate()
        self.process.join(max(0.0, deadline - time.monotonic()))
        self.process.kill()
        self.process.join()
        self.process.close()
        self.connection.close()


def _serve(connection: "Connection[Any, Any]", work: Callable[[Any], object]) -> None:
    """A worker's life: Ctrl-C is its parent's business, and it never outlives its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    threading.Thread(target=_follow_parent, daemon=True).start()
    connection.send(_READY)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            outcome = work(task)
        except Exception as error:  # carried over to the parent, which raises it
            outcome = error
        connection.send(outcome)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
