"""W&B where a key or a login is found, else one line that says how; its client is imported only then."""

import netrc
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, cast, get_args
from urllib.parse import urlparse

import lightning as L

from dfdc_lightning.results.epochs import METRICS

Mode = Literal["online", "offline", "disabled"]

_HOME = "https://api.wandb.ai"


class NotShown(L.Callback):
    """Says once how a run could be watched in W&B."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the line."""
        print(
            f"W&B has no key here, so {METRICS} alone has the curves: `wandb login` once, or logger=wandb to "
            "keep them for a later wandb sync (logger=none: without this line)",
            flush=True,
        )


def wandb_where_a_key_is(**settings: Any) -> L.Callback:
    """Follow a run in W&B where somebody is logged in, or where WANDB_MODE asks for it.

    Args:
        settings: Of `WandbMirror`.
    """
    mode = wandb_mode()
    if mode == "disabled":
        return L.Callback()
    if mode == "offline" and not os.environ.get("WANDB_MODE"):
        return NotShown()
    from dfdc_lightning.loggers.wandb import WandbMirror

    return WandbMirror(**settings)


def wandb_mode() -> Mode:
    """Obey WANDB_MODE, or else be online only where a key is, so that W&B never asks for one."""
    wish = os.environ.get("WANDB_MODE", "")
    if wish in get_args(Mode):
        return cast("Mode", wish)
    return "online" if os.environ.get("WANDB_API_KEY") or _key_in_netrc() else "offline"


def _key_in_netrc() -> bool:
    host = urlparse(os.environ.get("WANDB_BASE_URL", _HOME)).hostname or ""
    for path in (os.environ.get("NETRC"), "~/.netrc", "~/_netrc"):
        with suppress(OSError, netrc.NetrcParseError):  # a missing or unreadable file holds no key for us
            if path and netrc.netrc(Path(path).expanduser()).authenticators(host):
                return True
    return False
