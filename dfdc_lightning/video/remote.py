"""A file of a Kaggle competition, read from where it lies: only the bytes asked for cross the network.

kagglehub's client knows the credentials and is answered with a signed address in Kaggle's storage, which
serves ranges of bytes. A transfer that breaks off goes on where it stopped; an address that has
expired is asked for anew. Every refusal becomes one sentence with its remedy, and nothing is ever asked on
the terminal.
"""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from kagglehub.clients import build_kaggle_client
from kagglehub.config import get_kaggle_credentials
from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFileRequest

from dfdc_lightning.video.listing import SourceError

_TRIES = 5  # attempts in a row that bring no byte, before giving up
_TIMEOUT = (10, 60)  # seconds to connect, and between two bytes
_EXPIRED = (400, 401, 403)  # what storage answers to a signed address that is too old

_REFUSALS = {
    401: "Kaggle does not accept your credentials; make a new token at kaggle.com/settings",
    403: "the competition's rules are not accepted; accept them at kaggle.com/c/{competition}/rules",
    404: "Kaggle serves no such file; if the competition's page offers it, fetch it there and use source=zip",
    429: "Kaggle takes no more requests for now; run the same command later, it goes on where it stopped",
}


class RemoteFile(io.RawIOBase):
    """A seekable file for reading, made for `zipfile.ZipFile(io.BufferedReader(...))`.

    Args:
        competition: The competition's name in its address.
        file: Path of the file in the competition's data.
        wait: Seconds before the second attempt after a broken transfer; doubles with each.

    Raises:
        SourceError: No credentials, rules not accepted, no such file, too many requests, no network.
    """

    def __init__(self, competition: str, file: str, wait: float = 1.0) -> None:
        self.competition, self.file, self._wait = competition, file, wait
        self._place = 0
        self._session = requests.Session()
        with self._explained():
            self._address, self.size = self._locate()

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The current place, in bytes from the start."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is read yet."""
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
        """Hang up."""
        if not self.closed:
            self._session.close()
        super().close()

    def _locate(self) -> tuple[str, int]:
        """Ask Kaggle for the file: its signed address and its size."""
        try:
            credentials = get_kaggle_credentials()
        except ValueError as error:
            raise SourceError(f"{error}: make a new token at kaggle.com/settings") from None
        if not credentials:
            raise SourceError(
                f"{self.file} of {self.competition} needs Kaggle credentials and there are none: make a "
                "token at kaggle.com/settings and save it as ~/.kaggle/kaggle.json, or set KAGGLE_API_TOKEN"
            )
        request = ApiDownloadDataFileRequest()
        request.competition_name, request.file_name = self.competition, self.file
        with (
            build_kaggle_client() as client,
            client.competitions.competition_api_client.download_data_file(request) as answer,
        ):
            if answer.headers.get("Accept-Ranges") != "bytes" or "Content-Length" not in answer.headers:
                raise SourceError(
                    f"{self.file} of {self.competition} can only be fetched whole: fetch it in the browser "
                    "and use source=zip"
                )
            return answer.url, int(answer.headers["Content-Length"])

    def _fill(self, view: memoryview) -> None:
        have = idle = 0
        while have < len(view):
            before = have
            try:
                for chunk in self._bytes(self._place + have, self._place + len(view)):
                    view[have : have + len(chunk)] = chunk
                    have += len(chunk)
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                idle = 0 if have > before else idle + 1
                if idle == _TRIES:
                    raise
                time.sleep(self._wait * 2**idle)

    def _bytes(self, start: int, end: int) -> Iterator[bytes]:
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        with self._session.get(self._address, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
            if answer.status_code in _EXPIRED:
                self._address, self.size = self._locate()
                raise requests.ConnectionError("the signed address has expired")
            answer.raise_for_status()
            if answer.status_code != requests.codes.partial_content:
                raise requests.HTTPError("no ranges of bytes", response=answer)
            yield from answer.iter_content(1 << 16)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the client raises into one sentence with the file, the reason and the remedy."""
        what = f"{self.file} of {self.competition} cannot be fetched"
        try:
            yield
        except requests.HTTPError as error:
            code = 0 if error.response is None else error.response.status_code
            reason = _REFUSALS.get(code, "Kaggle has a problem; run the same command later")
            raise SourceError(f"{what} ({code}): {reason.format(competition=self.competition)}") from None
        except requests.RequestException as error:
            raise SourceError(
                f"{what}, Kaggle cannot be reached ({type(error).__name__}): connect to the internet and run "
                "the same command again, or use source=folder or source=zip with parts that you have"
            ) from None
