"""Maps show where the score comes from: they follow weights, sign and swapped region; pictures are whole."""

import copy
import csv
import json
import re
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import timm
import torch
from forgeries import SIDE, Forgeries, Trained, build
from matplotlib.backends.backend_agg import FigureCanvasAgg
from pytorch_grad_cam import GradCAM
from torch import Tensor, nn

from dfdc_lightning.arguments import arguments
from dfdc_lightning.errors import UserError
from dfdc_lightning.explain.__main__ import main
from dfdc_lightning.explain.gallery import choose
from dfdc_lightning.explain.gradcam import predict_with_maps
from dfdc_lightning.explain.mean_map import MeanMap
from dfdc_lightning.explain.overlay import overlay, readable, scale
from dfdc_lightning.explain.prediction import evidence, predict
from dfdc_lightning.explain.strip import PredictedClip, draw_strip
from dfdc_lightning.models.detector import Detector, scores
from dfdc_lightning.report.style import RC
from dfdc_lightning.results.predictions import Scores

KINDS = ("frame", "sequence")


@pytest.fixture(scope="module")
def clips() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 5, 3, 64, 64), dtype=np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_of_every_detector_has_a_map(kind: str, clips: np.ndarray) -> None:
    detector = build(kind, timm.create_model("test_resnet", num_classes=0))
    prediction = predict_with_maps(detector, clips)
    assert prediction.maps is not None and prediction.maps.shape == (2, 5, 2, 2)
    assert prediction.maps.any()
    with torch.no_grad():
        batch = torch.from_numpy(clips)
        np.testing.assert_allclose(prediction.scores, scores(detector.eval()(batch)).numpy(), atol=1e-6)
        np.testing.assert_allclose(prediction.frame_logits, detector.frame_logits(batch).numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clips_maps_do_not_depend_on_its_neighbours_in_the_batch(
    kind: str, taught: dict[str, Detector], forgeries: Forgeries
) -> None:
    together = predict_with_maps(taught[kind], forgeries.faces[:3]).maps
    alone = predict_with_maps(taught[kind], forgeries.faces[1:2]).maps
    assert together is not None and alone is not None
    np.testing.assert_allclose(together[1], alone[0], atol=1e-5 * np.abs(alone).max())


def test_evidence_for_fake_is_the_librarys_own_map(taught: dict[str, Detector], forgeries: Forgeries) -> None:
    class Frames(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.detector = taught["frame"]

        def forward(self, frames: Tensor) -> Tensor:
            return self.detector(frames[None])[0, :, None]

    with GradCAM(Frames(), [taught["frame"].last_map.module]) as cam:
        theirs = cam(torch.from_numpy(forgeries.faces[0]), [lambda logit: logit.sum()] * 6)
    maps = predict_with_maps(taught["frame"], forgeries.faces[:1]).maps
    assert maps is not None
    for mine, expected in zip(evidence(maps[0], fake=True), theirs, strict=True):
        large = cv2.resize(mine - mine.min(), (SIDE, SIDE))
        scaled = (large - large.min()) / (
            large - large.min()
        ).max()  # the library shows shapes, not strengths
        np.testing.assert_allclose(scaled, expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_evidence_for_real_is_the_map_of_the_negated_logit(
    kind: str, taught: dict[str, Detector], forgeries: Forgeries
) -> None:
    negated = copy.deepcopy(taught[kind])
    with torch.no_grad():
        negated.head.weight.neg_()
        negated.head.bias.neg_()
    maps, mirrored = (predict_with_maps(each, forgeries.faces[:2]).maps for each in (taught[kind], negated))
    assert maps is not None and mirrored is not None
    np.testing.assert_allclose(
        evidence(maps, fake=False), evidence(mirrored, fake=True), atol=1e-5 * np.abs(maps).max()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_layers_do_not_hide_the_map(
    kind: str, taught: dict[str, Detector], forgeries: Forgeries
) -> None:
    frozen = copy.deepcopy(taught[kind]).requires_grad_(requires_grad=False)
    open_maps = predict_with_maps(taught[kind], forgeries.faces[:1]).maps
    maps = predict_with_maps(frozen, forgeries.faces[:1]).maps
    assert maps is not None and open_maps is not None
    np.testing.assert_array_equal(maps, open_maps)


@pytest.mark.parametrize("kind", KINDS)
def test_maps_change_when_the_weights_are_randomised(
    kind: str, taught: dict[str, Detector], forgeries: Forgeries
) -> None:
    """Adebayo et al., 2018: a map that survives this shows the picture, not the model."""
    torch.manual_seed(1)
    random = build(kind)
    learnt, blind = (
        predict_with_maps(each, forgeries.faces[forgeries.label]).maps for each in (taught[kind], random)
    )
    assert learnt is not None and blind is not None
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(learnt[:, 0], blind[:, 0], strict=True)]
    assert np.mean(alike) < 0.5


def fakes_told(detector: Detector, forgeries: Forgeries) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which clips are FAKE and rightly judged, with their logits and maps."""
    prediction = predict_with_maps(detector, forgeries.faces)
    assert prediction.maps is not None
    right = forgeries.label & (prediction.scores > 0.5)
    assert right.sum() >= 0.5 * forgeries.label.sum(), "it has not learnt enough to be asked where it looks"
    return right, prediction.logits[right], prediction.maps[right]


@pytest.mark.parametrize("kind", KINDS)
def test_evidence_lies_in_the_swapped_region(
    kind: str, taught: dict[str, Detector], forgeries: Forgeries
) -> None:
    right, _, maps = fakes_told(taught[kind], forgeries)
    for_fake = evidence(maps, fake=True)
    smooth = np.array([[cv2.resize(each, (SIDE, SIDE)) for each in clip] for clip in for_fake])
    inside = (smooth * forgeries.swapped[right]).sum() / smooth.sum()
    area = forgeries.swapped[right].mean()
    assert area < 0.4
    assert inside > 0.5, f"{inside:.0%} of the evidence lies in the {area:.0%} that are swapped"


@pytest.mark.parametrize("kind", KINDS)
def test_hiding_the_evidence_lowers_the_score_more_than_hiding_as_much_elsewhere(
    kind: str, taught: dict[str, Detector], forgeries: Forgeries
) -> None:
    """The deletion test: a map that shows where a score comes from says what the score cannot do without."""
    right, logits, maps = fakes_told(taught[kind], forgeries)
    faces = forgeries.faces[right]

    def drop(most: bool) -> np.ndarray:
        hidden = faces.copy()
        for face, each in zip(
            hidden.reshape(-1, 3, SIDE, SIDE), maps.reshape(-1, *maps.shape[2:]), strict=True
        ):
            large = cv2.resize(each if most else -each, (SIDE, SIDE))
            plain = face.mean(axis=(1, 2), keepdims=True).astype(np.uint8)
            np.copyto(face, plain, where=large >= np.quantile(large, 0.8))
        return logits.mean(1) - predict(taught[kind], hidden).logits.mean(1)

    assert drop(most=True).mean() > 0.1 + drop(most=False).mean()


def test_real_faces_show_less_evidence_for_fake(taught: dict[str, Detector], forgeries: Forgeries) -> None:
    prediction = predict_with_maps(taught["frame"], forgeries.faces)
    assert prediction.maps is not None
    strength = evidence(prediction.maps, fake=True).mean(axis=(1, 2, 3))
    assert strength[~forgeries.label].mean() < 0.5 * strength[forgeries.label].mean()


def test_the_backbone_works_once_for_clip_and_frames(
    taught: dict[str, Detector], forgeries: Forgeries
) -> None:
    detector, passes = taught["sequence"], []
    hook = detector.backbone.register_forward_hook(lambda *call: passes.append(1))
    predict(detector, forgeries.faces[:1])
    hook.remove()
    assert passes == [1]
    assert not {"features", "frame_logits"} & vars(detector).keys(), "the detector is as it was"


def test_a_grey_face_is_painted_from_blue_to_red() -> None:
    face = np.full((3, 8, 8), 100, np.uint8)
    faint, strong = (overlay(face, np.full((3, 3), value, np.float32), 1.0) for value in (0, 1))
    assert faint[..., 2].min() > faint[..., 0].max(), "no evidence is dark blue"
    assert strong[..., 0].min() > strong[..., 2].max(), "most evidence is dark red"
    assert scale()[0] != scale()[-1] and all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in scale())


def test_a_map_of_two_by_two_places_is_not_shown() -> None:
    assert not readable(np.ones((4, 2, 2), np.float32))
    assert readable(np.ones((4, 3, 3), np.float32))


def test_the_gallery_takes_the_most_confident_of_each_kind() -> None:
    score = np.array([0.1, 0.2, 0.9, 0.7, 0.95, 0.8, 0.3, 0.05])
    label = np.array([False, False, False, False, True, True, True, True])
    names = list("abcdefgh")
    blocks = choose(Scores(names, names, label, score, np.empty((8, 0))), threshold=0.5, each=1)
    assert [(block.title, block.videos) for block in blocks] == [
        ("REAL called REAL (right)", ["a"]),
        ("REAL called FAKE (wrong)", ["c"]),
        ("FAKE called FAKE (right)", ["e"]),
        ("FAKE called REAL (wrong)", ["h"]),
    ]


def subject(video: str = "v", frames: int = 2, places: int = 2, label: str = "FAKE") -> PredictedClip:
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (frames, 3, 32, 32), dtype=np.uint8)
    maps = rng.normal(size=(frames, places, places)).astype(np.float32)
    return PredictedClip(video, label, faces, 0.9, np.full(frames, 0.9, np.float32), maps)


@pytest.mark.parametrize("frames", [1, 2, 10])
@pytest.mark.parametrize(
    "video", ["aagfhgtpmv", "manipulated_sequences_Deepfakes_c23_videos_033_097_and_more"]
)
def test_the_title_of_a_strip_lies_inside_the_picture(frames: int, video: str) -> None:
    with matplotlib.rc_context(RC):
        figure = draw_strip(subject(video, frames), 0.6, level="frame")
        FigureCanvasAgg(figure).draw()
        (title,) = (text for text in figure.texts if "called FAKE" in text.get_text().replace("\n", " "))
        extent = title.get_window_extent()
    assert extent.x0 >= 0 and extent.x1 <= figure.bbox.width and extent.y1 <= figure.bbox.height
    assert "(threshold 0.6)" in title.get_text().replace("\n", " ")


def test_maps_of_four_places_are_not_said_to_lie_on_the_face() -> None:
    coarse, fine = MeanMap(0.6), MeanMap(0.6)
    coarse.add(subject(places=2))
    fine.add(subject(places=7))
    assert "cannot be told" in coarse.sentence() and "lies on the detected face" not in coarse.sentence()
    assert "lies on the detected face" in fine.sentence() and "cannot be told" not in fine.sentence()


def explain(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["explain", *words])
    main()


def test_a_run_gets_a_gallery_a_mean_map_and_their_captions(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explain(monkeypatch, f"run={trained.run}", f"out={tmp_path}")
    for name in ("gallery", "mean_map"):
        picture = cv2.imread(str(tmp_path / f"{name}.png"))
        assert picture is not None and picture.std() > 10
    captions = json.loads((tmp_path / "captions.json").read_text())
    assert captions.keys() == {"gallery", "mean_map"}
    numbers = json.loads((tmp_path / "mean_map.json").read_text())
    with (trained.run / "predictions.csv").open() as file:
        test = [row for row in csv.DictReader(file) if row["split"] == "test"]
    right = [row for row in test if (float(row["score"]) > 0.6) == (row["label"] == "FAKE")]
    assert sum(numbers["videos"].values()) == len(right)


def test_a_named_clip_gets_a_strip(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = sorted(path.stem for path in (trained.cache / "clips").glob("*.npz"))[0]
    explain(monkeypatch, f"run={trained.run}", f"videos={name}", f"out={tmp_path}")
    assert cv2.imread(str(tmp_path / "clips" / f"{name}.png")) is not None


def test_what_cannot_be_explained_is_said(
    trained: Trained, tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="videos=nobody: .* has no such clip"):
        explain(monkeypatch, f"run={trained.run}", "videos=nobody")
    with pytest.raises(UserError, match="holds clips of profile drawn, the run was trained on"):
        explain(monkeypatch, f"run={trained.run}", f"cache={tiny_cache}")
    with pytest.raises(UserError, match="holds no finished run"):
        explain(monkeypatch, f"run={tmp_path}")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run"], "'run' is not of the form key=value"),
        (["run=a", "rum=b"], "rum must be one of the keys of this command"),
        (["run=a", "run=b"], "run is given twice"),
        ([], "run= is missing"),
    ],
)
def test_a_misspelt_argument_is_named(words: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        arguments(words, {"run": None, "out": "here"})
