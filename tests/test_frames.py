"""Frames: evenly spaced, pixel for pixel what decoding everything gives; a sentence for every bad file."""

import pickle
import shutil
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from plain_user import by_a_plain_user

from dfdc_lightning.video.frames import FrameError, evenly_spaced, read_frames
from dfdc_lightning.video.packets import survey


def scene(number: int, width: int, height: int) -> np.ndarray:
    """A picture with motion and noise, different in every corner."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([x * 2 + number * 3, y * 3 + number * 5, x + y + number * 7], -1) % 256
    noise = np.random.default_rng(number).integers(0, 12, (height, width, 1))
    return (waves // 2 + noise + 40).astype(np.uint8)


def encode(
    path: Path,
    n: int = 50,
    size: tuple[int, int] = (160, 120),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    matrix: list[int] | None = None,
    picture: np.ndarray | None = None,
) -> Path:
    """Write a real video; `times` are milliseconds of each frame."""
    with av.open(str(path), "w", options=container or {}) as output:
        stream = output.add_stream(codec, rate=30, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        if matrix:
            stream.set_display_matrix(matrix)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(n):
            image = scene(number, *size) if picture is None else picture
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def decode_everything(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def assert_equals_decoding_everything(path: Path, n: int = 10) -> None:
    everything = decode_everything(path)
    frames = read_frames(path, n)
    assert frames.n_frames == len(everything)
    total = len(everything)
    assert frames.indices.tolist() == [int(i * (total - 1) / max(n - 1, 1) + 0.5) for i in range(n)]
    assert frames.indices[0] == 0
    assert n == 1 or frames.indices[-1] == total - 1
    for index, image in zip(frames.indices, frames.images, strict=True):
        np.testing.assert_array_equal(image, everything[index])
    assert (frames.height, frames.width) == everything[0].shape[:2]


IRREGULAR = np.cumsum(np.random.default_rng(1).integers(5, 90, 50)).tolist()
KINDS: dict[str, dict[str, Any]] = {
    "b_frames.mp4": {"options": {"g": "250", "bf": "3"}},
    "pyramid.mp4": {"options": {"preset": "veryslow", "g": "30"}},
    "short_gop.mp4": {"options": {"g": "8"}},
    "no_b_frames.mp4": {"options": {"bf": "0"}},
    "open_gop.mp4": {"options": {"g": "10", "x264-params": "open-gop=1"}},
    "open_gop.mkv": {"options": {"g": "10", "x264-params": "open-gop=1"}},
    "intra_refresh.mp4": {"options": {"g": "10", "x264-params": "intra-refresh=1"}},
    "variable_rate.mp4": {"times": IRREGULAR},
    "variable_rate.mkv": {"times": IRREGULAR},
    "ten_bits.mp4": {"pixels": "yuv420p10le"},
    "full_range.mp4": {"pixels": "yuvj420p"},
    "odd_444.mp4": {"pixels": "yuv444p", "size": (161, 121)},
    "interlaced.mp4": {"options": {"x264-params": "tff=1"}},
    "fragmented.mp4": {"options": {"g": "10"}, "container": {"movflags": "frag_keyframe+empty_moov"}},
    "no_times.avi": {"options": {"bf": "3"}},
    "stream.ts": {"options": {"g": "10"}},
    "part_2.avi": {"codec": "mpeg4", "options": {"bf": "2"}, "size": (161, 121)},
    "part_2.mp4": {"codec": "mpeg4", "options": {"bf": "2"}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}, "n": 30},
    "vp8.webm": {"codec": "libvpx", "options": {"lag-in-frames": "10", "auto-alt-ref": "1"}, "n": 30},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}, "n": 30},
    "motion_jpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "just_enough.mp4": {"n": 10},
}


@pytest.mark.parametrize("name", KINDS)
def test_frames_equal_decoding_everything(name: str, tmp_path: Path) -> None:
    assert_equals_decoding_everything(encode(tmp_path / name, **KINDS[name]))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 49, 50])
def test_any_number_of_frames_is_evenly_spaced(n: int, tmp_path: Path) -> None:
    assert_equals_decoding_everything(encode(tmp_path / "video.mp4", options={"g": "12", "bf": "3"}), n)


def test_real_deepfakes_equal_decoding_everything(shared: Path) -> None:
    videos = sorted(shared.glob("data/dfdc_sample/*/yhff*.mp4"))
    videos += sorted(shared.glob("data/ffpp_c40_sample/manipulated_sequences/F*/c40/videos/469_481.mp4"))
    assert len(videos) == 3
    for video in videos:
        assert survey(video).selective
        assert_equals_decoding_everything(video)


def test_halves_are_rounded_up_and_indices_differ() -> None:
    assert evenly_spaced(4, 3) == [0, 2, 3]
    assert evenly_spaced(300, 10) == [0, 33, 66, 100, 133, 166, 199, 233, 266, 299]
    assert all(len(set(evenly_spaced(total, 10))) == 10 for total in range(10, 400))


def slices(path: Path) -> list[tuple[int, int, bool]]:
    """Offset and size of each H.264 packet, and whether other frames may refer to it (nal_ref_idc)."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        return [(packet.pos, packet.size, bytes(packet)[4] >> 5 > 0) for packet in packets]


def overwrite(path: Path, offset: int, size: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset : offset + size] = np.random.default_rng(0).bytes(size)
    path.write_bytes(data)


def test_a_frame_that_no_wanted_one_needs_is_not_decoded(tmp_path: Path) -> None:
    path = encode(tmp_path / "video.mp4", options={"g": "250", "bf": "3", "x264-params": "sliced-threads=0"})
    before = read_frames(path, 2)
    unreferred = [(offset, size) for offset, size, referred in slices(path)[1:-4] if not referred]
    assert len(unreferred) > 10
    for offset, size in unreferred:
        overwrite(path, offset + 16, size - 16)  # its header says that it is unreferred, and stays
    after = read_frames(path, 2)
    assert all(np.array_equal(a, b) for a, b in zip(before.images, after.images, strict=True))
    with pytest.raises(FrameError):  # so the damage is real
        read_frames(path, 50)


def test_groups_of_pictures_without_a_wanted_frame_are_not_decoded(tmp_path: Path) -> None:
    path = encode(tmp_path / "video.mp4", options={"g": "10", "bf": "2", "sc_threshold": "0"})
    before = read_frames(path, 2)
    for offset, size, _ in slices(path)[1:40]:  # all but the first frame and the last group
        overwrite(path, offset + 8, size - 8)
    after = read_frames(path, 2)
    assert all(np.array_equal(a, b) for a, b in zip(before.images, after.images, strict=True))


def test_damage_that_the_decoder_notices_makes_a_video_unreadable(tmp_path: Path) -> None:
    path = encode(tmp_path / "video.mp4", size=(320, 240), options={"bf": "3"})
    offset, size, _ = slices(path)[1]
    overwrite(path, offset + 8, size - 8)
    with pytest.raises(FrameError, match="video.mp4") as raised:
        read_frames(path)
    assert raised.value.status == "unreadable"


QUARTER = 1 << 16
# Display matrix (a b u, c d v, x y w) and what it does to a picture: x, y becomes a·x + c·y, b·x + d·y.
TURNS = {
    "clockwise": ([0, QUARTER, 0, -QUARTER, 0, 0, 0, 0, 1 << 30], lambda image: np.rot90(image, -1)),
    "counterclockwise": ([0, -QUARTER, 0, QUARTER, 0, 0, 0, 0, 1 << 30], np.rot90),
    "upside_down": ([-QUARTER, 0, 0, 0, -QUARTER, 0, 0, 0, 1 << 30], lambda image: image[::-1, ::-1]),
    "mirrored": ([-QUARTER, 0, 0, 0, QUARTER, 0, 0, 0, 1 << 30], lambda image: image[:, ::-1]),
    "transposed": ([0, QUARTER, 0, QUARTER, 0, 0, 0, 0, 1 << 30], lambda image: image.transpose(1, 0, 2)),
}


@pytest.mark.parametrize("turn", TURNS)
def test_rotation_metadata_gives_upright_frames(turn: str, tmp_path: Path) -> None:
    matrix, expected = TURNS[turn]
    path = encode(tmp_path / "video.mp4", matrix=matrix)
    everything, frames = decode_everything(path), read_frames(path)
    for index, image in zip(frames.indices, frames.images, strict=True):
        np.testing.assert_array_equal(image, expected(everything[index]))
    assert (frames.height, frames.width) == frames.images[0].shape[:2]
    if turn not in ("mirrored", "transposed"):  # OpenCV turns, but does not mirror
        other = cv2.VideoCapture(str(path)).read()[1][..., ::-1]
        assert np.abs(frames.images[0].astype(int) - other).max() <= 2


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv420p10le"])
def test_black_and_white_stay_so_in_limited_and_full_range(pixels: str, tmp_path: Path) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 255
    path = encode(tmp_path / "video.mp4", 10, (64, 64), pixels=pixels, picture=picture, options={"crf": "1"})
    image = read_frames(path).images[5]
    assert image[:, :24].max() <= 4
    assert image[:, 40:].min() >= 251


def test_a_wrong_frame_count_in_the_header_changes_nothing(tmp_path: Path) -> None:
    path = encode(tmp_path / "video.avi", codec="mpeg4")
    data = bytearray(path.read_bytes())
    for name, offset in ((b"avih", 24), (b"strh", 40)):  # total frames, length of the stream
        place = data.index(name) + offset
        assert int.from_bytes(data[place : place + 4], "little") == 50
        data[place : place + 4] = (3).to_bytes(4, "little")
    path.write_bytes(data)
    assert_equals_decoding_everything(path)


def test_fps_and_seconds_are_measured(tmp_path: Path) -> None:
    frames = read_frames(encode(tmp_path / "video.mp4", n=45))
    assert frames.fps == pytest.approx(30)
    assert frames.seconds == pytest.approx(1.5)
    frames = read_frames(encode(tmp_path / "slow.mp4", times=[100 * i for i in range(50)]))
    assert frames.fps == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize("n", [1, 9])
def test_fewer_frames_than_wanted_are_too_short(n: int, tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=rf"has {n} frames?, 10 are needed") as raised:
        read_frames(encode(tmp_path / "video.mp4", n=n))
    assert raised.value.status == "too_short"


@pytest.mark.parametrize("container", [{"movflags": "faststart"}, {}], ids=["index_first", "index_last"])
def test_a_truncated_file_is_unreadable_wherever_it_ends(container: dict[str, str], tmp_path: Path) -> None:
    path = encode(tmp_path / "video.mp4", container=container)
    data = path.read_bytes()
    for share in (0.02, 0.2, 0.5, 0.9):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(FrameError) as raised:
            read_frames(path)
        assert raised.value.status == "unreadable"
    if container:  # otherwise the last byte is a remark in the index, and all frames are there
        path.write_bytes(data[:-1])
        with pytest.raises(FrameError, match="cut off"):
            read_frames(path)


def sound_only(path: Path) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


BAD = {
    "zero_bytes.mp4": lambda path: path.write_bytes(b""),
    "random_bytes.mp4": lambda path: path.write_bytes(np.random.default_rng(0).bytes(100_000)),
    "text.mp4": lambda path: path.write_text("hello\n" * 100, encoding="utf-8"),
    "folder.mp4": lambda path: path.mkdir(),
    "absent.mp4": lambda path: None,
    "header_only.mp4": lambda path: path.write_bytes(encode(path).read_bytes()[:32]),
    "sound_only.mp4": sound_only,
    "unknown_codec.mp4": lambda path: path.write_bytes(encode(path).read_bytes().replace(b"avc1", b"zzzz")),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_unreadable_with_a_sentence(name: str, tmp_path: Path) -> None:
    BAD[name](tmp_path / name)
    with pytest.raises(FrameError, match=name) as raised:
        read_frames(tmp_path / name)
    assert raised.value.status == "unreadable"
    assert "\n" not in str(raised.value)
    copy = pickle.loads(pickle.dumps(raised.value))  # workers send it
    assert (copy.status, str(copy)) == (raised.value.status, str(raised.value))


def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    path = encode(tmp_path / "video.mp4")
    path.chmod(0)
    done = by_a_plain_user(
        "import sys; from pathlib import Path\n"
        "from dfdc_lightning.video.frames import FrameError, read_frames\n"
        "try: read_frames(Path(sys.argv[1]))\n"
        "except FrameError as error: print(error.status, error)",
        path,
    )
    assert done.stdout.startswith(f"unreadable {path}") and "Permission denied" in done.stdout, done.stderr


def test_a_title_that_is_no_utf8_does_no_harm(tmp_path: Path) -> None:
    plain, titled = encode(tmp_path / "plain.mp4"), tmp_path / "titled.mp4"
    with av.open(str(plain)) as source, av.open(str(titled), "w") as target:
        target.metadata["title"] = "a title"
        track = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = track
                target.mux(packet)
    titled.write_bytes(titled.read_bytes().replace(b"a title", "é title".encode("latin-1")))
    for image, same in zip(read_frames(titled).images, read_frames(plain).images, strict=True):
        assert (image == same).all()


def test_any_name_is_read(tmp_path: Path) -> None:
    path = encode(tmp_path / "video.mp4")
    for name in (
        "two words.mp4",
        'it\'s "quoted".mp4',
        "vidéo-видео-視頻.mp4",
        "50%d [a] #1?.mp4",
        "file:x.mp4",
    ):
        copy = Path(shutil.copy(path, tmp_path / name))
        assert read_frames(copy).n_frames == 50, name


@pytest.mark.parametrize("size", [(16, 16), (3840, 2160)])
def test_tiny_and_huge_pictures_are_read(size: tuple[int, int], tmp_path: Path) -> None:
    options, picture = {"preset": "ultrafast"}, scene(0, *size)
    path = encode(tmp_path / "video.mp4", n=10, size=size, options=options, picture=picture)
    assert read_frames(path, 2).images[1].shape == (size[1], size[0], 3)


def test_memory_stays_flat_over_many_videos(tmp_path: Path) -> None:
    options, picture = {"preset": "ultrafast"}, scene(0, 1280, 720)
    path = encode(tmp_path / "video.mp4", n=12, size=(1280, 720), options=options, picture=picture)
    script = (
        "import resource, sys, pathlib\n"
        "from dfdc_lightning.video.frames import read_frames\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "for _ in range(3): read_frames(pathlib.Path(sys.argv[1]))\n"
        "before = peak()\n"
        "for _ in range(15): read_frames(pathlib.Path(sys.argv[1]))\n"
        "print(peak() - before)\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    grown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert int(grown.stdout) < 15  # megabytes; a decoder that stays has more than that
