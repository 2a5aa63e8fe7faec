"""The real training loop against the same model stepped on one batch that never leaves the device.

    PYTHONPATH=. python benchmarks/train_step.py                  # whatever device there is
    PYTHONPATH=. python benchmarks/train_step.py --batch 32 --clips 512 --experiments baseline,effnet,lstm

Prints a table and writes benchmarks/train_step.json. "Real" is train.py's loop: loader with the full
recipe, copies, logging, metrics, every callback. "Resident" is forward, loss, backward and optimiser step on
one batch, nothing else, in the same precision; "unfolded" is the same without the folding of frozen
BatchNorms (models/folding.py). They are timed in turns: each epoch of the real loop is followed by as many
resident steps of both kinds; by the clock on a GPU, by processor time without one, so that others on
the machine do not count. On a GPU the resident step is also measured in plain fp32 (contiguous, eager, no
TF32) and compiled.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from benchmarks.loader import FRAMES, SIZE, draw_cache
from dfdc_lightning import hardware
from dfdc_lightning.clips import Clip
from dfdc_lightning.machine import cores
from dfdc_lightning.models.detector import Detector

ROOT = Path(__file__).parents[1]
TYPES = {"32-true": torch.float32, "16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}


def configured(experiment: str, cache: Path, batch: int, epochs: int) -> DictConfig:
    """An experiment as train.py would see it, without pretrained weights, which cost no time in a step."""
    overrides = [
        f"experiment={experiment}",
        f"data.cache={cache}",
        f"data.batch_size={batch}",
        "name=benchmark",
    ]
    overrides += [f"trainer.max_epochs={epochs}", "model.backbone.pretrained=false"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("train", overrides)


def now() -> float:
    """Seconds: by the clock once the GPU is done, or of processor time."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def stepper(detector: Detector, batch: Clip, dtype: torch.dtype) -> Callable[[], None]:
    """One training step on a batch on the device."""
    optimizer = detector.configure_optimizers()["optimizer"]
    scaler = torch.amp.GradScaler(enabled=dtype == torch.float16)
    kind = batch.faces.device.type

    def step() -> None:
        with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
            loss = detector.loss(detector(batch.faces), batch.label)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def rate(step: Callable[[], None], frames: int, steps: int) -> float:
    """Frames a second over so many steps."""
    begun = now()
    for _ in range(steps):
        step()
    return frames * steps / (now() - begun)


class Turns(L.Callback):
    """Time the training part of each epoch, then as many steps on a resident batch."""

    def __init__(self, twin: Detector, step: Callable[[], None], frames_a_step: int) -> None:
        self.twin, self.step, self.frames_a_step = twin, step, frames_a_step
        self.real: list[float] = []
        self.resident: list[float] = []
        self.unfolded: list[float] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self.begun = now()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop it, and let the resident batch have its turn."""
        seconds = now() - self.begun
        self.real.append(len(trainer.train_dataloader.dataset) * FRAMES / seconds)  # type: ignore[union-attr]
        with torch.enable_grad(), torch.inference_mode(False):
            steps = int(trainer.num_training_batches)
            self.resident.append(rate(self.step, self.frames_a_step, steps))
            with self.twin.folding.suspended():
                self.unfolded.append(rate(self.step, self.frames_a_step, steps))


def resident_batch(batch: int, size: int, device: torch.device) -> Clip:
    """A batch of noise on the device."""
    faces = torch.randint(0, 256, (batch, FRAMES, 3, size, size), dtype=torch.uint8, device=device)
    return Clip(
        faces, (torch.arange(batch, device=device) % 2).float(), [str(index) for index in range(batch)]
    )


def compare(experiment: str, cache: Path, batch: int, size: int, epochs: int, folder: Path) -> dict[str, Any]:
    """Real and resident frames per second of one experiment, and the peak of memory."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = hardware.precision()
    config = configured(experiment, cache, batch, epochs + 1)
    hardware.keep_memory()  # as every run does
    twin: Detector = instantiate(config.model).to(device).train()
    twin.folding.begin()
    resident = resident_batch(batch, size, device)
    step = stepper(twin, resident, TYPES[precision])
    step()
    detector, data = instantiate(config.model), instantiate(config.data)
    callbacks = [instantiate(callback) for callback in config.callbacks.values()]
    turns = Turns(twin, step, batch * FRAMES)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    trainer = instantiate(
        config.trainer,
        default_root_dir=str(folder),
        callbacks=[*callbacks, turns],
        logger=False,
        limit_val_batches=2,
    )
    trainer.fit(detector, datamodule=data)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    real, alone, unfolded = turns.real[1:], turns.resident[1:], turns.unfolded[1:]  # the first warms up
    ratios = [ours / best for ours, best in zip(real, alone, strict=True)]
    found = {"precision": precision, "real": median(real), "resident": median(alone), "ratio": median(ratios)}
    gains = [without / best for without, best in zip(unfolded, alone, strict=True)]
    found |= {"unfolded": median(unfolded), "time_by_folding": median(gains), "peak_gpu_bytes": peak}
    return found | (variants(config, resident) if device.type == "cuda" else {})


def variants(config: DictConfig, batch: Clip, steps: int = 10) -> dict[str, float]:
    """The resident step in plain fp32 and compiled, on a GPU."""
    frames = len(batch.label) * FRAMES
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    plain: Detector = instantiate(config.model).cuda().train()
    plain.backbone.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    step = stepper(plain, batch, torch.float32)
    rate(step, frames, 3)
    found = {"plain fp32": rate(step, frames, steps)}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    compiled: Detector = instantiate(config.model).cuda().train()
    compiled.backbone.compile()
    step = stepper(compiled, batch, TYPES[hardware.precision()])
    rate(step, frames, 3)
    return found | {"compiled": rate(step, frames, steps)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", default="baseline,effnet,lstm")
    parser.add_argument("--batch", type=int, default=32 if torch.cuda.is_available() else 2)
    parser.add_argument("--clips", type=int, default=256 if torch.cuda.is_available() else 8)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--epochs", type=int, default=3, help="timed ones, after one that warms up")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        cache = draw_cache(Path(folder, "cache"), options.clips, options.size)
        for name in options.experiments.split(","):
            run = Path(folder, name)
            results[name] = compare(name, cache.root, options.batch, options.size, options.epochs, run)
            figures = "  ".join(
                f"{key} {value:,.2f}" if isinstance(value, float) else f"{key} {value}"
                for key, value in results[name].items()
            )
            print(
                f"{name:10} {figures}  (frames/s; batch {options.batch} × {FRAMES} at {options.size} px)",
                flush=True,
            )
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    machine = {"gpu": gpu, "processor": platform.processor() or platform.machine(), "cores": cores()}
    report = {
        "machine": machine,
        "torch": torch.__version__,
        "batch": options.batch,
        "size": options.size,
        "experiments": results,
    }
    options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
