"""Whether somebody is logged in to W&B here; neither its client nor torch is imported."""

import netrc
import os
from contextlib import suppress
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import urlparse

from dfdc_lightning.results.epochs import METRICS

Mode = Literal["online", "offline", "disabled"]

_HOME = "https://api.wandb.ai"
NOT_SHOWN = (
    f"W&B has no key here, so {METRICS} alone has the curves: `wandb login` once, or logger=wandb to keep "
    "them for a later wandb sync (logger=none: without this line)"
)
_SAID = "DFDC_WANDB_SAID"  # in the environment: whoever started this process has said it


def say_once_how_to_watch() -> None:
    """Print how runs could be watched, once for this process and all that it starts."""
    if nobody_asked() and not os.environ.get(_SAID):
        os.environ[_SAID] = "1"
        print(NOT_SHOWN, flush=True)


def wandb_mode() -> Mode:
    """What WANDB_MODE says, or else online only where a key is, so that W&B never asks for one."""
    wish = os.environ.get("WANDB_MODE", "")
    if wish in get_args(Mode):
        return cast("Mode", wish)
    return "online" if os.environ.get("WANDB_API_KEY") or _key_in_netrc() else "offline"


def nobody_asked() -> bool:
    """Whether no key is here and WANDB_MODE does not ask for W&B, so that `logger=auto` leaves it out."""
    return wandb_mode() == "offline" and not os.environ.get("WANDB_MODE")


def wandb_address() -> str:
    """Where W&B is asked for."""
    return os.environ.get("WANDB_BASE_URL", _HOME)


def _key_in_netrc() -> bool:
    host = urlparse(wandb_address()).hostname or ""
    for path in (os.environ.get("NETRC"), "~/.netrc", "~/_netrc"):
        with suppress(OSError, netrc.NetrcParseError):  # a missing or unreadable file holds no key for us
            if path and netrc.netrc(Path(path).expanduser()).authenticators(host):
                return True
    return False
