"""How many processor cores there are for this process; torch is not needed to know."""

import os


def cores() -> int:
    """Count the processor cores that this process may use; a job scheduler may give fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
