"""Lets a thread get the next items ready: decoding a video leaves Python's lock to others."""

import threading
from collections.abc import Iterable, Iterator
from queue import Full, Queue
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
_SECONDS = 0.1  # after which a thread that waits for room looks whether anybody still wants its items


class _End(NamedTuple):
    """What follows the last item: the error that ended them, if one did."""

    error: BaseException | None


class _Filler(Generic[Item]):
    """A thread that fills a queue until everything is in it or nobody wants more."""

    def __init__(self, items: Iterable[Item], most: int) -> None:
        self.queue: Queue[Item | _End] = Queue(most)
        self._items, self._stopped = items, threading.Event()
        self._thread = threading.Thread(target=self._fill, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _fill(self) -> None:
        error = None
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as raised:  # noqa: BLE001 — raised again where the items are used
            error = raised
        self._put(_End(error))

    def _put(self, item: Item | _End) -> bool:
        while not self._stopped.is_set():
            try:
                self.queue.put(item, timeout=_SECONDS)
            except Full:
                continue
            return True
        return False


def ahead(items: Iterable[Item], most: int) -> Iterator[Item]:
    """Yield items that a thread gets ready meanwhile, at most so many in advance.

    Raises:
        BaseException: Whatever the items raised.
    """
    filler = _Filler(items, most)
    try:
        while not isinstance(item := filler.queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        filler.stop()
