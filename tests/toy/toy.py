"""A run without torch: train.py's frame around a fate that the test chose, e.g. TOY_FATES='{"3": "exit"}'."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import hydra
from made_up import made_up
from omegaconf import DictConfig

from dfdc_lightning.results.epochs import write_epochs
from dfdc_lightning.results.result import Result, write_result
from dfdc_lightning.runs import Run, command
from dfdc_lightning.sweep import isolated


def meet(fate: str) -> None:
    """Die in the way asked for, or not at all."""
    match fate:
        case "raise":
            raise RuntimeError("the loss is not finite")
        case "exit":
            os._exit(7)
        case "kill" | "crash":
            os.kill(os.getpid(), signal.SIGKILL if fate == "kill" else signal.SIGSEGV)
        case "memory":
            bytearray(1 << 62)
        case "lost":
            Path("clips/gone.npz").read_bytes()
        case "hang":  # as loader workers do: a process below ours that would outlive it
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            time.sleep(600)
        case "wait":  # for another run to have started
            while not Path("multirun/toy/toy/1/metrics.csv").exists():
                time.sleep(0.01)
        case "stubborn":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            time.sleep(600)


def fabricated(config: DictConfig) -> Result:
    """Say what a finished run would, and where it ran."""
    where = {"gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "process": os.getpid()}
    return made_up(
        study=config.study,
        experiment=config.name,
        seed=config.seed,
        level="frame",
        seconds=120.0,
        hardware=where,
        config={"lr": config.lr},
    )


@hydra.main(version_base="1.3", config_path=".", config_name="toy")
@isolated()
def main(config: DictConfig) -> float:
    """Leave the files that a run leaves."""
    run = Run.claim(config)
    if not run.finished:
        with run.recording():
            write_epochs(run.metrics_file, [{"epoch": 0, "val/auroc": 0.5, "seconds": 60}])
            meet(json.loads(os.environ.get("TOY_FATES", "{}")).get(str(config.seed), ""))
            write_result(run.result_file, fabricated(config))
    return run.announce()


if __name__ == "__main__":
    command(main)
