"""What a run folder may build when it is read: networks and what trains them. Somebody may have sent it."""

from pathlib import Path
from typing import Any

from hydra.utils import get_object

from dfdc_lightning.errors import UserError

_BUILDERS = "dfdc_lightning.models."  # where functions that build networks are


def refuse_strange(node: Any, source: Path) -> None:
    """Make sure that a configuration names nothing but networks, losses, optimisers and schedules.

    Args:
        node: The part that is going to be built, as plain dicts and lists.
        source: The file it stands in, for the error.

    Raises:
        UserError: When a `_target_` is anything else, before any of them is called.
    """
    if isinstance(node, dict):
        if "_target_" in node and not _trains(str(node["_target_"])):
            raise UserError(
                f"{source} asks for {node['_target_']}, but a run may build networks, losses, "
                "optimisers and schedules alone: nothing was run; train the run again, or get it from where "
                "you trust"
            )
        for child in node.values():
            refuse_strange(child, source)
    elif isinstance(node, list):
        for child in node:
            refuse_strange(child, source)


def _trains(target: str) -> bool:
    from torch.nn import Module
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    try:
        found = get_object(target)
    except (ImportError, ValueError, AttributeError):
        return False
    if isinstance(found, type):
        return issubclass(found, (Module, Optimizer, LRScheduler))
    return callable(found) and str(getattr(found, "__module__", "")).startswith(_BUILDERS)
