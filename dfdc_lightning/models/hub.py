"""The hub that timm fetches weights from: what is here already, and whether it answers at all.

Hub clients repeat a failed request for most of a minute and print each failure; asked beforehand, a hub that
cannot be reached is one sentence within seconds.
"""

import queue
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import torch

_SECONDS = 3.0  # for an answer; a name that cannot be resolved would take longer
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # in the order in which timm looks for them


def cached(configuration: Any) -> Path | None:
    """Find the weights that timm fetched earlier.

    Args:
        configuration: timm's `PretrainedCfg` of a network.
    """
    if configuration.hf_hub_id:
        from huggingface_hub import try_to_load_from_cache

        names = (configuration.hf_hub_filename,) if configuration.hf_hub_filename else _HUB_FILES
        paths = [try_to_load_from_cache(configuration.hf_hub_id, name) for name in names]
        return next((Path(path) for path in paths if isinstance(path, str)), None)
    path = Path(torch.hub.get_dir(), "checkpoints", str(configuration.url).rpartition("/")[2])
    return path if path.is_file() else None


def silence(configuration: Any) -> str:
    """Ask the hub for a network's weights; returns why it does not answer, or nothing where it does.

    Args:
        configuration: timm's `PretrainedCfg` of a network.
    """
    answers: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_ask, args=(_address(configuration), answers), daemon=True).start()
    try:
        return answers.get(timeout=_SECONDS)
    except queue.Empty:
        return f"no answer within {_SECONDS:g} seconds"


def _address(configuration: Any) -> str:
    if not configuration.hf_hub_id:
        return str(configuration.url)
    from huggingface_hub import hf_hub_url

    return hf_hub_url(configuration.hf_hub_id, configuration.hf_hub_filename or _HUB_FILES[0])


def _ask(address: str, answers: "queue.Queue[str]") -> None:
    request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - timm's own addresses
    # `urlopen` would keep the proxies that were set at its first call in this process.
    opener = urllib.request.build_opener()
    try:
        with opener.open(request, timeout=_SECONDS):
            answers.put("")
    except urllib.error.HTTPError:
        answers.put("")  # it answers; what it refuses, timm will say
    except OSError as error:
        answers.put(str(getattr(error, "reason", error)))
