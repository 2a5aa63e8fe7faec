"""What this machine can do: whether its GPU can be used, in which precision; the memory processes share."""

import ctypes
import re
import shutil
import sys
import warnings
from pathlib import Path

import cv2
import torch

from dfdc_lightning.errors import UserError
from dfdc_lightning.machine import card_with_driver, card_without_driver

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's numbers of these settings, malloc.h
_SHARED = Path("/dev/shm")  # where Linux keeps the memory that processes share


def precision(accelerator: str = "auto") -> str:
    """Choose Lightning's name of the training precision: bf16 where the card has it, else fp16; fp32 on CPUs.

    Args:
        accelerator: Lightning's name of what trains; "cpu" leaves a card that is there alone.
    """
    if accelerator == "cpu" or not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"


def check_accelerator(accelerator: str, devices: object = 1) -> None:
    """Make sure that nobody trains on the processor beside a GPU without having said so.

    A card without its driver is nothing but a line on stderr: it may be meant for the screen alone.

    Args:
        accelerator: Lightning's name of what is to train; "cpu" says so.
        devices: How many of them one run takes, or in another form of Lightning's which ones.

    Raises:
        UserError: When an NVIDIA card and its driver are there, or are asked for, and torch cannot use them.
    """
    if accelerator in ("cpu", "mps"):
        return
    why, absent = unusable_gpu(), absent_driver()
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        why = why or absent or f"trainer.accelerator={accelerator} needs a GPU, and this machine has none"
    if why:
        raise UserError(f"{why}; or go on without a GPU: trainer.accelerator=cpu")
    there = torch.cuda.device_count()
    if isinstance(devices, int) and torch.cuda.is_available() and devices > there:
        raise UserError(f"trainer.devices must be at most {there}, the GPUs that are there (got {devices})")
    if absent:
        print(f"warning: training on the processor: {absent}", file=sys.stderr)


def unusable_gpu() -> str:
    """Say why the NVIDIA card that is there cannot be used, and the remedy; nothing where all is well."""
    if not card_with_driver():
        return ""
    if torch.version.cuda is None:
        return (
            f"the NVIDIA card cannot be used by torch {torch.__version__}, which was built without CUDA: "
            "install the pair of torch and torchvision that requirements.lock names"
        )
    if not torch.cuda.is_available():
        return (
            f"the NVIDIA card cannot be used ({_cuda_says()}): update its driver until nvidia-smi shows CUDA "
            f"{torch.version.cuda} or later, or install torch and torchvision for the CUDA that it shows"
        )
    capability = torch.cuda.get_device_capability()
    if not _has_code_for(capability, torch.cuda.get_arch_list()):
        return (
            f"{torch.cuda.get_device_name()} cannot be used: torch {torch.__version__} has no code for its "
            f"compute capability {capability[0]}.{capability[1]}, only for "
            f"{', '.join(torch.cuda.get_arch_list())}: install a torch and torchvision that have"
        )
    return ""


def absent_driver() -> str:
    """Say that an NVIDIA card is in the machine without its driver; nothing on other machines."""
    if not card_without_driver():
        return ""
    return (
        "an NVIDIA card is in this machine, but no driver of it (no /dev/nvidia0): install the driver, or "
        "give the container the card (docker: --gpus all)"
    )


def _cuda_says() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.cuda.init()  # type: ignore[no-untyped-call]
        except (RuntimeError, AssertionError) as error:
            return str(error).split(". ")[0].strip().rstrip(".")
    return "torch finds no device"


def _has_code_for(capability: tuple[int, int], architectures: list[str]) -> bool:
    """Say whether code for one of these architectures runs on a card of this compute capability.

    Machine code (`sm_86`) runs on cards of the same major version and this minor one or a later; what the
    driver compiles (`compute_90`) runs on all later cards.
    """
    for architecture in architectures:
        kind, major, minor = re.fullmatch(r"(\w+?)_(\d+)(\d)[a-z]*", architecture).groups()  # type: ignore[union-attr]
        code = (int(major), int(minor))
        if code <= capability and (kind == "compute" or code[0] == capability[0]):
            return True
    return not architectures


def use_threads(n: int) -> None:
    """Let this process compute with n threads, on whose number the last digits of sums depend.

    Args:
        n: How many threads torch and OpenCV use on the processor.
    """
    torch.set_num_threads(n)
    cv2.setNumThreads(n)


def keep_memory() -> None:
    """Let this process reuse the memory that its tensors free instead of giving it back to the kernel.

    A training step frees hundreds of MB and asks for them again. glibc would give each large block back and
    have its pages cleared anew, which takes 15 to 25 % of a step on a processor. Where another C library
    serves, which lacks this setting, nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 2**30)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def shared_memory() -> int:
    """Free bytes of the memory through which processes hand each other arrays; 64 MiB in containers."""
    return shutil.disk_usage(_SHARED).free if _SHARED.is_dir() else sys.maxsize
