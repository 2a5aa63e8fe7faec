"""A sweep is planned, isolated, summed up, and right in the morning."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sweeping import ROOT, TOY, environment, results, run, start, toy
from test_runs import composed

from dfdc_lightning.errors import UserError
from dfdc_lightning.sweep.at_once import free_card_memory, free_memory, runs_at_once


def test_a_sweep_skips_resumes_and_starts_and_says_which(tmp_path: Path) -> None:
    first = toy(tmp_path, "-m", "seed=0,1,2", fates={1: "kill"})
    assert first.status == 1
    assert first.outcomes() == {"toy 0": "done", "toy 1": "failed", "toy 2": "done"}
    process = results(tmp_path / "multirun" / "toy")["toy/0"].hardware["process"]

    second = toy(tmp_path, "-m", "seed=0,1,2,3")
    assert second.status == 0, second.err
    assert second.outcomes() == {"toy 0": "skipped", "toy 1": "resumed", "toy 2": "skipped", "toy 3": "done"}
    assert results(tmp_path / "multirun" / "toy")["toy/0"].hardware["process"] == process, (
        "a finished run ran again"
    )
    assert "run 2 of 4, about 3 min left: toy seed 1, resume" in second.out
    assert not (tmp_path / "multirun" / "toy" / "toy" / "1" / "error.txt").exists()

    third = toy(tmp_path, "-m", "seed=0,1,2,3")
    assert third.status == 0
    assert set(third.outcomes().values()) == {"skipped"}


def test_whatever_ends_a_run_the_others_go_on_and_error_txt_says_what(tmp_path: Path) -> None:
    fates = {0: "raise", 1: "exit", 2: "kill", 3: "crash", 4: "memory", 5: "lost"}
    said = toy(tmp_path, "-m", "seed=range(7)", fates=fates)
    assert said.status == 1
    assert said.outcomes() == {f"toy {seed}": "failed" for seed in fates} | {"toy 6": "done"}
    assert "7 runs: 6 failed, 1 done" in said.out
    texts = {seed: (tmp_path / "multirun/toy/toy" / str(seed) / "error.txt").read_text() for seed in fates}
    assert texts[0].startswith("Traceback") and "RuntimeError: the loss is not finite" in texts[0]
    assert "exit code 7" in texts[1]
    assert "SIGKILL: out of memory, most likely" in texts[2]
    assert "SIGSEGV" in texts[3] and "in meet" in texts[3], "where it crashed is not said"
    assert texts[4].startswith("Traceback") and "MemoryError" in texts[4]
    assert texts[5].startswith("Traceback") and "gone.npz" in texts[5]
    assert "toy seed 0 failed: RuntimeError: the loss is not finite" in said.out


def test_another_configuration_is_refused_with_its_keys_until_overwrite(tmp_path: Path) -> None:
    assert toy(tmp_path, "seed=0").status == 0
    said = toy(tmp_path, "-m", "seed=0,1", "lr=0.2")
    assert said.status == 1
    assert said.outcomes() == {"toy 0": "failed", "toy 1": "done"}
    assert "lr: 0.1 there, 0.2 here" in said.err and "overwrite=true" in said.err
    assert results(tmp_path / "multirun/toy")["toy/0"].config["lr"] == 0.1

    single = toy(tmp_path, "seed=0", "lr=0.2")
    assert single.status == 2
    assert single.err.count("\n") == 1 and "lr: 0.1 there, 0.2 here" in single.err

    again = toy(tmp_path, "-m", "seed=0,1", "lr=0.2", "overwrite=true")
    assert again.outcomes() == {"toy 0": "done", "toy 1": "done"}
    assert results(tmp_path / "multirun/toy")["toy/0"].config["lr"] == 0.2


def test_a_plan_trains_nothing_and_estimates_from_finished_runs(tmp_path: Path) -> None:
    toy(tmp_path, "-m", "seed=0,1", fates={1: "kill"})
    before = sorted(tmp_path.rglob("*"))
    said = toy(tmp_path, "-m", "seed=0,1,2", "plan=true")
    assert said.status == 0
    lines = {tuple(line.split()) for line in said.out.splitlines()}
    assert ("toy", "0", "skip:", "finished") in lines
    assert ("toy", "1", "resume", "1", "60", "s") in lines, "an epoch took a minute, one of two is left"
    assert ("toy", "2", "start", "2", "2", "min") in lines
    assert "3 runs: 1 to start, 1 to resume, 1 to skip; about 3 min of training" in said.out
    assert sorted(tmp_path.rglob("*")) == before, "planning left something behind"


def test_a_single_run_is_planned_too(tmp_path: Path, tiny_cache: Path) -> None:
    said = run(ROOT / "train.py", "experiment=jpeg", f"data.cache={tiny_cache}", "plan=true", cwd=tmp_path)
    assert said.status == 0, said.err
    assert ["jpeg", "0", "start", "10", "?"] in [line.split() for line in said.out.splitlines()]
    assert list(tmp_path.iterdir()) == []


def test_runs_that_would_share_a_folder_are_refused_before_anything_starts(tmp_path: Path) -> None:
    said = toy(tmp_path, "-m", "lr=0.1,0.2")
    assert said.status == 2
    assert "would share the folder" in said.err and "name='lr${" in said.err
    named = toy(tmp_path, "-m", "lr=0.1,0.2", "name='lr${lr}'")
    assert named.outcomes() == {"lr0.1 0": "done", "lr0.2 0": "done"}


def test_a_missing_cache_is_said_once_and_before_anything_starts(tmp_path: Path) -> None:
    said = toy(tmp_path, "-m", "seed=0,1", "data.cache=nowhere")
    assert said.status == 2
    assert said.err.count("\n") == 1 and "nowhere/manifest.csv does not exist" in said.err
    assert not (tmp_path / "multirun" / "toy" / "toy").exists()


def test_a_run_that_another_process_has_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "multirun/toy/toy/0").mkdir(parents=True)
    toy(tmp_path, "plan=true")  # makes the cache
    holder = start(TOY, "seed=0", cwd=tmp_path, TOY_FATES='{"0": "hang"}')
    try:
        wait_for(tmp_path / "multirun/toy/toy/0/metrics.csv")
        said = toy(tmp_path, "-m", "seed=0,1")
        assert "is being worked on by another process" in said.err
        assert said.outcomes() == {"toy 0": "open", "toy 1": "done"}
        assert said.status == 1
    finally:
        end(holder)


def test_runs_go_side_by_side_and_every_line_says_whose_it_is(tmp_path: Path) -> None:
    said = toy(tmp_path, "-m", "seed=range(4)", "at_once=2", fates={0: "wait", 2: "exit"})
    assert said.outcomes() == {f"toy {seed}": "failed" if seed == 2 else "done" for seed in range(4)}
    assert "4 to start; no finished run to estimate the time from, 2 runs at once" in said.out
    starts = [said.out.index(f"run {n} of 4") for n in range(1, 5)]
    assert starts == sorted(starts) and starts[1] < said.out.index("toy seed 0: test auroc 0.900")
    assert "exit code 7" in (tmp_path / "multirun/toy/toy/2/error.txt").read_text()


def test_ctrl_c_stops_all_that_go_side_by_side(tmp_path: Path) -> None:
    toy(tmp_path, "plan=true")
    fates = json.dumps({"0": "hang", "1": "stubborn"})
    sweep = start(TOY, "-m", "seed=0,1,2", "at_once=2", cwd=tmp_path, TOY_FATES=fates)
    for seed in (0, 1):
        wait_for(tmp_path / f"multirun/toy/toy/{seed}/metrics.csv")
    time.sleep(0.3)
    begun = time.monotonic()
    sweep.send_signal(signal.SIGINT)
    out, _ = sweep.communicate(timeout=20)
    assert time.monotonic() - begun < 5
    assert sweep.returncode == 130 and out.count(" open: ") == 3
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "cores", "gibibytes", "card", "at_once"),
    [
        (["at_once=3"], 1, 1, None, 3),
        ([], 8, 1000, None, 4),  # there are four runs
        ([], 3, 1000, None, 3),
        (["threads=2"], 7, 1000, None, 3),
        ([], 8, 32, None, 3),  # of 8.4 GiB each, in four fifths of what is free
        (["data.batch_size=8"], 8, 12, None, 3),
        ([], 1, 1, None, 1),
        (["trainer.accelerator=auto"], 16, 1000, 16, 2),
        (["trainer.accelerator=auto"], 16, 1000, 80, 4),
        (["trainer.accelerator=auto"], 4, 1000, 80, 2),
    ],
)
def test_as_many_runs_go_at_once_as_cores_and_memory_let_pay(
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    cores: int,
    gibibytes: int,
    card: int | None,
    at_once: int,
) -> None:
    monkeypatch.setattr("dfdc_lightning.sweep.at_once.cores", lambda: cores)
    monkeypatch.setattr("dfdc_lightning.sweep.at_once.free_memory", lambda: gibibytes * 2**30)
    monkeypatch.setattr("dfdc_lightning.sweep.at_once.free_card_memory", lambda: card and card * 2**30)
    with composed("trainer.accelerator=cpu", *words) as config:
        assert runs_at_once([config] * 4) == at_once


def test_this_machine_has_some_memory_and_perhaps_a_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 2**28 < free_memory() < 2**50
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\n[ "$1" = --id=0 ] && echo 1024 || echo 2048\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert free_card_memory() == 2**30
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    assert free_card_memory() == 2**31
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert free_card_memory() is None
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    program.write_text("#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    assert free_card_memory() is None


def test_at_once_must_be_a_number_or_auto() -> None:
    for word in ("0", "many", "1.5"):
        with (
            composed(f"at_once={word}") as config,
            pytest.raises(UserError, match="at_once must be .*or auto"),
        ):
            runs_at_once([config])


@pytest.mark.parametrize("fate", ["hang", "stubborn"])
def test_ctrl_c_stops_within_five_seconds_and_leaves_no_process(tmp_path: Path, fate: str) -> None:
    toy(tmp_path, "plan=true")
    sweep = start(TOY, "-m", "seed=0,1", cwd=tmp_path, TOY_FATES=json.dumps({"0": fate}))
    wait_for(tmp_path / "multirun/toy/toy/0/metrics.csv")
    time.sleep(0.3)
    begun = time.monotonic()
    sweep.send_signal(signal.SIGINT)
    out, err = sweep.communicate(timeout=20)
    assert time.monotonic() - begun < 5
    assert sweep.returncode == 130
    assert "the same command goes on from here" in err
    assert "toy seed 1 open" in out, "the table of an interrupted sweep is missing"
    assert processes_in(tmp_path) == []
    assert toy(tmp_path, "-m", "seed=0,1").outcomes() == {"toy 0": "resumed", "toy 1": "done"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_so_and_is_no_success(tmp_path: Path, tiny_cache: Path, number: int) -> None:
    words = ("scale=scratch", "model.backbone.name=test_resnet", "trainer.max_epochs=1000")
    words += ("data.batch_size=2", f"data.cache={tiny_cache}")
    train = start(ROOT / "train.py", *words, cwd=tmp_path)
    wait_for(tmp_path / "multirun/dfdc/baseline/0/metrics.csv")
    train.send_signal(number)
    _, err = train.communicate(timeout=20)
    assert train.returncode == 130
    assert err == "stopped: the same command goes on from here\n"
    assert not (tmp_path / "multirun/dfdc/baseline/0/error.txt").exists()


def test_a_killed_sweep_takes_its_run_with_it(tmp_path: Path) -> None:
    toy(tmp_path, "plan=true")
    sweep = start(TOY, "-m", "seed=0,1", cwd=tmp_path, TOY_FATES='{"0": "stubborn"}')
    wait_for(tmp_path / "multirun/toy/toy/0/metrics.csv")
    sweep.kill()
    sweep.communicate()
    deadline = time.monotonic() + 5
    while processes_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_in(tmp_path) == []


def test_each_run_has_a_wandb_of_its_own(tmp_path: Path) -> None:
    """W&B's folder for pictures goes with the first run that ends, if the runs share one."""
    (tmp_path / "warm.py").write_text("try:\n    import wandb\nexcept ImportError:\n    pass\n")  # as timm
    (tmp_path / "script.py").write_text(
        "import numpy, wandb\nwandb.Image(numpy.zeros((4, 4, 3), numpy.uint8))\n"
    )
    twice = (
        "from pathlib import Path\nfrom dfdc_lightning.sweep.run_processes import RunProcesses\n"
        "processes = RunProcesses(Path('script.py').resolve(), ['warm'])\n"
        "for _ in range(2):\n"
        "    processes.start([])\n"
        "    assert processes.wait()[1].status == 0\n"
    )
    subprocess.run([sys.executable, "-c", twice], cwd=tmp_path, env=environment(), check=True)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


def processes_in(folder: Path) -> list[str]:
    """Command lines of all processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder and "Z" not in (process / "stat").read_text():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def end(process: object) -> None:
    for below in Path("/proc").glob("[0-9]*"):
        try:
            parent = (below / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if parent == str(process.pid):  # type: ignore[attr-defined]
            os.kill(int(below.name), signal.SIGKILL)
    process.kill()  # type: ignore[attr-defined]
    process.communicate()  # type: ignore[attr-defined]
