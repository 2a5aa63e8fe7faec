"""Worker processes that may hang, crash or be killed: one task at a time each, and every task is answered."""

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

import cv2

from dfdc_lightning.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")

# A worker may be killed from outside; a task whose worker died three times is at fault itself.
_ATTEMPTS = 3
_STARTED = "started"  # a worker's first message
_START_SECONDS = 60.0  # in which it must arrive
_EXIT_SECONDS = 0.5  # in which a worker that is terminated removes its files, before it is killed


class WorkerFailure(Enum):
    """Why a worker gave no answer to a task; the value is the status of the task's video."""

    TIMEOUT = "timeout"
    CRASHED = "crashed"

    def sentence(self, timeout: float) -> str:
        """Say what it means for the video, given the seconds that the pool allowed."""
        if self is WorkerFailure.TIMEOUT:
            return f"it was not done after {timeout:g} seconds"
        return f"its decoder crashed {_ATTEMPTS} times"


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
        self._failed_starts = 0

    def __enter__(self) -> "Pool[Task, Result]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + _EXIT_SECONDS
        for worker in self._workers:
            worker.end(deadline)
        self._workers.clear()

    def map(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result | WorkerFailure]]:
        """Work on all tasks and yield each with its result, in the order in which they are done.

        Raises:
            Exception: Whatever `work` raised.
            RuntimeError: When three workers die before they have started.
        """
        waiting = deque((task, 1) for task in tasks)
        while waiting or any(worker.busy for worker in self._workers):
            self._assign(waiting)
            busy = {worker.connection: worker for worker in self._workers if worker.busy}
            seconds = max(0.0, min(worker.deadline for worker in busy.values()) - time.monotonic())
            ready: list[Any] = wait(list(busy), seconds)
            for worker in [busy[connection] for connection in ready]:
                task, attempt = worker.task
                try:
                    outcome = worker.connection.recv()
                except (EOFError, OSError):  # the worker is dead
                    self._remove(worker)
                    self._failed_starts += not worker.started
                    if self._failed_starts == _ATTEMPTS:
                        raise RuntimeError("worker processes die before they have started") from None
                    if attempt < _ATTEMPTS:
                        waiting.appendleft((task, attempt + 1))
                    else:
                        yield task, WorkerFailure.CRASHED
                    continue
                if not worker.started:  # the task's time counts from here: starting may take longer
                    worker.started, worker.deadline = True, time.monotonic() + self.timeout
                    continue
                worker.busy = False
                if isinstance(outcome, Exception):
                    raise outcome
                yield task, outcome
            for worker in [
                worker for worker in self._workers if worker.busy and worker.deadline <= time.monotonic()
            ]:
                if not worker.connection.poll():
                    self._remove(worker)
                    yield worker.task[0], WorkerFailure.TIMEOUT

    def _assign(self, waiting: "deque[tuple[Task, int]]") -> None:
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
                worker.assign(task, self.timeout if worker.started else self.timeout + _START_SECONDS)
            except OSError:  # it died while it had no task
                self._remove(worker)
                waiting.appendleft(task)

    def _remove(self, worker: "_Worker[Task]") -> None:
        self._workers.remove(worker)
        worker.end(time.monotonic() + _EXIT_SECONDS)


class _Worker(Generic[Task]):
    """One worker process and the task it has."""

    task: tuple[Task, int]

    def __init__(self, context: Any, work: Callable[[Task], object]) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        self.started, self.busy, self.deadline = False, False, 0.0
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

    def assign(self, task: tuple[Task, int], timeout: float) -> None:
        self.connection.send(task[0])
        self.task, self.busy, self.deadline = task, True, time.monotonic() + timeout

    def end(self, deadline: float) -> None:
        """Let the worker remove its unfinished files, the copy of a video say; kill it where it does not."""
        self.process.terminate()
        self.process.join(max(0.0, deadline - time.monotonic()))
        self.process.kill()
        self.process.join()
        self.process.close()
        self.connection.close()


def _serve(connection: "Connection[Any, Any]", work: Callable[[Any], object]) -> None:
    """Run in the worker: answer tasks until the parent process ends. Ctrl-C is left to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # the workers run in parallel, not OpenCV inside them
    connection.send(_STARTED)
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


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
