"""A corruption harms more at each level, is the same every time, and a codec's is a real encoder's."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from dfdc_lightning.errors import UserError
from dfdc_lightning.evaluate.corruptions import CORRUPTIONS, Condition, OfFiles, conditions
from dfdc_lightning.evaluate.transcode import transcode
from dfdc_lightning.results.elsewhere import LEVELS
from dfdc_lightning.video.frames import FrameError, read_frames

N = 4  # frames looked at
PICTURES = [name for name, kind in CORRUPTIONS.items() if not isinstance(kind, OfFiles)]
ENCODED = [name for name, kind in CORRUPTIONS.items() if isinstance(kind, OfFiles)]


def scene(t: int, height: int = 360, width: int = 480) -> np.ndarray:
    """A textured picture with a disc that moves from frame to frame."""
    rng = np.random.default_rng(3)
    ground = cv2.GaussianBlur(rng.integers(40, 215, (height, width, 3)).astype(np.uint8), (0, 0), 1.2)
    return cv2.circle(ground, (90 + 12 * t, height // 2), 54, (210, 160, 130), -1)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corrupt") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 10, options={"crf": "12", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 480, 360, "yuv420p"
        for t in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(t), format="rgb24")))
        container.mux(stream.encode())
    return path


def corrupted(condition: Condition, video: Path) -> list[np.ndarray]:
    with condition.file(video) as path:
        return condition.apply(read_frames(path, N).images, "clip")


def harm(images: list[np.ndarray], originals: list[np.ndarray]) -> float:
    height, width = originals[0].shape[:2]
    whole = [cv2.resize(image, (width, height)) for image in images]
    return float(np.mean([np.abs(a.astype(float) - b).mean() for a, b in zip(whole, originals, strict=True)]))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_level_harms_more_than_the_one_before(name: str, video: Path) -> None:
    originals = read_frames(video, N).images
    harms = [harm(corrupted(Condition(name, level), video), originals) for level in LEVELS]
    assert harms[0] > 0
    assert harms == sorted(harms)
    assert harms[-1] > 1.4 * harms[0]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_gives_the_same_pixels_every_time(name: str, video: Path) -> None:
    first, second = (corrupted(Condition(name, 3), video) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_noise_differs_from_video_to_video_and_from_frame_to_frame() -> None:
    grey = [np.full((20, 20, 3), 128, np.uint8)] * 2
    one, other = (Condition("noise", 2).apply(grey, name) for name in ("one", "other"))
    assert not np.array_equal(one[0], other[0])
    assert not np.array_equal(one[0], one[1])
    assert np.std(one[0].astype(float)) == pytest.approx(8, rel=0.1)


def test_light_doubles_linear_intensity_at_each_stop() -> None:
    half = [np.full((4, 4, 3), 188, np.uint8)]  # sRGB 188 is half of full intensity
    seen = {int(Condition("light", 2).apply(half, f"video{k}")[0][0, 0, 0]) for k in range(20)}
    assert seen == {137, 255}  # a quarter of full intensity, and all of it


@pytest.mark.parametrize("name", PICTURES)
def test_frames_given_to_a_corruption_stay_as_they_were(name: str) -> None:
    images = [scene(0), scene(1)]
    Condition(name, 5).apply(images, "clip")
    assert all(np.array_equal(image, scene(t)) for t, image in enumerate(images))


@pytest.mark.parametrize("name", ENCODED)
def test_an_encoded_video_keeps_its_frames_and_leaves_no_file_behind(name: str, video: Path) -> None:
    with Condition(name, 1).file(video) as path:
        assert read_frames(path, N).n_frames == read_frames(video, N).n_frames
        folder = path.parent
    assert not folder.exists()


def test_social_scales_the_shorter_side_down_and_never_up(tmp_path: Path, video: Path) -> None:
    transcode(video, tmp_path / "small.mp4", 24, 120)
    transcode(video, tmp_path / "same.mp4", 24, 720)
    small, same = (read_frames(tmp_path / f"{name}.mp4", N) for name in ("small", "same"))
    assert (small.width, small.height) == (160, 120)
    assert (same.width, same.height) == (480, 360)


def test_the_same_video_is_encoded_to_the_same_bytes(tmp_path: Path, video: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        transcode(video, tmp_path / name, 30)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_video_that_ends_early_is_named_and_leaves_no_output(tmp_path: Path, video: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(video.read_bytes()[:900])
    with pytest.raises(FrameError, match=r"broken\.mp4"):
        transcode(broken, tmp_path / "out.mp4", 30)
    assert not (tmp_path / "out.mp4").exists()


def test_words_name_all_one_corruption_or_one_level() -> None:
    assert len(conditions("all")) == len(CORRUPTIONS) * len(LEVELS)
    assert conditions("blur") == [Condition("blur", level) for level in LEVELS]
    assert conditions(["jpeg-3", "jpeg-3", "noise-1"]) == [Condition("jpeg", 3), Condition("noise", 1)]
    assert str(Condition("jpeg", 3)) == "jpeg-3"


@pytest.mark.parametrize(
    ("word", "said"),
    [("fog", "must be one of all, jpeg"), ("jpeg-6", "must be 1 to 5"), ("all-2", "one of")],
)
def test_an_unknown_corruption_or_level_is_one_sentence(word: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        conditions(word)
