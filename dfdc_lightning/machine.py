"""What this machine has for this process, as the kernel says: cores and NVIDIA cards; without torch."""

import os
from pathlib import Path

_DEVICES, _PCI = Path("/dev"), Path("/sys/bus/pci/devices")
_WSL = Path("/usr/lib/wsl/lib/libcuda.so.1")  # the driver of a card that Windows lends to Linux
_NVIDIA, _DISPLAY = "0x10de", "0x03"  # vendor and class of such a card on the PCI bus


def cores() -> int:
    """Count the processor cores that this process may use; a job scheduler may give fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def follows() -> bool:
    """Say whether this process helps another one with its run: Lightning and SLURM count them from 0."""
    numbers = (os.environ.get(name) or "0" for name in ("RANK", "NODE_RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return any(number != "0" for number in numbers)


def card_with_driver() -> bool:
    """Say whether an NVIDIA card and its driver are there and CUDA_VISIBLE_DEVICES does not hide the card."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    return any(_DEVICES.glob("nvidia[0-9]*")) or (_DEVICES / "dxg").exists() and _WSL.exists()


def card_without_driver() -> bool:
    """Say whether an NVIDIA card is in the machine and its driver is missing, at least for this process."""
    if any(_DEVICES.glob("nvidia[0-9]*")) or not _PCI.is_dir():
        return False
    return any(
        (card / "vendor").read_text().strip() == _NVIDIA and (card / "class").read_text().startswith(_DISPLAY)
        for card in _PCI.iterdir()
    )
