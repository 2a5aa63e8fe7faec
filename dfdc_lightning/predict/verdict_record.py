"""What is needed to repeat a verdict: fingerprints of video and model, versions, and the command."""

import hashlib
import json
import shlex
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dfdc_lightning.predict.credentials import credentials
from dfdc_lightning.predict.predictors import Predictor
from dfdc_lightning.video.container import container_facts

_PACKAGES = ("dfdc-lightning", "av", "numpy", "opencv-python-headless", "onnxruntime", "torch")


def record(
    video: Path, predictor: Predictor, run: Path, settings: Mapping[str, Any], face_model: str | None
) -> dict[str, Any]:
    """Collect it as JSON values; a video that has gone away meanwhile has no fingerprint.

    Args:
        video: The file that was judged.
        predictor: The model.
        run: What `run=` named.
        settings: What the user chose, as JSON values by key.
        face_model: The face detector's file, where the user gave one.
    """
    words = [f"video={video}", f"run={run}"]
    words += [f"{key}={_spelt(value)}" for key, value in settings.items() if value is not None]
    words += [] if face_model is None else [f"face_detector.model={face_model}"]
    return {
        "run": str(run),
        "settings": dict(settings),
        "container": container_facts(video),
        "content_credentials": credentials(video) if video.is_file() else {"state": "absent"},
        "video_sha256": _sha256(video) if video.is_file() else None,
        "model_sha256": _sha256_once(predictor.file),
        "source_sha256": _source_sha256(),
        "versions": _versions(),
        "command": f"python predict.py {' '.join(shlex.quote(word) for word in words)} format=json",
    }


def _spelt(value: bool | float | str) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _sha256_once(path: Path) -> str:
    return _sha256(path)


@cache
def _source_sha256() -> str:
    """Fingerprint the package's code, whichever version it calls itself."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(f"{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()


@cache
def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
