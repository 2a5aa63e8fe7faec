"""What this machine can do: the precision its processor is fast and safe in, and the cores it may use."""

import os

import torch


def precision() -> str:
    """Lightning's name of the precision to train in: bf16 where the card has it, else fp16; fp32 on CPUs."""
    if not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"


def cores() -> int:
    """Processor cores this process may run on; a job scheduler may give fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
