"""Python in a process that may read only what it was given, even where root runs the tests."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

_PR_CAPBSET_DROP = 24  # linux/prctl.h
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2  # linux/capability.h: what lets root read everything


def by_a_plain_user(code: str, path: Path) -> "subprocess.CompletedProcess[str]":
    """Run code that has `path` as its first argument."""

    def give_up_privileges() -> None:
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)

    return subprocess.run(
        [sys.executable, "-c", code, str(path)],
        preexec_fn=give_up_privileges if os.geteuid() == 0 else None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
