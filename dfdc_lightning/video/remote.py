"""A file read from where it lies in storage: only the bytes asked for cross the network.

Storage serves ranges of bytes at a signed address. A transfer that breaks off goes on where it stopped, an
address that has expired is asked for anew, storage that is busy is waited for. Every refusal becomes one
sentence with its remedy. A signed address opens the file to whoever reads it: none is in a sentence or a log.
"""

import io
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import requests
from urllib3.exceptions import HTTPError

from dfdc_lightning.video.listing import SourceError

_TRIES = 5  # attempts in a row that bring no byte, before giving up
_TIMEOUT = (10, 60)  # seconds to connect, and between two bytes
_WAIT = 1.0  # seconds before the second attempt after a broken transfer; doubles with each
_LONGEST_WAIT = 60.0  # seconds that a busy server may ask us to wait
_EXPIRED = (400, 401, 403)  # what storage answers to a signed address that is too old
_BUSY = (408, 429, 500, 502, 503, 504)
_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)

# At a lower level urllib3 writes the path of every request, which holds the signature.
logging.getLogger("urllib3").setLevel(logging.WARNING)


@runtime_checkable
class Locator(Protocol):
    """Knows one file and how to get an address from which storage serves it."""

    @property
    def name(self) -> str:
        """What messages call the file."""

    def locate(self, session: requests.Session) -> str:
        """Ask for a signed address; called again whenever the last one has expired.

        Raises:
            SourceError: When the file cannot be had; says why and what to do.
            requests.RequestException: When the network fails.
        """


class RemoteFile(io.RawIOBase):
    """A seekable file for reading, made for `zipfile.ZipFile(io.BufferedReader(...))`.

    Args:
        locator: Which file, and how its address is had.

    Raises:
        SourceError: No credentials, rules not accepted, no such file, too many requests, no network.
    """

    def __init__(self, locator: Locator) -> None:
        self.locator = locator
        self._place = 0
        self._session = requests.Session()
        self._address, self.size = "", -1
        self._tag: str | None = None
        with self._explained():
            self._fill(memoryview(bytearray(1)))  # tells the size

    def readable(self) -> bool:
        """Promise `io` that `readinto` works."""
        return True

    def seekable(self) -> bool:
        """Promise `io` that `seek` works."""
        return True

    def tell(self) -> int:
        """Return the current place, in bytes from the start."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set where the next read begins; nothing is read yet."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with the bytes from the current place on; see `io.RawIOBase.readinto`."""
        view = memoryview(buffer).cast("B")
        wanted = max(min(len(view), self.size - self._place), 0)
        with self._explained():
            self._fill(view[:wanted])
        self._place += wanted
        return wanted

    def close(self) -> None:
        """Close the connection to storage too."""
        if not self.closed:
            self._session.close()
        super().close()

    def _fill(self, view: memoryview) -> None:
        have = idle = 0
        while have < len(view):
            before = have
            try:
                for chunk in self._bytes(self._place + have, self._place + len(view)):
                    view[have : have + len(chunk)] = chunk[: len(view) - have]
                    have += len(chunk)
            except _BROKEN as error:
                idle = 0 if have > before else idle + 1
                if idle == _TRIES:
                    raise
                time.sleep(max(_WAIT * 2**idle, _asked_to_wait(error)))

    def _bytes(self, start: int, end: int) -> Iterator[bytes]:
        self._address = self._address or self.locator.locate(self._session)
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        with self._session.get(
            self._address, headers=headers, stream=True, timeout=_TIMEOUT, allow_redirects=False
        ) as answer:
            if answer.status_code in _EXPIRED:
                self._address = ""
                raise requests.ConnectionError("the signed address has expired")
            if answer.status_code in _BUSY:
                raise requests.ConnectionError("storage is busy", response=answer)
            self._refuse_other(answer, start)
            yield from answer.iter_content(1 << 16)

    def _refuse_other(self, answer: requests.Response, start: int) -> None:
        """Refuse what are not the bytes asked for, of the file that was opened."""
        status = answer.status_code
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise self._refused(status, "a page came instead of the file; run the same command later")
        if status in (requests.codes.range_not_satisfiable, requests.codes.not_found) and self.size > 0:
            raise self._changed()
        if answer.is_redirect:
            raise self._refused(status, "storage sends us on to another address, which is not followed")
        if status == requests.codes.ok:
            raise self._refused(
                status,
                "storage ignores ranges of bytes, so it can only be fetched whole; fetch it in the browser "
                "and use source=zip",
            )
        if status != requests.codes.partial_content:
            raise self._refused(status, "storage has no such file or a problem; run the same command later")
        place = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
        if not place or int(place[1]) != start:
            raise self._refused(status, "storage sends other bytes than were asked for; use source=zip")
        tag = answer.headers.get("ETag")
        if self.size < 0:
            self.size, self._tag = int(place[3]), tag
        if (int(place[3]), tag) != (self.size, self._tag):
            raise self._changed()

    def _refused(self, status: int, reason: str) -> SourceError:
        return SourceError(f"{self.locator.name} cannot be fetched ({status}): {reason}")

    def _changed(self) -> SourceError:
        return SourceError(
            f"{self.locator.name} changed between two requests: delete its list in source.folder and run the "
            "same command again"
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the client raises into one sentence with the file, the reason and the remedy."""
        try:
            yield
        except (requests.RequestException, HTTPError) as error:
            answer = getattr(error, "response", None)
            reason = type(error).__name__ if answer is None else f"it answered {answer.status_code}"
            raise SourceError(
                f"{self.locator.name} cannot be fetched, Kaggle cannot be reached or is busy ({reason}): run "
                "the same command again later, it goes on where it stopped, or use source=folder or "
                "source=zip with parts that you have"
            ) from None


def _asked_to_wait(error: requests.RequestException) -> float:
    """Read the seconds in the header Retry-After (RFC 9110, 10.2.3), 0 without one; dates are not read."""
    seconds = error.response.headers.get("Retry-After", "") if error.response is not None else ""
    return min(float(seconds), _LONGEST_WAIT) if seconds.isdigit() else 0.0
