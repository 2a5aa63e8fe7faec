"""Cookies that a browser exported (Netscape form): what one site may be told, and what is wrong with them.

A line has seven fields with tabs between: domain, whether its subdomains count, path, whether HTTPS only,
when it expires (seconds since 1970, 0 with the session), name, value. `#HttpOnly_` before the domain is no
comment (curl, docs/HTTP-COOKIES.md). A cookie is a key to an account: no sentence here holds one.
"""

import time
from pathlib import Path
from typing import NamedTuple

from dfdc_lightning.video.listing import SourceError

_HTTP_ONLY = "#HttpOnly_"
_REMEDY = "log in at {site} in a browser and export its cookies (Netscape form) anew"


class Cookie(NamedTuple):
    """One line of the file; `expires` is 0 for a cookie of the session."""

    domain: str
    path: str
    expires: float
    pair: str

    def is_for(self, host: str, path: str) -> bool:
        """Say whether the address https://host/path is told this cookie (RFC 6265, 5.1.3 and 5.1.4)."""
        domain = self.domain.lstrip(".")
        return (host == domain or host.endswith(f".{domain}")) and (
            path == self.path or path.startswith(self.path.rstrip("/") + "/")
        )


def cookie_header(file: Path, host: str, path: str) -> str:
    """Write the value of the header `Cookie` for one address, "name=value; …".

    Args:
        file: The exported cookies.
        host: The site, as "www.kaggle.com".
        path: The path that is going to be asked for; it begins with a slash.

    Raises:
        SourceError: When the file cannot be read, is of another form, or has no cookie for this site that
            still counts; it says what to do.
    """
    remedy = _REMEDY.format(site=host)
    cookies = _cookies(file, remedy)
    ours = [cookie for cookie in cookies if cookie.is_for(host, path)]
    if not ours:
        domains = ", ".join(sorted({cookie.domain.lstrip(".") for cookie in cookies})[:3])
        raise SourceError(f"source.cookies={file} has cookies of {domains} and none of {host}: {remedy}")
    fresh = [cookie for cookie in ours if not 0 < cookie.expires < time.time()]
    if not fresh:
        last = time.strftime("%Y-%m-%d", time.gmtime(max(cookie.expires for cookie in ours)))
        raise SourceError(f"all cookies of {host} in source.cookies={file} expired by {last}: {remedy}")
    return "; ".join(cookie.pair for cookie in fresh)


def _cookies(file: Path, remedy: str) -> list[Cookie]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SourceError(f"source.cookies={file} cannot be read ({error.strerror}): {remedy}") from None
    except UnicodeDecodeError:
        lines = []
    fields = [
        line.removeprefix(_HTTP_ONLY).split("\t")
        for line in lines
        if line.startswith(_HTTP_ONLY) or not line.startswith("#")
    ]
    cookies = [
        Cookie(domain.lower(), path, float(expires or 0), f"{name}={value}")
        for domain, _, path, _, expires, name, value in (row for row in fields if len(row) == 7)
        if expires.replace(".", "", 1).lstrip("-").isdigit() and f"{name}{value}".isascii()
    ]
    if not cookies:
        raise SourceError(
            f"source.cookies={file} must hold cookies in Netscape form, seven fields per line with tabs "
            f"between: {remedy}"
        )
    return cookies
