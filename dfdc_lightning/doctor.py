"""Is this machine fit for the study? `python -m dfdc_lightning.doctor` names each known trap it stands in."""

import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

from dfdc_lightning.machine import cores

OPENCV = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)
PARTS = ("torch", "torchvision", "lightning", "hydra-core", "omegaconf", "timm", "av", "wandb")


def problems() -> Iterator[str]:
    """Yield one sentence for each thing that would make the study fail, with its remedy."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield f"Python {sys.version.split()[0]} is not supported: use 3.11, 3.12 or 3.13"
    if missing := [name for name in PARTS if _version(name) is None]:
        yield (
            f"{', '.join(missing)} cannot be found by {sys.executable}: run make setup and use "
            ".venv/bin/python, or install requirements.lock here"
        )
        return
    yield from _opencv_problems()
    try:
        import torchvision

        torchvision.ops.nms  # noqa: B018 - registered at import, where a mismatch with torch shows
    except (ImportError, RuntimeError) as error:
        yield f"torchvision does not fit torch ({error}): install the pair named in requirements.lock"
    if str(_version("omegaconf")).startswith("2.4"):
        yield f"omegaconf {_version('omegaconf')} silently downgrades hydra-core: install omegaconf>=2.3,<2.4"


def _opencv_problems() -> Iterator[str]:
    installed = sorted({str(d.metadata["Name"]).lower() for d in distributions()} & set(OPENCV))
    if installed != ["opencv-python-headless"]:
        yield (
            f"OpenCV is installed as {', '.join(installed) or 'nothing'}; two distributions share one folder "
            "and destroy each other: uninstall them all, then install opencv-python-headless>=4.10,<5 alone"
        )
        return
    import cv2

    if not hasattr(cv2, "CascadeClassifier"):
        yield f"OpenCV {cv2.__version__} has no Haar cascades: install opencv-python-headless>=4.10,<5"


def facts() -> Iterator[tuple[str, str]]:
    """Yield what a bug report should say about the machine, name by name."""
    import torch

    from dfdc_lightning.hardware import absent_driver, unusable_gpu

    if why := unusable_gpu() or absent_driver():
        gpu = f"NOT USABLE: {why}"
    elif torch.cuda.is_available():
        gpu = torch.cuda.get_device_name()
    else:
        gpu = "none (everything works without, slower)"
    yield "python", sys.version.split()[0]
    for name in (*PARTS, "opencv-python-headless"):
        yield name, str(_version(name))
    yield "gpu", gpu
    yield "cores", str(cores())
    yield "free disk", f"{shutil.disk_usage(Path.cwd()).free / 1e9:.0f} GB"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def main() -> int:
    """Print the facts, then the problems; returns the exit code."""
    found = list(problems())
    if not found:
        for name, value in facts():
            print(f"{name:24} {value}")
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
