"""Three ways to the signed address of a file of Kaggle: by token, by a browser's cookies, from a list.

The API answers a token with a redirect to storage, for the small files of a competition: DFDC's sample. The
50 parts are external files, of which the API knows nothing (404); the site redirects to them, but only who is
logged in and has accepted the rules. Token and cookies are told to Kaggle alone, whatever it redirects to.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn
from urllib.parse import urljoin, urlsplit

import requests
from kagglehub.clients import build_kaggle_client
from kagglehub.config import get_kaggle_credentials
from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFileRequest
from typing_extensions import override

from dfdc_lightning.video.cookies import cookie_header
from dfdc_lightning.video.listing import SourceError
from dfdc_lightning.video.remote import Locator

SITE = "https://www.kaggle.com"
STORAGE = "https://storage.googleapis.com"
_TIMEOUT = (10, 60)  # seconds to connect, and between two bytes
_MOST_REDIRECTS = 5  # within the site, before storage
_REFUSALS = {
    401: "Kaggle does not accept your credentials; make a new token at kaggle.com/settings",
    403: "the competition's rules are not accepted; accept them at kaggle.com/c/{competition}/rules",
    404: "Kaggle serves no such file; if the competition's page offers it, fetch it there and use source=zip",
}


@dataclass(frozen=True)
class ApiFile(Locator):
    """A file that Kaggle's API serves to whoever has a token.

    Args:
        competition: The competition's name in its address.
        file: Path of the file in the competition's data.
    """

    competition: str
    file: str

    @property
    @override
    def name(self) -> str:
        return f"{self.file} of {self.competition}"

    def locate(self, session: requests.Session) -> str:
        """Ask the API; its client has the token, which `session` never sees."""
        try:
            credentials = get_kaggle_credentials()
        except ValueError as error:
            raise SourceError(f"{error}: make a new token at kaggle.com/settings") from None
        if not credentials:
            raise SourceError(
                f"{self.name} needs Kaggle credentials, and none were found: make a token at "
                "kaggle.com/settings and save it as ~/.kaggle/kaggle.json, or set KAGGLE_API_TOKEN"
            )
        request = ApiDownloadDataFileRequest()
        request.competition_name, request.file_name = self.competition, self.file
        try:
            with (
                build_kaggle_client() as client,
                client.competitions.competition_api_client.download_data_file(request) as answer,
            ):
                return _in_storage(str(answer.url), self.name)
        except requests.HTTPError as error:
            self._refuse(error)

    def _refuse(self, error: requests.HTTPError) -> NoReturn:
        code = 0 if error.response is None else error.response.status_code
        if code not in _REFUSALS:  # too many requests, or a problem of theirs: waiting helps
            raise requests.ConnectionError("Kaggle is busy", response=error.response) from None
        reason = _REFUSALS[code].format(competition=self.competition)
        raise SourceError(f"{self.name} cannot be fetched ({code}): {reason}") from None


@dataclass(frozen=True)
class SiteFile(Locator):
    """An external file of a competition, which the site serves to a browser that is logged in.

    Args:
        competition: The competition's name in its address.
        number: The competition's number in its download addresses.
        file: Name of the file.
        cookies: What the browser exported, in Netscape form.
    """

    competition: str
    number: int
    file: str
    cookies: Path

    @property
    @override
    def name(self) -> str:
        return f"{self.file} of {self.competition}"

    def locate(self, session: requests.Session) -> str:
        """Follow the site's redirects as far as storage."""
        address = f"{SITE}/c/{self.number}/datadownload/{self.file}"
        for _ in range(_MOST_REDIRECTS):
            parts = urlsplit(address)
            headers = {"Cookie": cookie_header(self.cookies, parts.hostname or "", parts.path or "/")}
            with session.get(
                address, headers=headers, stream=True, timeout=_TIMEOUT, allow_redirects=False
            ) as answer:
                session.cookies.clear()  # what the site sets is for browsers
                self._refuse(answer)
                address = urljoin(address, answer.headers["Location"])
            if not address.startswith(f"{SITE}/"):
                return _in_storage(address, self.name)
        raise SourceError(f"{self.name} cannot be fetched: {SITE} redirects in a circle: {self._remedy}")

    @property
    def _remedy(self) -> str:
        return (
            f"log in at {SITE}, accept the rules at kaggle.com/c/{self.competition}/rules, see that the "
            "browser downloads the file, and export its cookies anew"
        )

    def _refuse(self, answer: requests.Response) -> None:
        """Go on with a redirect to storage, and only with that."""
        status, where = answer.status_code, urlsplit(answer.headers.get("Location", "")).path.lower()
        if status == requests.codes.too_many_requests or status >= 500:
            raise requests.ConnectionError("the site is busy", response=answer)
        if status == requests.codes.not_found:
            raise SourceError(
                f"{self.name} cannot be fetched (404): the competition has no such file: correct source.parts"
            )
        if answer.is_redirect and not any(word in where for word in ("login", "signin", "rules")):
            return
        if answer.is_redirect and "rules" in where:
            reason = "the competition's rules are not accepted"
        elif answer.is_redirect:
            reason = f"Kaggle asks for a log-in, so the cookies in {self.cookies} are not valid any more"
        else:
            reason = "a page came instead of the file, so the log-in has ended or the rules are not accepted"
        raise SourceError(f"{self.name} cannot be fetched ({status}): {reason}: {self._remedy}")


@dataclass(frozen=True)
class ListedFile(Locator):
    """A file whose signed address the user gives; it cannot be renewed.

    Args:
        file: Name of the file, at the end of its address's path.
        addresses: A text file with one address per line.
    """

    file: str
    addresses: Path

    @property
    @override
    def name(self) -> str:
        return f"{self.file} in {self.addresses}"

    def locate(self, session: requests.Session) -> str:
        """Read the list, which may have changed since."""
        address = listed_addresses(self.addresses).get(self.file)
        if address is None:
            raise SourceError(
                f"source.addresses={self.addresses} has no address of {self.file}: add it, or leave that "
                "part out of source.parts"
            )
        answer = session.get(
            address, headers={"Range": "bytes=0-0"}, stream=True, timeout=_TIMEOUT, allow_redirects=False
        )
        with answer:
            if answer.status_code in (400, 401, 403):
                raise SourceError(
                    f"the address of {self.file} in source.addresses={self.addresses} is not valid any more "
                    f"({answer.status_code}): start the download in a browser again and copy its address"
                )
        return address


def listed_addresses(path: Path) -> dict[str, str]:
    """Read addresses from a text file, by the name of the file at the end of their paths.

    Raises:
        SourceError: When it cannot be read or holds something else; the line is named, not shown.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SourceError(
            f"source.addresses={path} cannot be read ({reason}): give a text file with one signed address "
            "per line"
        ) from None
    found = {}
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        parts = urlsplit(line)
        name = PurePosixPath(parts.path).name
        if (parts.scheme, bool(parts.netloc)) != (urlsplit(STORAGE).scheme, True) or not name:
            raise SourceError(
                f"source.addresses={path} line {number} must be an address that begins with https:// and "
                "whose path ends in the name of a file"
            )
        found[name] = line
    return found


def _in_storage(address: str, name: str) -> str:
    if not address.startswith(f"{STORAGE}/"):
        host = urlsplit(address).hostname
        raise SourceError(
            f"{name} cannot be fetched: Kaggle redirects to {host}, which is not its storage, so nothing was "
            "sent there: fetch the file in a browser and use source=zip"
        )
    return address
