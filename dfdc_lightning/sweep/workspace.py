"""At the end of a sweep that W&B shows online: the workspace of its study, built once."""

import subprocess
import sys
from pathlib import Path

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.loggers.wandb_memo import WandbMemo, read_memo
from dfdc_lightning.sweep.plan import Plan
from dfdc_lightning.sweep.preconditions import environment

_SECONDS = 60  # for W&B's client to be imported and to answer; a sweep has no reason to wait longer
_FILE = "wandb_workspace.txt"  # in the study's folder: the address of its workspace


def build_workspace(plan: Plan) -> None:
    """Build the study's workspace in W&B where a run of the sweep is online there, and print its address.

    A workspace that is there stays as it is, with whatever somebody changed in it. No sweep fails for it.

    Args:
        plan: What the sweep was to do.
    """
    memo = next((memo for run in plan.runs if (memo := _online(run.folder)) is not None), None)
    if memo is None:
        return
    note = plan.study / _FILE
    words = [f"study={plan.study.name}", f"entity={memo.entity}", f"project={memo.project}"]
    if not note.is_file():
        said, reason = _built(words)
        if reason:
            again = f"python -m dfdc_lightning.dashboard {' '.join(words)}"
            print(f"W&B has no workspace of this study yet ({reason}): {again}", flush=True)
            return
        atomic.write_text(note, f"{said}\n")
    print(f"W&B workspace of the study: {note.read_text(encoding='utf-8').strip()}", flush=True)


def _online(folder: Path) -> WandbMemo | None:
    try:
        memo = read_memo(folder)
    except UserError:  # whoever shows the run said so
        return None
    return memo if memo is not None and memo.mode == "online" and memo.entity else None


def _built(words: list[str]) -> tuple[str, str]:
    """What the command prints, and why it failed, in a process that imports W&B's client."""
    command = [sys.executable, "-m", "dfdc_lightning.dashboard", *words]
    try:
        done = subprocess.run(  # noqa: S603
            command,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer within {_SECONDS} seconds"
    reason = done.stderr.strip().removeprefix("error: ") or f"exit code {done.returncode}"
    return done.stdout.strip(), reason if done.returncode else ""
