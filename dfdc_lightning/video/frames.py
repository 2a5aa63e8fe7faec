"""File → n evenly spaced RGB frames of the whole video, exact, without decoding what is not needed.

The packets say how many frames there are and where decoding can start afresh (see packets.py). Where that is
certain, only what a wanted frame can depend on is decoded: from the IDR picture before it on, and without the
frames in between that no other refers to. Elsewhere (other codecs, doubtful time stamps, interlacing …)
everything is decoded.

Rules: frame i of n is number floor(i·(N-1)/(n-1) + 1/2) of the video's N frames. Damage in anything that had
to be decoded, and a file that ends before its own index does, make a video unreadable: a frame that the
decoder doubts is never handed out. Without an index (Matroska, MPEG-TS), a video that was cut off is as long
as what is left of it.
"""

import gc
import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter
from jaxtyping import Int64, UInt8

from dfdc_lightning.errors import UserError
from dfdc_lightning.video.packets import Packet, opened, survey

# What to decode of a packet: FFmpeg's skip_frame, or nothing.
_ALL, _REFERRED, _NONE = "DEFAULT", "NONREF", ""
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


class FrameError(UserError):
    """A video does not give the frames that are needed.

    Args:
        status: The manifest's word for it, "unreadable" or "too_short".
        sentence: Names the file and what is wrong with it.
    """

    def __init__(self, status: str, sentence: str) -> None:
        super().__init__(status, sentence)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[1])


class Frames(NamedTuple):
    """Evenly spaced frames of one video in time order, upright, with the numbers of the whole video.

    `codec`, `bytes` (of the video stream) and `keyframes` are facts of the file; a folder of images has none.
    """

    images: list[UInt8[np.ndarray, "h w 3"]]
    indices: Int64[np.ndarray, " n"]
    width: int
    height: int
    fps: float
    n_frames: int
    seconds: float
    codec: str = ""
    bytes: int = 0
    keyframes: int = 0
    damage: str = ""  # of a video of which only what is sound was read


def read_sound_frames(path: Path, n: int = 10) -> Frames:
    """Read evenly spaced frames out of what is sound of a video.

    A frame is sound where neither it nor anything since the keyframe before it is damaged. Everything is
    decoded twice. A sound video gives what `read_frames` does.

    Args:
        path: Any video file that FFmpeg knows, or a folder of images.
        n: How many frames, at least 1.

    Raises:
        FrameError: "unreadable" when the file cannot be opened, "too_short" when too few frames are sound.
    """
    try:
        return read_frames(path, n)
    except FrameError as error:
        if error.status != "unreadable" or path.is_dir():
            raise
    try:
        facts = survey(path)
        sound = [number for number, frame in enumerate(_decoded_on(path)) if frame is not None]
        if len(sound) < n:
            raise FrameError("too_short", f"{path} is damaged: {len(sound)} frames are sound, {n} are needed")
        wanted = [sound[place] for place in evenly_spaced(len(sound), n)]
        reformatter = VideoReformatter()
        images = [
            _rgb(frame, reformatter) for number, frame in enumerate(_decoded_on(path)) if number in wanted
        ]
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from None
    height, width = _size(images, path)
    total = max(sum(not packet.hidden for packet in facts.packets), sound[-1] + 1)
    rate = total / facts.seconds if facts.seconds else 0.0
    said = f"the video is damaged: {len(sound)} of {total} frames are sound, and these alone were looked at"
    return Frames(
        images,
        np.array(wanted, np.int64),
        width,
        height,
        rate,
        total,
        facts.seconds,
        facts.codec,
        facts.bytes,
        facts.keyframes,
        said,
    )


def read_frames(path: Path, n: int = 10) -> Frames:
    """Read evenly spaced frames of a video, first and last included.

    Args:
        path: Any video file that FFmpeg knows, or a folder of images, numbered in their names.
        n: How many frames, at least 1.

    Raises:
        FrameError: "unreadable" when the file cannot be opened, holds no video, is cut off or damaged;
            "too_short" when it has fewer than n frames.
    """
    if path.is_dir():
        return _from_folder(path, n)
    try:
        return _read(path, n)
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from None
    finally:
        gc.collect(1)  # PyAV's containers are cycles: without this, a worker keeps several decoders' pictures


class Footage:
    """A video file that is read from one end to the other, however long it is, a frame at a time.

    Args:
        path: Any video file that FFmpeg knows.
        damaged: Whether a damaged one is read too, as far as it is sound.

    Raises:
        FrameError: When it cannot be opened, holds no video or is damaged.
    """

    def __init__(self, path: Path, damaged: bool = False) -> None:
        self.path = path
        try:
            self._survey = survey(path)
        except (av.FFmpegError, OSError) as error:
            raise _unreadable(path, error) from None
        if self._survey.damage and not damaged:
            raise FrameError("unreadable", f"{path} {self._survey.damage}")
        self.whole = not self._survey.damage  # whether all frames that were asked for came and are sound
        self._damaged = damaged
        self.seconds = self._survey.seconds
        self.n_frames = sum(not packet.hidden for packet in self._survey.packets)
        self.fps = self.n_frames / self.seconds if self.seconds else 0.0

    def frames(self, wanted: Iterable[int]) -> Iterator[tuple[int, UInt8[np.ndarray, "h w 3"]]]:
        """Decode the frames with these numbers in time order, each with its number.

        Raises:
            FrameError: "unreadable" when the file is damaged on the way; what was yielded before is sound.
        """
        numbers, reformatter = set(wanted), VideoReformatter()
        try:
            for number, frame in self._decoded(numbers):
                if frame is None:
                    self.whole = False
                elif number in numbers:
                    yield number, _rgb(frame, reformatter)
        except (av.FFmpegError, OSError) as error:
            raise _unreadable(self.path, error) from None

    def _decoded(self, numbers: set[int]) -> Iterator[tuple[int, Any]]:
        """Decode what these frames need; -1 is the number of frames that nobody asked for."""
        if self._damaged:
            yield from enumerate(_decoded_on(self.path))
        elif not self._survey.selective:
            yield from enumerate(_decoded(self.path, repeat(_ALL)))
        else:
            times = sorted(packet.pts for packet in self._survey.packets if packet.pts is not None)
            of_time = {times[number]: number for number in numbers if number < len(times)}
            for frame in _decoded(self.path, _decoding(self._survey.packets, set(of_time))):
                yield of_time.get(frame.pts, -1), frame

    def facts(self, images: Sequence[UInt8[np.ndarray, "h w 3"]], indices: Sequence[int]) -> Frames:
        """Put frames that were read together with the facts of the file."""
        height, width = _size(images, self.path)
        codec, size, keyframes = self._survey.codec, self._survey.bytes, self._survey.keyframes
        numbers = np.array(indices, np.int64)
        return Frames(
            list(images),
            numbers,
            width,
            height,
            self.fps,
            self.n_frames,
            self.seconds,
            codec,
            size,
            keyframes,
        )


def decoded_upright(path: Path) -> Iterator[tuple[UInt8[np.ndarray, "h w 3"], Fraction | None]]:
    """Decode every frame of a video in order, RGB and upright, each with the video's frames per second.

    Raises:
        FrameError: "unreadable" when the file is not a video or is damaged on the way.
    """
    reformatter = VideoReformatter()
    try:
        with opened(path) as container:
            rate = container.streams.best("video") and container.streams.best("video").average_rate
        for frame in _decoded(path, repeat(_ALL)):
            yield _rgb(frame, reformatter), rate
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from None


def evenly_spaced(total: int, n: int) -> list[int]:
    """Number n frames from 0 to total-1, halves rounded up; all differ where total ≥ n."""
    return [(2 * i * (total - 1) + n - 1) // max(2 * (n - 1), 1) for i in range(n)]


def _unreadable(path: Path, error: av.FFmpegError | OSError) -> FrameError:
    return FrameError("unreadable", f"{path} cannot be read as a video: {error.strerror or error}")


def _read(path: Path, n: int) -> Frames:
    packets, selective, seconds, damage, codec, size, keyframes = survey(path)
    if damage:
        raise FrameError("unreadable", f"{path} {damage}")
    total = sum(not packet.hidden for packet in packets)
    images = _selected(path, packets, n) if selective and total >= n else None
    if images is None:
        images, total = _from_everything(path, total, n)
    _refuse_short(path, total, n)
    height, width = _size(images, path)
    indices = np.array(evenly_spaced(total, n), np.int64)
    rate = total / seconds if seconds else 0.0
    return Frames(images, indices, width, height, rate, total, seconds, codec, size, keyframes)


def _from_folder(path: Path, n: int) -> Frames:
    """Read evenly spaced images of a folder: some data sets were published so, a folder per video."""
    files = sorted(
        (file for file in path.iterdir() if file.suffix.lower() in _IMAGES),
        key=lambda file: [
            int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", file.name)
        ],
    )
    if not files:
        raise FrameError("unreadable", f"{path} is a folder without images, not a video")
    _refuse_short(path, len(files), n)
    indices = np.array(evenly_spaced(len(files), n), np.int64)
    images = []
    for file in (files[index] for index in indices):
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if image is None:
            raise FrameError("unreadable", f"{file} cannot be read as an image")
        images.append(np.ascontiguousarray(image[:, :, ::-1]))
    height, width = _size(images, path)
    return Frames(images, indices, width, height, 0.0, len(files), 0.0)


def _refuse_short(path: Path, total: int, n: int) -> None:
    if total < n:
        raise FrameError("too_short", f"{path} has {total} frame{'s' * (total != 1)}, {n} are needed")


def _size(images: Sequence[np.ndarray], path: Path) -> tuple[int, int]:
    sizes = {image.shape[:2] for image in images}
    if len(sizes) > 1:
        raise FrameError("unreadable", f"{path} changes its picture size on the way: {sorted(sizes)}")
    height, width = images[0].shape[:2]
    return height, width


def _selected(path: Path, packets: Sequence[Packet], n: int) -> list[np.ndarray] | None:
    """Decode only what the wanted frames need; None where one of them did not come out."""
    times = sorted(packet.pts for packet in packets if packet.pts is not None)
    wanted = [times[index] for index in evenly_spaced(len(times), n)]
    reformatter = VideoReformatter()
    frames = _decoded(path, _decoding(packets, set(wanted)))
    found = {frame.pts: _rgb(frame, reformatter) for frame in frames if frame.pts in wanted}
    return [found[time] for time in wanted] if len(found) == n else None


def _from_everything(path: Path, total: int, n: int) -> tuple[list[np.ndarray], int]:
    """Decode everything: the wanted frames, and how many there are; twice where `total` was wrong."""
    wanted = set(evenly_spaced(total, n))
    reformatter = VideoReformatter()
    images, count = [], 0
    for frame in _decoded(path, repeat(_ALL)):
        if count in wanted:
            images.append(_rgb(frame, reformatter))
        count += 1
    return (images, count) if count == total or count < n else _from_everything(path, count, n)


def _decoding(packets: Sequence[Packet], wanted: set[int]) -> list[str]:
    """Choose what to decode of each packet so that the wanted frames are as if everything were decoded."""
    decode = [_NONE] * len(packets)
    needed = False
    for place in reversed(range(len(packets))):  # a frame needs what came before it, back to an IDR picture
        packet = packets[place]
        needed = needed or packet.pts in wanted
        if needed:
            decode[place] = _ALL if packet.pts in wanted else _REFERRED
        needed = needed and not packet.independent
    return decode


def _decoded(path: Path, decode: Iterable[str]) -> Iterator[Any]:
    """Yield the frames that come out when each packet is decoded so far, in the order they are shown."""
    with opened(path) as container:
        stream = container.streams.best("video")
        decoder = stream.codec_context
        # Videos run in parallel, not frames: less work in all, and no frame comes late.
        decoder.thread_count = 1
        running = False
        packets = (packet for packet in container.demux(stream) if packet.size)
        for packet, skip in zip(packets, decode, strict=False):
            if skip:
                decoder.skip_frame = skip
                yield from _sound(decoder.decode(packet), path)
            elif running:
                yield from _sound(decoder.decode(None), path)
                decoder.flush_buffers()
            running = bool(skip)
        if running:
            yield from _sound(decoder.decode(None), path)


def _decoded_on(path: Path) -> Iterator[Any]:
    """Decode past all damage: a frame, or None in its place where it may be wrong."""
    with opened(path) as container:
        stream = container.streams.best("video")
        stream.codec_context.thread_count = 1
        sound = True
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                sound = sound and not packet.is_corrupt
                frames = stream.codec_context.decode(packet if packet.size else None)
            except av.FFmpegError:
                sound = False
                if packet is None or not packet.size:
                    return
                yield None
                continue
            for frame in frames:
                sound = not frame.is_corrupt and (sound or frame.key_frame)
                yield frame if sound else None
            if not packet.size:
                return


def _sound(frames: list[Any], path: Path) -> list[Any]:
    for frame in frames:
        if frame.is_corrupt:
            place = "an unknown time" if frame.pts is None else f"{frame.time:.2f} s"
            raise FrameError("unreadable", f"{path} is damaged at {place}")
    return frames


def _rgb(frame: Any, reformatter: VideoReformatter) -> UInt8[np.ndarray, "h w 3"]:
    """Convert the frame to RGB and turn it upright.

    The display matrix (ISO/IEC 14496-12, 8.3.2) sends x, y to a·x + c·y, b·x + d·y; any angle is taken as the
    nearest right one.
    """
    image = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return image
    a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32).tolist()
    if abs(a) + abs(d) < abs(b) + abs(c):
        image, a, d = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
