"""The doctor finds this machine fit, and names a trap when it stands in one."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from dfdc_lightning import doctor

ROOT = Path(__file__).parents[1]


def test_the_locked_environment_has_no_problem() -> None:
    assert list(doctor.problems()) == []


def test_a_second_opencv_distribution_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "opencv_python-4.14.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: opencv-python\nVersion: 4.14.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    (sentence,) = [problem for problem in doctor.problems() if "OpenCV" in problem]
    assert "opencv-python, opencv-python-headless" in sentence
    assert "alone" in sentence


def test_an_environment_without_the_packages_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "dfdc_lightning.doctor"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "torch, torchvision" in done.stderr and "make setup" in done.stderr


def test_the_facts_name_every_part_a_bug_report_needs() -> None:
    facts = dict(doctor.facts())
    assert {"python", "torch", "hydra-core", "gpu", "cores"} <= facts.keys()
    assert all(facts.values())
