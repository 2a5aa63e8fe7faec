"""W&B where a key or a login is found; its client is imported only then."""

from typing import Any

import lightning as L

from dfdc_lightning.loggers.login import nobody_asked, wandb_mode


def wandb_where_a_key_is(**settings: Any) -> L.Callback:
    """Follow a run in W&B where somebody is logged in, or where WANDB_MODE asks for it.

    Args:
        settings: Of `WandbMirror`.
    """
    if wandb_mode() == "disabled" or nobody_asked():
        return L.Callback()
    from dfdc_lightning.loggers.wandb import WandbMirror

    return WandbMirror(**settings)
