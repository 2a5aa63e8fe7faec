"""What a training step of each experiment asks of a GPU, counted without one: memory, traffic, arithmetic.

    PYTHONPATH=. python benchmarks/gpu_needs.py
    PYTHONPATH=. python benchmarks/gpu_needs.py --batch 8 --check

A step (forward, loss, backward, AdamW) is taken on tensors that have a shape but no content, in a GPU's mixed
precision; every tensor is counted from the moment it is made to the moment it is freed. A card needs besides
what no tensor shows: its context, cuDNN's workspaces and what the allocator wastes; allow 2 GiB. Traffic is
what the operations read and write when each is done by itself, as without torch.compile. From it and the
data sheets of two cards follows what they can reach at best; what they do reach, benchmarks/study.py tells.
--check takes the same step of one clip for real on the processor and sets the count beside what the process
grew by. Prints a table and writes benchmarks/gpu_needs.json.
"""

import argparse
import json
import subprocess
import sys
import weakref
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import torch
from hydra.utils import instantiate
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.loader import FRAMES, SIZE
from benchmarks.train_step import configured, resident_batch, stepper
from dfdc_lightning.models.detector import Detector

EXPERIMENTS = ("baseline", "jpeg", "focal", "effnet", "lstm")
CARD = 16  # GiB: what every experiment must fit into
BESIDE = 2  # GiB of a card that no tensor shows
CARDS = {
    "H100": (989e12, 3.35e12),
    "T4": (65e12, 0.32e12),
}  # NVIDIA's data sheets: dense 16-bit FLOP/s, bytes/s
RUNS, EPOCHS = 25, 10  # of the study
TRAINED = RUNS * EPOCHS * 2508 * FRAMES  # frames
LOOKED_AT = RUNS * (EPOCHS + 2) * 314 * FRAMES  # validation after each epoch, and of the best one; the test
START = 13.8  # seconds from a run's command to its first step, measured on two cores of a virtual machine


class Living(TorchDispatchMode):
    """Bytes of all tensors alive, the most there ever were, and those that operations read and wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = self.traffic = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do it and count what came of it."""
        made = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self.count, made)
        if func.namespace == "aten" and not func.is_view:
            tree_map_only(Tensor, self._move, (args, made))
        return made

    def count(self, tensor: Tensor) -> None:
        """Count a tensor's memory until it is freed; a view of known memory adds nothing."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            weakref.finalize(storage, self._freed, key, storage.nbytes())
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)

    def _move(self, tensor: Tensor) -> None:
        self.traffic += tensor.nbytes

    def _freed(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def step_of(experiment: str, batch: int, size: int, dtype: torch.dtype, real: bool = False) -> dict[str, Any]:
    """The most memory of a training step, in bytes, and its floating-point operations."""
    config = configured(experiment, Path("nowhere"), batch, 1)
    detector: Detector = instantiate(config.model).train()  # with every layer open that ever is
    mode = FakeTensorMode()
    if not real:
        hollow(detector, mode)
    with nullcontext() if real else mode:
        clips = resident_batch(batch, size, torch.device("cpu"))
        step = stepper(detector, clips, dtype)
        living, operations = Living(), FlopCounterMode(display=False)
        for tensor in (*detector.parameters(), *detector.buffers(), clips.faces):
            living.count(tensor)
        with living:
            step()  # AdamW makes its state
            living.traffic = 0
            with operations:
                step()
            stepped, flop = living.traffic, operations.get_total_flops()
            living.traffic, forward = 0, FlopCounterMode(display=False)
            with torch.no_grad(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32), forward:
                detector.eval()(clips.faces)
    trains = sum(parameter.numel() for parameter in detector.parameters() if parameter.requires_grad)
    return {
        "trains": trains,
        "bytes": living.most,
        "traffic": stepped,
        "flop": flop,
        "evaluation": {"traffic": living.traffic, "flop": forward.get_total_flops()},
    }


def hollow(detector: Detector, mode: FakeTensorMode) -> None:
    """Leave every tensor of a detector its shape alone."""
    for module in detector.modules():
        for name, parameter in module.named_parameters(recurse=False):
            fake = torch.nn.Parameter(mode.from_tensor(parameter.detach()), parameter.requires_grad)
            module.register_parameter(name, fake)
        for name, buffer in module.named_buffers(recurse=False):
            module.register_buffer(name, mode.from_tensor(buffer))


def grown(experiment: str, size: int) -> dict[str, int]:
    """Count of a real step of one clip on the processor, and what the process grew by, in bytes."""
    command = [sys.executable, __file__, "--real", experiment, "--size", str(size)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, int] = json.loads(said.splitlines()[-1])
    return found


def step_for_real(experiment: str, size: int) -> None:
    """Print what `grown` asks for."""
    step_of(experiment, 1, 32, torch.float32, real=True)  # loads whatever a first step loads
    before = getrusage(RUSAGE_SELF).ru_maxrss
    counted = step_of(experiment, 1, size, torch.float32, real=True)["bytes"]
    print(json.dumps({"counted": counted, "grown": 1024 * (getrusage(RUSAGE_SELF).ru_maxrss - before)}))


def rates(counted: Mapping[str, int], batch: int) -> dict[str, float]:
    """Frames per second that each card can reach with this arithmetic and this traffic, at best."""
    frames = batch * FRAMES
    return {
        card: min(peak * frames / counted["flop"], bandwidth * frames / counted["traffic"])
        for card, (peak, bandwidth) in CARDS.items()
    }


def table(batch: int, size: int, check: bool) -> dict[str, dict[str, Any]]:
    """Print a line an experiment, then what the two cards can reach."""
    found: dict[str, dict[str, Any]] = {}
    columns = f"{'trains M':>9} {'GiB':>6} {f'fits {CARD} GiB':>12} {'GFLOP':>7} {'MB moved':>9}"
    print(f"{'experiment':10} {columns}  a frame; at best" + "".join(f"{name:>7}" for name in CARDS))
    for name in EXPERIMENTS:
        step = found[name] = step_of(name, batch, size, torch.bfloat16)
        flop, traffic = (step[key] / (batch * FRAMES) for key in ("flop", "traffic"))
        gib = step["bytes"] / 2**30
        fits = "yes" if gib + BESIDE <= CARD else "no"
        step["frames_a_second_at_best"] = at_best = rates(step, batch)
        step["evaluated_a_second_at_best"] = rates(step["evaluation"], batch)
        figures = f"{step['trains'] / 1e6:9.1f} {gib:6.2f} {fits:>12} {flop / 1e9:7.1f} {traffic / 1e6:9.1f}"
        cards = "".join(f"{rate:7,.0f}" for rate in at_best.values())
        print(f"{name:10} {figures}  {'frames/s':>16}{cards}", flush=True)
        if check:
            step |= (here := grown(name, size))
            counted, grew = (here[key] / 2**20 for key in ("counted", "grown"))
            print(f"{'':10} one clip in fp32: counted {counted:,.0f} MiB, the process grew by {grew:,.0f}")
    for card in CARDS:
        trained, looked_at = (
            sum(frames / len(found) / step[key][card] for step in found.values()) / 60
            for frames, key in (
                (TRAINED, "frames_a_second_at_best"),
                (LOOKED_AT, "evaluated_a_second_at_best"),
            )
        )
        start = RUNS * START / 60
        print(
            f"{RUNS} runs in turn on one {card}, at best: {trained + looked_at + start:.0f} minutes "
            f"({trained:.1f} training, {looked_at:.1f} validation and test, {start:.1f} start-up)"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--real", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    if options.real:
        step_for_real(options.real, options.size)
    else:
        steps = table(options.batch, options.size, options.check)
        report = {"batch": options.batch, "size": options.size, "steps": steps}
        options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
