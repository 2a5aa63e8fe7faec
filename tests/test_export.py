"""An exported model says what the trained one says, for any number of clips, and needs no torch to say it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from forgeries import ROOT, Forgeries, Trained, build
from safetensors.torch import load_file

from dfdc_lightning.errors import UserError
from dfdc_lightning.explain.gradcam import predict_with_maps
from dfdc_lightning.explain.prediction import Prediction
from dfdc_lightning.export import Parity, export, traced
from dfdc_lightning.faces.cache import FaceCache
from dfdc_lightning.models.detector import Detector
from dfdc_lightning.predict.card import Card
from dfdc_lightning.predict.predictors import open_predictor
from dfdc_lightning.runs import Run

WITHOUT_TORCH = """
import runpy, sys
sys.argv = ["predict.py", *sys.argv[1:]]
try:
    runpy.run_path("predict.py", run_name="__main__")
finally:
    heavy = sorted({"torch", "lightning", "timm", "matplotlib", "scipy"} & set(sys.modules))
    print("imported:", *heavy, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported")
    parity = export(Run(trained.run), out, FaceCache(trained.cache))
    assert parity.clips == 16 and parity.logit <= 1e-3
    return out


def onnx_prediction(detector: Detector, faces: np.ndarray, path: Path) -> Prediction:
    traced(detector, faces[:2]).save(path, external_data=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return Prediction(*session.run(list(Prediction._fields), {"faces": faces}))


@pytest.mark.parametrize("kind", ["frame", "sequence"])
def test_a_trained_detector_says_the_same_in_onnxruntime(
    kind: str, taught: dict[str, Detector], forgeries: Forgeries, tmp_path: Path
) -> None:
    faces = np.ascontiguousarray(forgeries.faces[:5, :3])  # traced with two clips, run with five
    parity = Parity(
        predict_with_maps(taught[kind], faces), onnx_prediction(taught[kind], faces, tmp_path / "model.onnx")
    )
    assert parity.logit < 1e-3 and parity.maps < 1e-3, str(parity)
    assert parity.clips == 5


def test_statistics_pooling_can_be_exported_too(forgeries: Forgeries, tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = build("statpool")
    faces = np.ascontiguousarray(forgeries.faces[:5, :3])
    parity = Parity(
        predict_with_maps(detector, faces), onnx_prediction(detector, faces, tmp_path / "model.onnx")
    )
    assert parity.logit < 1e-3 and parity.maps < 1e-3, str(parity)


def test_an_efficientnet_can_be_exported_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = build(
        "frame", timm.create_model("test_efficientnet", num_classes=0)
    )  # SiLU and squeeze-excite
    faces = np.random.default_rng(0).integers(0, 256, (3, 2, 3, 64, 64), dtype=np.uint8)
    parity = Parity(
        predict_with_maps(detector, faces), onnx_prediction(detector, faces, tmp_path / "model.onnx")
    )
    assert parity.maps < 1e-3, str(parity)
    assert parity.logit < 1e-3, str(parity)


def test_engines_that_differ_are_seen() -> None:
    logits, maps = np.zeros((2, 3), np.float32), np.ones((2, 3, 2, 2), np.float32)
    parity = Parity(
        Prediction(logits, logits, maps[..., 0], maps),
        Prediction(logits + 0.5, logits, maps[..., 0] * 1.2, maps * 1.1),
    )
    assert parity.logit == 0.5
    assert parity.maps == pytest.approx(0.1)


def test_an_export_holds_the_weights_and_a_card(exported: Path, trained: Trained) -> None:
    weights = load_file(exported / "model.safetensors")
    for name, value in Run(trained.run).load_detector().state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=0)
    card = (exported / "model_card.md").read_text()
    assert "uint8 (clips, 4, 3, 48, 48)" in card
    assert "largest difference" in card and "not a calibrated probability" in card


@pytest.mark.parametrize("name", ["", "model.onnx"])
def test_an_exported_model_predicts_what_the_run_does(name: str, exported: Path, trained: Trained) -> None:
    faces = np.stack(
        [FaceCache(trained.cache).read_faces(path.stem) for path in trained.cache.glob("clips/*.npz")]
    )
    by_run, by_export = open_predictor(trained.run), open_predictor(exported / name)
    assert by_export.card == by_run.card
    one, other = by_run.predict(faces, maps=False), by_export.predict(faces, maps=False)
    assert one.maps is None and other.maps is None
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


def test_predict_with_an_exported_model_imports_no_torch(
    exported: Path, trained: Trained, tmp_path: Path
) -> None:
    row = (trained.run / "predictions.csv").read_text().splitlines()[-1].split(",")
    words = [f"video={trained.video(row[1])}", f"run={exported / 'model.onnx'}", "format=json"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *words, f"html={tmp_path / 'verdict.html'}"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].strip() == "imported:", done.stderr
    assert json.loads(done.stdout)["score"] == pytest.approx(float(row[4]), abs=1e-4)
    assert "No heat map" in (tmp_path / "verdict.html").read_text(), "maps without torch, of 2 × 2 places"


def test_a_damaged_export_is_a_sentence(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported, tmp_path / "cut")
    whole = (tmp_path / "cut" / "model.onnx").read_bytes()
    (tmp_path / "cut" / "model.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"model\.onnx cannot be read as an ONNX model"):
        open_predictor(tmp_path / "cut").predict(np.zeros((1, 4, 3, 48, 48), np.uint8), maps=False)
    (tmp_path / "cut" / "model.json").write_text('{"name": "half"')
    with pytest.raises(UserError, match=r"model\.json cannot be read as a model card"):
        open_predictor(tmp_path / "cut")
    (tmp_path / "cut" / "model.json").unlink()
    with pytest.raises(UserError, match=r"model\.json does not exist: it belongs beside the model"):
        open_predictor(tmp_path / "cut")


def test_a_model_beside_anothers_card_is_a_sentence(exported: Path, tmp_path: Path) -> None:
    faces = np.zeros((1, 4, 3, 48, 48), np.uint8)
    shutil.copytree(exported, tmp_path / "mixed")
    detector = build("frame", timm.create_model("test_resnet", num_classes=0))
    traced(detector, np.zeros((2, 3, 3, 48, 48), np.uint8)).save(tmp_path / "mixed" / "model.onnx")
    with pytest.raises(UserError, match=r"is not the model that model\.json describes \(4 faces of 48"):
        open_predictor(tmp_path / "mixed").predict(faces, maps=False)
    (tmp_path / "mixed" / "model.onnx").write_bytes(b"")
    with pytest.raises(UserError, match=r"model\.onnx cannot be read as an ONNX model"):
        open_predictor(tmp_path / "mixed").predict(faces, maps=False)


@pytest.mark.parametrize(
    "detector",
    [
        {"class": "subprocess.Popen", "args": ["touch", "started"]},
        {"class": "dfdc_lightning.faces.finder.Gone"},
        {"class": "not_installed.Finder"},
        {},
    ],
)
def test_a_card_starts_nothing_but_a_face_detector(
    detector: dict[str, object], exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    card = Card.read(exported / "model.json")
    card.preparation["detector"] = detector
    with pytest.raises(UserError, match="the face preparation recorded there is not one of this version"):
        card.make_preparation()
    assert not (tmp_path / "started").exists()


def test_a_face_model_that_the_face_detector_does_not_take_is_a_sentence(exported: Path) -> None:
    with pytest.raises(UserError, match=r"detector\.model= means nothing to Haar: leave it out"):
        Card.read(exported / "model.json").make_preparation("yunet.onnx")


def test_an_export_needs_the_clips_of_its_run(trained: Trained, tiny_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no clips of profile"):
        export(Run(trained.run), tmp_path, FaceCache(tiny_cache))
    assert not (tmp_path / "model.onnx").exists()
