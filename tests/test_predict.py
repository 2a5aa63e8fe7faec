"""A verdict is the run's own score, says what it rests on, and is a sentence where there can be none."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from forgeries import ROOT, Trained
from hydra.core.override_parser.overrides_parser import OverridesParser
from markupsafe import escape
from omegaconf import OmegaConf

from dfdc_lightning.arguments import as_it_is
from dfdc_lightning.errors import UserError
from dfdc_lightning.explain.prediction import Prediction
from dfdc_lightning.faces.cache import FaceClip
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.face_detector import Haar
from dfdc_lightning.faces.yunet import YuNet
from dfdc_lightning.predict.calibration import LEAST, calibrate, fit_temperature, sharpened
from dfdc_lightning.predict.card import Card
from dfdc_lightning.predict.many import Attempt, KnownOutcomes, predict_all
from dfdc_lightning.predict.predictors import TorchPredictor
from dfdc_lightning.predict.session import Options, predict
from dfdc_lightning.predict.text import as_text, meaning
from dfdc_lightning.predict.verdict import Prepare, Prepared, Rules, predict_video
from dfdc_lightning.predict.verdict_page import write_page
from dfdc_lightning.predict.verify import verify
from dfdc_lightning.predict.warnings import warnings
from dfdc_lightning.results.predictions import Scores
from dfdc_lightning.results.reference import Reference
from dfdc_lightning.runs import Run, command
from dfdc_lightning.video.frames import Frames


def test_rows(trained: Trained) -> list[dict[str, str]]:
    with (trained.run / "predictions.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["split"] == "test"]


test_rows.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def predictor(trained: Trained) -> TorchPredictor:
    return TorchPredictor(Run(trained.run))


@pytest.fixture(scope="module")
def prepare(predictor: TorchPredictor) -> Prepare:
    return Prepare(predictor.card.make_preparation())


@pytest.fixture(scope="module")
def several(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: two videos, one of them deeper down, one without a face and one that is none."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "deeper").mkdir()
    first, second = (trained.video(row["video"]) for row in test_rows(trained)[:2])
    shutil.copy(first, folder / "a.mp4")
    shutil.copy(second, folder / "deeper" / "b.mp4")
    (folder / "text.mov").write_text("no video")
    write_video(folder / "wall.mp4", [np.full((96, 128, 3), 90, np.uint8)] * 6)
    return folder


def write_video(path: Path, frames: list[np.ndarray]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 8, options={"crf": "12"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_predict_gives_the_score_of_predictions_csv(
    trained: Trained, predictor: TorchPredictor, prepare: Prepare
) -> None:
    for row in test_rows(trained):
        verdict = predict_video(prepare(trained.video(row["video"])), predictor)
        person = next(person for person in verdict.persons if person.number == 1)
        assert person.score == pytest.approx(float(row["score"]), abs=1e-4)
        of_frames = [float(value) for name, value in row.items() if name.startswith("score_frame_")]
        assert person.frame_scores == pytest.approx(of_frames, abs=1e-4)


def test_the_command_prints_one_json_object_and_nothing_else(trained: Trained) -> None:
    row = test_rows(trained)[0]
    words = [f"video={trained.video(row['video'])}", f"run={trained.run}", "format=json", "threshold=0.6"]
    done = subprocess.run([sys.executable, "predict.py", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["score"] == pytest.approx(float(row["score"]), abs=1e-4)
    assert verdict["verdict"] in ("INCONCLUSIVE", "FAKE" if verdict["score"] > 0.6 else "REAL")
    assert (verdict["threshold"], verdict["error"]) == (0.6, None)
    assert [len(person["frame_scores"]) for person in verdict["persons"]] == [4]


def test_a_recorded_verdict_is_found_again_and_a_changed_one_is_told(
    trained: Trained, several: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, video = tmp_path / "verdict.json", Path(shutil.copy(several / "a.mp4", tmp_path / "a.mp4"))
    predict([str(video)], trained.run, Options(format="json", out=file))
    outcome = json.loads(file.read_text())
    record = outcome["record"]
    assert record["video_sha256"] == hashlib.sha256(video.read_bytes()).hexdigest()
    assert record["model_sha256"] == hashlib.sha256(Run(trained.run).best.read_bytes()).hexdigest()
    assert f"video={video}" in record["command"] and "error=0.05" in record["command"]
    verify(file)
    assert f"the same comes out: {outcome['verdict']}" in capsys.readouterr().out
    file.write_text(json.dumps(outcome | {"score": 0.123}))
    with pytest.raises(UserError, match=r"verdict\.json does not hold what comes out"):
        verify(file)
    file.write_text(json.dumps(outcome))
    shutil.copy(several / "deeper" / "b.mp4", video)
    with pytest.raises(UserError, match=r"a\.mp4 is not the one that was judged"):
        verify(file)
    video.unlink()
    with pytest.raises(UserError, match=r"a\.mp4 does not exist: give video=FILE"):
        verify(file)
    for content in ("[", "{}", json.dumps({"status": "ok"})):
        file.write_text(content)
        with pytest.raises(UserError, match=r"verdict\.json holds no verdict"):
            verify(file)


def test_a_video_without_a_verdict_is_a_sentence_and_exit_code_2(trained: Trained, several: Path) -> None:
    words = [f"video={several / 'wall.mp4'}", f"run={trained.run}"]
    done = subprocess.run([sys.executable, "predict.py", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "wall.mp4 shows no face in any of 4 frames" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("video", "run", "options", "sentence"),
    [
        ("text.mov", "", Options(), "text.mov cannot be read as a video"),
        ("absent.mp4", "", Options(), "absent.mp4 does not exist"),
        ("a.mp4", "nowhere", Options(), "nowhere does not exist: give a run folder, or the model.onnx"),
        ("a.mp4", ".", Options(), "holds no finished run"),
        ("a.mp4", "a.mp4", Options(), "a.mp4 is neither: give a run folder, or the model.onnx"),
        ("a.mp4", "", Options(format="xml"), r"format must be one of text, json, csv \(got xml\)"),
        ("a.mp4", "", Options(Rules(threshold=7)), r"threshold must be a number from 0 to 1.*\(got 7\)"),
        ("a.mp4", "", Options(Rules(threshold=True)), r"threshold must be .*\(got True\)"),
        ("a.mp4", "", Options(Rules(0.5)), r"error must be a number above 0 and below 0.5 \(got 0.5\)"),
        ("a.mp4", "", Options(Rules(0)), r"error must be a number above 0 and below 0.5 \(got 0\)"),
        ("a.mp4", "", Options(workers=0), r"workers must be .* at least 1, or auto \(got 0\)"),
    ],
)
def test_what_cannot_be_judged_is_a_sentence(
    video: str, run: str, options: Options, sentence: str, trained: Trained, several: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        predict([str(several / video)], several / run if run else trained.run, options)


def test_a_run_without_checkpoint_is_a_sentence(trained: Trained, several: Path, tmp_path: Path) -> None:
    shutil.copytree(trained.run, tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(UserError, match=r"best\.ckpt does not exist"):
        predict([str(several / "a.mp4")], tmp_path / "run", Options())


def test_a_key_without_meaning_is_refused_before_the_weights_are_loaded(
    trained: Trained, several: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[TorchPredictor] = []
    monkeypatch.setattr(TorchPredictor, "_read", loaded.append)
    with pytest.raises(UserError, match="face_detector.model= means nothing to Haar: leave it out"):
        predict([str(several / "a.mp4")], trained.run, Options(), face_model="yunet.onnx")
    assert not loaded


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"margin": 0.1}, "the record was changed, so a score would mean nothing"),
        ({"revision": 0}, "the face preparation recorded there differs from this one in revision"),
    ],
)
def test_another_preparation_is_refused(
    change: dict[str, Any], sentence: str, trained: Trained, several: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained.run, tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    result["data"]["preparation"] |= change
    (tmp_path / "run" / "result.json").write_text(json.dumps(result))
    with pytest.raises(UserError, match=sentence):
        predict([str(several / "a.mp4")], tmp_path / "run", Options())


def test_every_person_is_judged_and_the_highest_score_decides(
    trained: Trained, predictor: TorchPredictor, prepare: Prepare, tmp_path: Path
) -> None:
    left, right = (
        frames_of(trained.video(row["video"])) for row in (test_rows(trained)[0], test_rows(trained)[-1])
    )
    write_video(tmp_path / "two.mp4", [np.hstack(pair) for pair in zip(left, right, strict=True)])
    verdict = predict_video(prepare(tmp_path / "two.mp4"), predictor)
    seen = [person for person in verdict.persons if person.found >= 2]
    assert len(seen) == 2
    assert [person.decides for person in verdict.persons] == [True] + [False] * (len(verdict.persons) - 1)
    assert verdict.person.score == max(person.score for person in seen)
    assert all(f"person {person.number} (" in as_text(verdict) for person in verdict.persons)


ANYTHING = Reference(
    mean=np.zeros((2, 1)),
    scale=np.ones(1),
    components=np.zeros((0, 1)),
    variance=np.zeros(0),
    residual=np.array(1.0),
    distance=np.array([0.0, 1.0]),
    conditions=np.array([[5.0] * 3, [2.0] * 3]),
    validation=np.array([5.0]),
)


class Fixed:
    """A predictor whose scores are given and to whom every face looks usual: no network is needed."""

    identity, file, reference, remedy = "fixed", Path("model.onnx"), ANYTHING, "train again"

    def __init__(self, card: Card, scores: list[float]) -> None:
        self.card, self.logits = card, np.log(np.array(scores) / (1 - np.array(scores))).astype(np.float32)

    def load(self) -> None:
        """Nothing has to be read."""

    def predict(self, faces: np.ndarray, maps: bool) -> Prediction:
        logits = np.repeat(self.logits[: len(faces), None], faces.shape[1], axis=1)
        shown = np.ones((*faces.shape[:2], 3, 3), np.float32) if maps else None
        return Prediction(logits, logits, np.zeros((*faces.shape[:2], 1), np.float32), shown)


def clip(found: int = 4, side: float = 150.0) -> FaceClip:
    faces = np.random.default_rng(0).integers(0, 256, (4, 3, 48, 48), dtype=np.uint8)
    boxes = np.tile(np.array([0, 0, side, side], np.float32), (4, 1))
    return FaceClip(faces, boxes, np.arange(4, dtype=np.int64), np.arange(4) < found)


def prepared(*clips: FaceClip, name: str = "v.mp4") -> Prepared:
    return Prepared(name, 320, 240, 8.0, 8, 1.0, list(clips))


def test_a_box_seen_once_is_listed_but_does_not_decide(predictor: TorchPredictor) -> None:
    fixed = Fixed(predictor.card, [0.3, 0.9])
    verdict = predict_video(prepared(clip(4), clip(1)), fixed, Rules(threshold=0.5))
    assert [(person.number, person.decides) for person in verdict.persons] == [(1, True), (2, False)]
    assert verdict.called == "REAL"
    alone = predict_video(prepared(clip(1)), Fixed(predictor.card, [0.9]), Rules(threshold=0.5))
    assert alone.called == "FAKE", "where nobody is seen longer, the one seen decides"
    assert "found in 1 of 4 frames only" in alone.person.warnings[0]


def test_a_number_is_a_probability_only_where_it_was_calibrated(predictor: TorchPredictor) -> None:
    scored = predict_video(prepared(clip()), Fixed(predictor.card, [0.9]))
    assert scored.person.probability is None
    assert "score 0.900, not a calibrated probability: 2 validation videos" in as_text(scored)
    assert "does not mean that nine in ten" in meaning(scored)
    card = predictor.card._replace(
        temperature=2.0, calibration="temperature 2, fitted on 300 validation videos"
    )
    calibrated = predict_video(prepared(clip()), Fixed(card, [0.9]))
    assert calibrated.person.probability == pytest.approx(0.75)  # logit of 0.9 is ln 9; half of it is ln 3
    assert "probability of FAKE 0.750 (score 0.900" in as_text(calibrated)
    assert "about 75 in 100" in meaning(calibrated)


def test_the_fitted_temperature_is_the_one_the_scores_were_heated_with() -> None:
    rng = np.random.default_rng(0)
    honest = rng.uniform(0.02, 0.98, 4000)
    label = rng.uniform(size=4000) < honest
    temperature, reason = fit_temperature(sharpened(honest, 2.5), label)  # two and a half times too sure
    assert temperature == pytest.approx(2.5, rel=0.08)
    assert "fitted on 4000 validation videos" in reason
    assert temperature is not None
    np.testing.assert_allclose(sharpened(sharpened(honest, 2.5), 1 / 2.5), honest, atol=1e-6)


@pytest.mark.parametrize(("move", "side"), [(2.0, "high"), (-2.0, "low")])
def test_scores_that_part_elsewhere_than_at_one_half_are_no_probabilities(move: float, side: str) -> None:
    rng = np.random.default_rng(0)
    honest = rng.uniform(0.02, 0.98, 400)
    label = rng.uniform(size=400) < honest
    assert fit_temperature(honest, label)[0] == pytest.approx(1, abs=0.3)
    temperature, reason = fit_temperature(sharpened(honest, 1.0, move), label)
    assert temperature is None
    assert f"on the 400 validation videos the scores are too {side} as a whole" in reason


@pytest.mark.parametrize(
    ("score", "label", "reason"),
    [
        (np.linspace(0, 1, 2 * LEAST - 2), np.arange(2 * LEAST - 2) >= LEAST - 1, "too few to calibrate on"),
        (np.repeat([0.4, 0.6], 30), np.repeat([False, True], 30), "told apart without an error"),
        (np.repeat([0.6, 0.4], 30), np.repeat([False, True], 30), "say nothing"),
    ],
)
def test_no_temperature_is_made_up(score: np.ndarray, label: np.ndarray, reason: str) -> None:
    temperature, said = fit_temperature(score, label)
    assert temperature is None
    assert reason in said


def test_the_threshold_comes_from_validation_or_says_why_not() -> None:
    names = list("abcd")
    val = Scores(
        names, names, np.array([False, False, True, True]), np.array([0.1, 0.3, 0.7, 0.8]), np.empty((4, 0))
    )
    chosen = calibrate(val, "", 0.6)
    assert chosen.threshold == pytest.approx(0.5)
    assert "chosen on 4 validation videos" in chosen.threshold_source
    missing = calibrate(None, "predictions.csv has only REAL videos in val", 0.6)
    assert missing.threshold == 0.6
    assert "only REAL videos in val" in missing.threshold_source


def test_small_faces_and_guessed_crops_come_with_a_warning() -> None:
    assert warnings(clip()) == []
    assert warnings(clip(1))[0].startswith("the face was found in 1 of 4 frames only")
    assert warnings(clip(side=20)) == ["the face is small: 20 pixels, enlarged to the 48 that the model sees"]


def test_the_page_is_self_contained_and_escapes_names(predictor: TorchPredictor, tmp_path: Path) -> None:
    judged = predict_video(
        prepared(clip(), clip(3), name="<b>v&.mp4"), Fixed(predictor.card, [0.3, 0.9]), maps=True
    )
    write_page(judged, tmp_path / "verdict.html")
    page = (tmp_path / "verdict.html").read_text()
    assert "&lt;b&gt;v&amp;.mp4" in page and "<b>v" not in page
    assert "http" not in page and "<script" not in page and "<link" not in page
    assert page.count("data:image/jpeg") == 2 * 4 * 2, "two persons, four frames, face and evidence"
    assert str(escape(meaning(judged))) in page
    assert page.count("<circle") == 8 and page.count('fill="var(--ground)"') == 1, (
        "frames without a face are hollow"
    )


def test_persons_of_like_scores_have_names_apart_inside_the_drawing(
    predictor: TorchPredictor, tmp_path: Path
) -> None:
    scores = [0.999, 0.998, 0.001, 0.002]
    judged = predict_video(
        prepared(*[clip()] * 4), Fixed(predictor.card, scores), Rules(threshold=0.99), maps=True
    )
    write_page(judged, tmp_path / "verdict.html")
    page = (tmp_path / "verdict.html").read_text()
    names = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>person \d', page)
    places = sorted((float(x), float(y)) for x, y in names)
    assert len(places) == 4
    assert all(after[0] - before[0] >= 100 for before, after in pairwise(places))
    assert all(20 <= y <= 200 for _, y in places)
    assert "each of the 4 persons it found" in meaning(judged)


def test_what_a_frame_adds_is_not_called_its_score(predictor: TorchPredictor) -> None:
    whole = Fixed(predictor.card._replace(level="clip"), [0.9])
    assert "each frame adds 0.90" in as_text(predict_video(prepared(clip()), whole))
    assert "by frame 0.90" in as_text(predict_video(prepared(clip()), Fixed(predictor.card, [0.9])))


def test_a_folder_gives_a_row_for_every_video(trained: Trained, several: Path, tmp_path: Path) -> None:
    out = tmp_path / "verdicts.csv"
    predict([str(several)], trained.run, Options(format="csv", out=out, html=tmp_path / "pages", workers=1))
    with out.open() as file:
        rows = {Path(row["video"]).name: row for row in csv.DictReader(file)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "a.mp4": "ok", "b.mp4": "ok", "text.mov": "unreadable", "wall.mp4": "no_face",
    }  # fmt: skip
    assert rows["wall.mp4"]["score"] == "" and "shows no face" in rows["wall.mp4"]["detail"]
    assert float(rows["a.mp4"]["score"]) == pytest.approx(float(test_rows(trained)[0]["score"]), abs=1e-4)
    assert len(list((tmp_path / "pages").glob("*.html"))) == 2


def test_a_killed_folder_run_goes_on_where_it_was(
    trained: Trained, several: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "verdicts.json"
    options = Options(format="json", out=out, workers=1)
    predict([str(several)], trained.run, options)
    whole = json.loads(out.read_text())
    journal = tmp_path / ".verdicts.json.journal"
    settings, *lines = journal.read_text().splitlines()
    known = next(line for line in lines if '"status": "ok"' in line)
    marked = known.replace('"model": "', '"model": "kept, ')
    journal.write_text(f"{settings}\n{marked}\n{lines[-1][:25]}")  # killed while it wrote the second line
    out.unlink()
    predict([str(several)], trained.run, options)
    again = json.loads(out.read_text())
    assert sum(outcome.get("model", "").startswith("kept, ") for outcome in again) == 1, (
        "what was known is not redone"
    )
    for outcome in again:
        outcome |= {"model": outcome["model"].removeprefix("kept, ")} if "model" in outcome else {}
    assert again == whole
    with pytest.raises(UserError, match="holds verdicts of another model or of other settings"):
        predict([str(several)], trained.run, options._replace(rules=Rules(threshold=0.6)))


@pytest.mark.parametrize(
    ("places", "folder", "sentence"),
    [
        ({"out": "pages"}, False, "out=.*pages is a folder: name a file"),
        ({"html": "pages"}, False, "html=.*pages is a folder: name a file"),
        ({"html": "file"}, True, "html=.*file is a file: name a folder"),
        ({"out": "file/deeper.csv"}, False, "out=.*deeper.csv cannot be written"),
        ({"out": "file/deeper.csv"}, True, "out=.*deeper.csv.* cannot be written"),
        ({"html": "file/deeper.html"}, False, "html=.*deeper.html cannot be written"),
        ({"html": "file/pages"}, True, "html=.*pages.* cannot be written"),
    ],
)
def test_a_place_that_cannot_be_written_is_a_sentence(
    places: dict[str, str], folder: bool, sentence: str, trained: Trained, several: Path, tmp_path: Path
) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "file").write_text("in the way")
    given = {name: tmp_path / place for name, place in places.items()}
    with pytest.raises(UserError, match=sentence):
        predict([str(several if folder else several / "a.mp4")], trained.run, Options(**given, workers=1))


def test_a_damaged_journal_is_a_sentence(trained: Trained, several: Path, tmp_path: Path) -> None:
    (tmp_path / ".v.csv.journal").write_text("\0\0\0\n")
    with pytest.raises(UserError, match=r"\.v\.csv\.journal is damaged: delete it"):
        predict([str(several)], trained.run, Options(format="csv", out=tmp_path / "v.csv", workers=1))


def test_a_file_that_changes_or_goes_away_meanwhile_keeps_its_row(tmp_path: Path) -> None:
    (tmp_path / "grows.mp4").write_text("no video")
    (tmp_path / "goes.mp4").write_text("no video")
    videos = [tmp_path / "grows.mp4", tmp_path / "goes.mp4"]

    def meanwhile() -> None:
        videos[0].write_text("no video, but longer")
        videos[1].unlink(missing_ok=True)

    prepare = Prepare(FacePreparation(Haar(), frames=4, size=48))
    with KnownOutcomes(tmp_path / "journal", {}) as journal:
        outcomes = predict_all(videos, prepare, lambda _: {}, journal, 1, meanwhile)
    assert [outcome["status"] for outcome in outcomes] == ["unreadable", "unreadable"]


def test_whatever_one_video_does_the_others_of_a_folder_are_judged(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")

    class Broken(FacePreparation):
        def read(self, path: Path, damaged: bool = False) -> Frames:
            raise ZeroDivisionError("of this video's own")

    outcome = Attempt(Prepare(Broken(Haar())))(tmp_path / "a.mp4")
    assert isinstance(outcome, dict)
    assert outcome["status"] == "failed"
    assert outcome["detail"].endswith("a.mp4: ZeroDivisionError: of this video's own")
    (tmp_path / "text.onnx").write_text("no model")
    without_model = Attempt(Prepare(FacePreparation(YuNet(tmp_path / "text.onnx"), frames=1)))
    write_video(tmp_path / "wall.mp4", [np.full((96, 128, 3), 90, np.uint8)])
    with pytest.raises(UserError, match=r"text\.onnx is not a YuNet model"):
        without_model(tmp_path / "wall.mp4")


def test_a_name_that_is_no_utf8_is_spelt_out(
    trained: Trained, several: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / os.fsdecode(b"odd\xff.mp4")
    shutil.copy(several / "a.mp4", odd)
    predict([str(odd)], trained.run, Options(html=tmp_path / "page.html"))
    assert r"odd\udcff.mp4: " in capsys.readouterr().out
    assert r"odd\udcff.mp4" in (tmp_path / "page.html").read_text()


ODD_NAMES = (
    "clip (1).mp4", "vidéo 视频.mp4", "a,b.mp4", "x=y.mp4", "[draft].mp4", "it's.mp4", '"q".mp4', "a{b}.mp4",
    "${oc.env:HOME}.mp4", "plus+#&!.mp4", "back\\'slash.mp4", "end\\", "null", "1e3", "~home.mp4",
)  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_hydra_takes_every_files_name_as_it_is(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.touch()
    word = as_it_is(f"video={path}", ("video",))
    parsed = OverridesParser.create().parse_override(word).value()
    assert str(OmegaConf.create({"video": parsed}).video) == str(path)
    assert as_it_is("threshold=0,6", ("video",)) == "threshold=0,6"
    assert as_it_is("video=[a.mp4,b.mp4]", ("video",)) == "video=[a.mp4,b.mp4]"
    assert as_it_is("video='quoted by hand.mp4'", ("video",)) == "video='quoted by hand.mp4'"


@pytest.mark.parametrize("words", [[], ["video=null", "run=there"], ["video=there", "run="]])
def test_a_missing_word_is_named(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "predict.py", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "= is missing: give video=FILE" in done.stderr


def test_ctrl_c_promises_only_what_the_command_keeps(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match="130"):
        command(stopped, "starts anew")
    assert capsys.readouterr().err == "stopped: the same command starts anew\n"
