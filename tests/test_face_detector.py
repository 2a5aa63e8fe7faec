"""Faces are found in real and rendered videos; the model comes from where it may come from, or is named."""

import hashlib
import math
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from face_detectors import first_clip

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FaceClip
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.face_detector import FaceDetector, Haar
from dfdc_lightning.faces.profile import profile_of
from dfdc_lightning.faces.yunet import YUNET_SHA256, YuNet, fetched, model_folder, sha256_of
from dfdc_lightning.video.frames import FrameError, read_frames

MODEL = "models/face_detection_yunet_2023mar.onnx"


@pytest.fixture
def yunet(shared: Path) -> YuNet:
    return YuNet(shared / MODEL)


@pytest.fixture(scope="module")
def portraits(shared: Path) -> dict[str, np.ndarray]:
    """One frame each of real videos."""
    return {
        path.stem: read_frames(path, 1).images[0] for path in sorted(shared.glob("data/ffpp*/orig*/**/*.mp4"))
    }


def test_yunet_finds_a_face_in_every_real_video(yunet: YuNet, shared: Path) -> None:
    for path in sorted(shared.glob("data/dfdc_sample/**/*.mp4")):
        for image in read_frames(path, 3).images:
            boxes = yunet.find(image)
            assert len(boxes) == 1
            assert 0.03 < (boxes[0, 2] - boxes[0, 0]) / max(image.shape) < 0.2


def test_landmarks_lie_in_the_face_as_a_face_has_them(yunet: YuNet, portraits: dict[str, np.ndarray]) -> None:
    for image in portraits.values():
        boxes, landmarks = yunet.find_with_landmarks(image)
        assert (boxes == yunet.find(image)).all()
        for box, (left_eye, right_eye, nose, left_corner, right_corner) in zip(boxes, landmarks, strict=True):
            assert box[0] < left_eye[0] < nose[0] < right_eye[0] < box[2]
            assert left_corner[0] < right_corner[0]
            assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_corner[1], right_corner[1]) < box[3]


def test_a_clip_has_the_landmarks_in_its_own_pixels(yunet: YuNet, shared: Path) -> None:
    (path, *_) = sorted(shared.glob("data/ffpp*/orig*/**/*.mp4"))
    clip = first_clip(FacePreparation(yunet, frames=3, size=112), path)
    assert clip.landmarks is not None and clip.landmarks.shape == (3, 5, 2)
    for face, points in zip(clip.faces, clip.landmarks, strict=True):
        large = cv2.resize(face.transpose(1, 2, 0), (320, 320), interpolation=cv2.INTER_CUBIC)
        again = yunet.find_with_landmarks(large)[1][0] * 112 / 320
        assert np.abs(again - points).mean() < 4
    assert first_clip(FacePreparation(Haar(), frames=3, size=112), path).landmarks is None


def test_face_detectors_agree_where_a_face_is(yunet: YuNet, portraits: dict[str, np.ndarray]) -> None:
    for image in portraits.values():
        ours, haars = yunet.find(image)[0], Haar().find(image)
        centre = (ours[:2] + ours[2:4]) / 2
        inside = (haars[:, :2] < centre).all(axis=1) & (haars[:, 2:4] > centre).all(axis=1)
        assert inside.any()


def test_haar_finds_the_same_large_face_when_it_looks_for_no_small_ones(
    portraits: dict[str, np.ndarray],
) -> None:
    image = portraits["253"]
    face = Haar().find(image)[0]
    share = (face[2] - face[0]) / max(image.shape)
    assert (Haar(smallest=float(share) / 2).find(image)[0] == face).all()
    assert (Haar(smallest=float(share) * 1.5).find(image)[:, 2:4] - face[2:4] != 0).all()


@pytest.mark.parametrize("side", [640, 1280, 1920])
def test_boxes_are_in_the_pixels_of_the_image(
    yunet: YuNet, portraits: dict[str, np.ndarray], side: int
) -> None:
    import cv2

    image = portraits["183"]
    scale = side / max(image.shape)
    resized = cv2.resize(image, None, fx=scale, fy=scale)
    assert yunet.find(resized)[0, :4] == pytest.approx(yunet.find(image)[0, :4] * scale, abs=0.03 * side)


@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (3, 500), (500, 3), (32, 32), (33, 47)])
def test_pictures_of_any_shape_are_accepted(yunet: YuNet, shape: tuple[int, int]) -> None:
    for face_detector in (yunet, Haar()):
        assert face_detector.find(np.full((*shape, 3), 80, np.uint8)).shape == (0, 5)


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [
        (Haar, "long_side", 0),
        (Haar, "neighbours", 0),
        (Haar, "smallest", 1.5),
        (YuNet, "long_side", 63),
        (YuNet, "threshold", 2.0),
    ],
)
def test_an_impossible_setting_is_named(kind: type, setting: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"face_detector.{setting} must be .*\(got {value}\)"):
        kind(**{setting: value})


@pytest.mark.parametrize(
    ("setting", "value"), [("frames", 0), ("size", 15), ("margin", -0.1), ("smoothing", math.inf)]
)
def test_an_impossible_preparation_is_named(setting: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"{setting} must be .*\(got {value}\)"):
        FacePreparation(Haar(), **{setting: value})  # type: ignore[arg-type]


def test_a_face_detector_travels_to_other_processes(yunet: YuNet, portraits: dict[str, np.ndarray]) -> None:
    before = yunet.find(portraits["253"])
    travelled: FaceDetector = pickle.loads(pickle.dumps(yunet))
    assert (travelled.find(portraits["253"]) == before).all()


def test_the_profile_follows_what_changes_pixels_and_nothing_else(yunet: YuNet) -> None:
    def profile(face_detector: FaceDetector, **settings: float) -> str:
        return FacePreparation(face_detector, **settings).profile  # type: ignore[arg-type]

    assert profile(yunet) == profile(YuNet())  # the same model, wherever it lies
    others = [
        profile(Haar()),
        profile(Haar(long_side=320)),
        profile(Haar(smallest=0.1)),
        profile(YuNet(threshold=0.7)),
        profile(YuNet(long_side=640)),
        profile(YuNet(sha256="0" * 64)),
        profile(yunet, frames=8),
        profile(yunet, size=96),
        profile(yunet, margin=0.25),
        profile(yunet, smoothing=1.0),
    ]
    assert len({profile(yunet), *others}) == 11


@pytest.fixture
def served(shared: Path) -> Iterator[tuple[str, list[str]]]:
    """An address on this machine that serves the model, and the requests it had."""
    content, requests = (shared / MODEL).read_bytes(), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 - the library's name
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/yunet.onnx", requests
        server.shutdown()
        thread.join()


def test_caches_of_earlier_versions_keep_their_profile() -> None:
    """The class's recorded name is part of a file format: it stays when the code moves."""
    settings = FacePreparation(Haar(long_side=320), frames=2, size=64).settings
    assert settings["detector"] == {
        "class": "dfdc_lightning.faces.finder.Haar",
        "long_side": 320,
        "neighbours": 5,
    }
    assert profile_of(settings) == "66b16c7e32f3"
    assert FacePreparation.from_settings(settings).settings == settings


def test_the_model_is_fetched_once(
    served: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFDC_LIGHTNING_MODELS", str(tmp_path / "models"))
    address, requests = served
    paths = {fetched(address, YUNET_SHA256) for _ in range(3)}
    assert paths == {tmp_path / "models" / "yunet.onnx"}
    assert sha256_of(paths.pop()) == YUNET_SHA256
    assert len(requests) == 1


def test_what_is_not_the_model_is_refused_and_not_kept(
    served: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFDC_LIGHTNING_MODELS", str(tmp_path))
    with pytest.raises(UserError, match="is not the model with sha256"):
        fetched(served[0], hashlib.sha256(b"another").hexdigest())
    assert list(tmp_path.iterdir()) == []


def test_offline_both_ways_to_the_model_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFDC_LIGHTNING_MODELS", str(tmp_path))
    with pytest.raises(UserError) as error:
        fetched("http://127.0.0.1:9/yunet.onnx", YUNET_SHA256)
    assert "face_detector.model=PATH" in str(error.value)
    assert str(tmp_path / "yunet.onnx") in str(error.value)


def test_a_model_that_cannot_be_kept_names_the_folder(
    served: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DFDC_LIGHTNING_MODELS", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"file/yunet\.onnx cannot be written .*DFDC_LIGHTNING_MODELS"):
        fetched(served[0], YUNET_SHA256)


def test_the_users_cache_folder_is_the_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DFDC_LIGHTNING_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    monkeypatch.setattr("sys.platform", "linux")
    assert model_folder() == Path("/caches/dfdc_lightning")
    monkeypatch.setattr("sys.platform", "darwin")
    assert model_folder().parts[-3:] == ("Library", "Caches", "dfdc_lightning")


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"model\.onnx is not a YuNet model"):
        FacePreparation(YuNet(tmp_path / "model.onnx")).ready()


def recording(path: Path, images: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image))))
        container.mux(stream.encode())
    return path


def people(preparation: FacePreparation, path: Path) -> list[FaceClip]:
    frames = preparation.read(path)
    return [preparation.clip(frames, person) for person in preparation.persons(frames, path)]


def test_of_several_persons_each_has_a_clip(
    yunet: YuNet, portraits: dict[str, np.ndarray], tmp_path: Path
) -> None:
    both = np.concatenate([portraits["253"], portraits["183"]], axis=1)
    preparation = FacePreparation(yunet, size=64)
    path = recording(tmp_path / "both.mp4", [both] * 10)
    clips = people(preparation, path)
    assert len(clips) == 2
    assert all(clip.found.all() for clip in clips)
    middles = [(clip.boxes[:, 0] + clip.boxes[:, 2]).mean() / 2 for clip in clips]
    assert min(middles) < both.shape[1] / 2 < max(middles)
    sides = [(clip.boxes[:, 2] - clip.boxes[:, 0]).mean() for clip in clips]
    assert sides[0] >= sides[1]
    assert (first_clip(preparation, path).faces == clips[0].faces).all()


def test_after_two_cuts_the_same_person_is_followed(
    yunet: YuNet, portraits: dict[str, np.ndarray], tmp_path: Path
) -> None:
    one, other = portraits["253"], portraits["183"]
    path = recording(tmp_path / "cuts.mp4", [one] * 4 + [other] * 3 + [one] * 3)
    clip, second = people(FacePreparation(yunet, size=64), path)
    assert clip.found.tolist() == [True] * 4 + [False] * 3 + [True] * 3
    assert second.found.sum() == 3


def test_a_video_without_a_face_is_said_to_be_one(yunet: YuNet, tmp_path: Path) -> None:
    path = recording(tmp_path / "grey.mp4", [np.full((120, 160, 3), 90, np.uint8)] * 10)
    with pytest.raises(FrameError, match="shows no face") as error:
        first_clip(FacePreparation(yunet), path)
    assert error.value.status == "no_face"
