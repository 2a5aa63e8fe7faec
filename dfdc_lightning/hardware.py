"""What this machine can do: the precision it is fast and safe in, and the memory its processes may share."""

import shutil
import sys
from pathlib import Path

import cv2
import torch

_SHARED = Path("/dev/shm")  # where Linux keeps the memory that processes share


def precision(accelerator: str = "auto") -> str:
    """Lightning's name of the precision to train in: bf16 where the card has it, else fp16; fp32 on CPUs.

    Args:
        accelerator: Lightning's name of what trains; "cpu" leaves a card that is there alone.
    """
    if accelerator == "cpu" or not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"


def use_threads(n: int) -> None:
    """Let this process compute with n threads, on whose number the last digits of sums depend.

    Args:
        n: How many threads torch and OpenCV use on the processor.
    """
    torch.set_num_threads(n)
    cv2.setNumThreads(n)


def shared_memory() -> int:
    """Free bytes of the memory through which processes hand each other arrays; 64 MiB in containers."""
    return shutil.disk_usage(_SHARED).free if _SHARED.is_dir() else sys.maxsize
