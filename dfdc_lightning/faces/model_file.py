"""A detector's weights, known by their sha256: in the user's cache folder, or fetched there once."""

import hashlib
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError

_TIMEOUT_SECONDS = 30


def model_folder() -> Path:
    """Where fetched models are kept: $DFDC_LIGHTNING_MODELS, or a folder in the platform's cache folder."""
    if chosen := os.environ.get("DFDC_LIGHTNING_MODELS"):
        return Path(chosen)
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "dfdc_lightning"


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetched(address: str, sha256: str) -> Path:
    """The file with this sha256 in the user's cache folder; fetched from `address` the first time.

    Raises:
        UserError: When it cannot be fetched, kept or is not the file it should be; names the ways to get it.
    """
    path = model_folder() / address.rsplit("/", 1)[-1]
    if path.is_file() and sha256_of(path) == sha256:
        return path
    remedy = f"fetch {address} by hand and give it as detector.model=PATH, or put it at {path}"
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as answer:
            content = answer.read()
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"the detector's model could not be fetched ({reason}): {remedy}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"what came from {address} is not the model with sha256 {sha256}: {remedy}")
    try:
        with atomic.replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): set DFDC_LIGHTNING_MODELS to another folder, or "
            f"fetch {address} by hand and give it as detector.model=PATH"
        ) from None
    return path
