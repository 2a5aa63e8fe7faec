"""profile.json of a face cache: the settings its clips were made with, and their fingerprint, the profile."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfdc_lightning import atomic
from dfdc_lightning.faces.cache import CacheError


def profile_of(settings: Mapping[str, Any]) -> str:
    """Hash the settings that change pixels."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def read_profile(root: Path) -> dict[str, Any]:
    """Read the settings that a cache's clips were made with.

    Args:
        root: The cache's folder.

    Raises:
        CacheError: When profile.json is absent or damaged.
    """
    path = Path(root) / "profile.json"
    if not path.is_file():
        raise CacheError(f"{path} does not exist: give a folder that prepare_faces.py made")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return dict(content["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise CacheError(f"{path} is damaged ({error!r}): make the cache again") from None


def claim_profile(root: Path, settings: Mapping[str, Any]) -> None:
    """Record in a cache without clips how they are going to be made, or make sure that it is the same way.

    Args:
        root: The cache's folder.
        settings: What `FacePreparation.settings` gives.

    Raises:
        CacheError: When the cache was made with other settings.
    """
    path = Path(root) / "profile.json"
    if not path.exists() or not (Path(root) / "clips").exists():
        atomic.write_json(path, {"profile": profile_of(settings), "settings": dict(settings)})
    there = read_profile(root)
    if there != settings:
        both = sorted(there.keys() | settings.keys())
        differences = "; ".join(
            f"{key}: {there.get(key)} there, {settings.get(key)} here"
            for key in both
            if there.get(key) != settings.get(key)
        )
        raise CacheError(
            f"{root} holds clips of another profile ({differences}): "
            "use the same settings, or another out=FOLDER"
        )
