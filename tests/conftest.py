"""Fixtures of several test files, what parallel workers share, and which tests are slow.

Only fixtures import the package and torch: the process that hands tests to workers runs none itself.
"""

import fcntl
import os
import signal
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from reach import slow

if TYPE_CHECKING:
    from forgeries import Forgeries, Trained

    from dfdc_lightning.models.detector import Detector

SHARED = Path(__file__).parents[1].parent / "shared"
MakeOnce = Callable[[str, Callable[[Path], Any]], Path]

_LARGE = ("torch._dynamo", "lightning", "timm", "torchmetrics", "torchvision", "matplotlib.pyplot")

# A shell lets what it starts in the background ignore Ctrl-C, and so would every command that we stop by it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Nobody's account is told of a test; those of W&B undo this.
os.environ.setdefault("WANDB_MODE", "disabled")

# Workers share the cores: threads of torch and OpenCV would only wait for those of the other workers.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Import large libraries before the package does.

    While jaxtyping's hook imports one of our modules, it looks for the bytecode of every module imported from
    there under a name of its own, so that each session would compile half of torch again.
    """
    if config.getoption("numprocesses", None) is None:
        for name in _LARGE:
            import_module(name)


@pytest.hookimpl(tryfirst=True)  # before pytest itself selects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what trains, reads videos, shows a page or starts a process; `make check` leaves these out."""
    for item in items:
        if isinstance(item, pytest.Function) and slow(item):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """A function that fills a folder once for all workers of a parallel run, and returns it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(name: str, fill: Callable[[Path], Any]) -> Path:
        folder = base / "made_once" / name
        folder.parent.mkdir(exist_ok=True)
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # who comes second waits until the folder is whole
            if not folder.with_suffix(".whole").exists():
                fill(folder)
                folder.with_suffix(".whole").touch()
        return folder

    return make


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real videos, which the repository does not contain."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED.name}/ with the real videos is not beside the repository")
    return SHARED


@pytest.fixture(scope="session")
def tiny_cache(make_once: MakeOnce) -> Path:
    """A cache of 8/4/4 pairs of clips of four 64-pixel faces."""
    from drawn import draw_cache

    return make_once("tiny_cache", lambda root: draw_cache(root, {"train": 8, "val": 4, "test": 4}))


@pytest.fixture(scope="session")
def trained(make_once: MakeOnce) -> "Trained":
    """A run of train.py on rendered videos; tests read it and never write into it."""
    from forgeries import Trained, train_run

    return Trained.below(make_once("trained", train_run))


@pytest.fixture(scope="session")
def forgeries(make_once: MakeOnce) -> "Forgeries":
    """Rendered pairs of REAL and FAKE clips, with the swapped region of each frame."""
    from forgeries import read_forgeries, render_forgeries

    return read_forgeries(make_once("forgeries", render_forgeries))


@pytest.fixture(scope="session")
def taught(make_once: MakeOnce, forgeries: "Forgeries") -> "dict[str, Detector]":
    """A frame and a sequence detector that tell these forgeries apart."""
    from forgeries import KINDS, learn, read_learnt

    folder = make_once("taught", lambda root: [learn(kind, forgeries, root) for kind in KINDS])
    return {kind: read_learnt(kind, folder) for kind in KINDS}
