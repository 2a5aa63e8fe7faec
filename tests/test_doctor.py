"""The doctor finds this machine fit, and names a trap when it stands in one."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dfdc_lightning import doctor, machine
from dfdc_lightning.errors import UserError
from dfdc_lightning.hardware import check_accelerator

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


class Card:
    """Stands in for torch.cuda and the kernel's files of a machine with an NVIDIA card."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch = folder, monkeypatch
        for name in ("dev", "pci"):
            (folder / name).mkdir()
        monkeypatch.setattr(machine, "_DEVICES", folder / "dev")
        monkeypatch.setattr(machine, "_PCI", folder / "pci")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        self.torch_says(available=False, refusal="Found no NVIDIA driver on your system. Please check that")

    def is_there(self) -> None:
        (self.folder / "dev" / "nvidia0").touch()

    def is_on_the_bus(self, kind: str = "0x030000") -> None:
        (self.folder / "pci" / kind).mkdir()
        (self.folder / "pci" / kind / "vendor").write_text("0x10de\n")
        (self.folder / "pci" / kind / "class").write_text(f"{kind}\n")

    def torch_says(self, available: bool, refusal: str = "", capability: tuple[int, int] = (9, 0)) -> None:
        def init() -> None:
            if refusal:
                raise RuntimeError(refusal)

        for name, value in {
            "is_available": lambda: available,
            "init": init,
            "device_count": lambda: int(available),
            "get_device_capability": lambda: capability,
            "get_device_name": lambda: "NVIDIA X",
            "get_arch_list": lambda: ["sm_75", "sm_80", "sm_90a", "compute_100"],
        }.items():
            self.patch.setattr(torch.cuda, name, value)


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    return Card(tmp_path, monkeypatch)


def test_a_card_whose_driver_is_too_old_is_named_with_the_remedy_until_somebody_goes_on_without(
    card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_accelerator("auto")  # no card
    card.is_there()
    card.torch_says(False, "The NVIDIA driver on your system is too old (found version 11040). Please update")
    sentence = r"the NVIDIA driver .*too old \(found version 11040\).*update its driver.*accelerator=cpu$"
    for accelerator in ("auto", "gpu"):
        with pytest.raises(UserError, match=f"(?i){sentence}"):
            check_accelerator(accelerator)
    check_accelerator("cpu")
    assert "too old" in dict(doctor.facts())["gpu"] and "update its driver" in dict(doctor.facts())["gpu"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    check_accelerator("auto")  # hidden on purpose


def test_a_torch_without_cuda_or_without_code_for_the_card_is_named(
    card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    card.is_there()
    for capability in ((7, 0), (6, 1)):
        card.torch_says(True, capability=capability)
        with pytest.raises(
            UserError, match=r"NVIDIA X cannot be used: .* no code for .* (7.0|6.1), only for sm"
        ):
            check_accelerator("auto")
    for capability in ((7, 5), (8, 6), (9, 0), (12, 0)):
        card.torch_says(True, capability=capability)
        check_accelerator("auto")
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(UserError, match="built without CUDA: install the pair .* requirements.lock"):
        check_accelerator("auto")


def test_a_card_without_its_driver_is_a_warning_and_no_card_is_a_refusal_only_where_one_is_asked_for(
    card: Card, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        UserError, match=r"trainer.accelerator=gpu needs a GPU, and this machine has none; or go on"
    ):
        check_accelerator("gpu")
    card.is_on_the_bus("0x040300")  # its sound
    check_accelerator("auto")
    assert capsys.readouterr().err == ""
    card.is_on_the_bus()
    check_accelerator("auto")
    assert "training on the processor: an NVIDIA card is in this machine, but" in capsys.readouterr().err
    assert "install the driver" in dict(doctor.facts())["gpu"]
