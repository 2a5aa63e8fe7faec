"""Where a sweep runs is one word on its command line: here, on Ray, on SLURM."""

import os
import stat
from pathlib import Path

import pytest
from sweeping import results, toy

SBATCH = """#!/bin/bash
# Keeps the script it was given and runs the array's jobs one after another, as the cluster would.
script="${@: -1}"
cp "$script" "$SUBMITTED"
echo "Submitted batch job 42"
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
export SLURM_ARRAY_JOB_ID=42 SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0
export SLURM_PROCID=0 SLURM_LOCALID=0
for i in $(seq 0 "$last"); do
    SLURM_ARRAY_TASK_ID=$i SLURM_JOB_ID=$((43 + i)) SLURM_JOB_NODELIST=here bash "$script" >/dev/null 2>&1
done </dev/null >/dev/null 2>&1 &
"""
SRUN = """#!/bin/bash
# Runs what follows its own options.
while [[ "$1" == --* ]]; do
    case "$1" in --output | --error) shift 2 ;; *) shift ;; esac
done
exec "$@"
"""
SACCT = """#!/bin/bash
printf '%s\\n' 'JobID|State|NodeList' '42_0|RUNNING|here' '42_1|RUNNING|here' '42_2|RUNNING|here'
"""


def test_ray_gives_each_of_ten_runs_one_of_two_gpus_and_survives_a_dying_one(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra [ray]")
    said = toy(
        tmp_path,
        *("-m", "seed=range(10)", "compute=ray", "+hydra.launcher.ray.init.num_gpus=2"),
        fates={3: "exit"},
    )
    assert said.outcomes() == {f"toy {seed}": "failed" if seed == 3 else "done" for seed in range(10)}, (
        said.err
    )
    assert said.status == 1
    gpus = [result.hardware["gpus"] for result in results(tmp_path / "multirun/toy").values()]
    assert len(gpus) == 9 and set(gpus) == {"0", "1"}, "each run sees exactly one, and both are used"
    assert "exit code 7" in (tmp_path / "multirun/toy/toy/3/error.txt").read_text()


def test_slurm_gets_one_array_job_with_a_run_a_job_and_the_table_follows(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="needs the extra [slurm]")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(stat.S_IRWXU)
    said = toy(
        tmp_path,
        *(
            "-m",
            "seed=0,1,2",
            "compute=slurm",
            "hydra.launcher.partition=gpu",
            "hydra.launcher.timeout_min=90",
        ),
        fates={1: "kill"},
        PATH=f"{programs}{os.pathsep}{os.environ['PATH']}",
        SUBMITTED=str(tmp_path / "submitted.sh"),
    )
    script = (tmp_path / "submitted.sh").read_text()
    options = {line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")}
    assert {"array=0-2%3", "cpus-per-task=8", "gpus-per-node=1", "mem=32GB", "time=90"} <= options
    assert {"partition=gpu", "nodes=1", "ntasks-per-node=1", "job-name=toy"} <= options
    assert any(option.startswith("signal=USR2@") for option in options), "no warning before the time limit"
    command = script.strip().splitlines()[-1]
    assert command.startswith("srun") and "-m submitit.core._submit" in command and ".submitit/" in command
    assert said.outcomes() == {"toy 0": "done", "toy 1": "failed", "toy 2": "done"}, said.err
    assert said.status == 1


def test_planning_asks_no_cluster(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="needs the extra [slurm]")
    said = toy(
        tmp_path, "-m", "seed=0,1", "compute=slurm", "plan=true"
    )  # without srun, submitting would fail
    assert said.status == 0, said.err
    assert "2 runs: 2 to start" in said.out


def test_where_a_run_was_computed_is_no_other_configuration(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra [ray]")
    assert toy(tmp_path, "-m", "seed=0,1").status == 0
    said = toy(tmp_path, "-m", "seed=0,1", "compute=ray")
    assert set(said.outcomes().values()) == {"skipped"}
    assert "ray" not in said.err.lower(), "a cluster was started for nothing"
