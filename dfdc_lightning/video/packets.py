"""What a file's packets tell before anything is decoded: how many frames, in which order, from where."""

from bisect import bisect, insort
from pathlib import Path
from typing import Any, NamedTuple

import av

_PROGRESSIVE = 1  # FFmpeg's AV_FIELD_PROGRESSIVE
_SLICE, _IDR = 1, 5  # H.264 NAL unit types, ITU-T H.264 table 7-1


class Packet(NamedTuple):
    """One packet, in the order of decoding."""

    pts: int | None
    duration: int
    independent: bool  # an IDR picture: no picture after it refers to one before it
    hidden: bool  # decoded for others, not shown


class Survey(NamedTuple):
    """A video stream's packets, whether they tell enough to leave some undecoded, and facts of the file."""

    packets: list[Packet]
    selective: bool
    seconds: float
    damage: str  # "", or what is broken about the file
    codec: str = ""
    bytes: int = 0  # of the video stream
    keyframes: int = 0


def opened(path: Path) -> Any:
    """Open a video file for reading; a title that is not UTF-8 is not an error."""
    return av.open(str(path), metadata_errors="replace")


def survey(path: Path) -> Survey:
    """Read all packets of a file's video stream, decoding none.

    `selective` is true where leaving out unreferred frames, or everything before an IDR picture, is certain
    to change neither the pixels nor the number of the others: progressive H.264 in a container that keeps
    time stamps, every packet shown at a time of its own, an IDR picture first, and no frame shown later than
    the decoder waits for it.

    Raises:
        av.FFmpegError: When FFmpeg knows no such video.
        OSError: When it cannot be opened.
    """
    with opened(path) as container:
        stream = container.streams.best("video")
        if stream is None:
            return Survey([], False, 0.0, "holds no video stream")
        if stream.codec_context is None:
            return Survey([], False, 0.0, "holds video of a codec that nobody here can decode")
        context = stream.codec_context
        length = _length_bytes(stream.codec.name, bytes(context.extradata or b""))
        packets: list[Packet] = []
        damage, size, keyframes = "", 0, 0
        for packet in container.demux(stream):
            if not packet.size:
                continue  # the last one is empty and asks the decoder for its last frames
            if packet.is_corrupt:
                damage = f"is damaged or cut off at frame {len(packets)}"
            independent = bool(length) and packet.is_keyframe and _starts_with_idr(bytes(packet), length)
            size, keyframes = size + packet.size, keyframes + packet.is_keyframe
            packets.append(Packet(packet.pts, packet.duration or 0, independent, packet.is_discard))
        if any(entry.pos + entry.size > container.size for entry in stream.index_entries):
            damage = "is cut off: its index names frames beyond its end"
        patient = _reordering(packets) <= context.reorder_depth
        selective = context.field_order == _PROGRESSIVE and patient and _plain(packets)
        seconds = float(_ticks(packets) * (stream.time_base or 0))
        return Survey(packets, selective, seconds, damage, stream.codec.name, size, keyframes)


def _plain(packets: list[Packet]) -> bool:
    """Say whether every packet is a frame with its own time, the first independent and shown first."""
    times = {packet.pts for packet in packets if packet.pts is not None and not packet.hidden}
    return (
        len(times) == len(packets) > 0
        and packets[0].independent
        and packets[0].pts == min(times, default=None)
    )


def _reordering(packets: list[Packet]) -> int:
    """Count the frames that are decoded before some frame but shown after it; return the most."""
    times: list[int] = []
    most = 0
    for packet in packets:
        if packet.pts is not None:
            most = max(most, len(times) - bisect(times, packet.pts))
            insort(times, packet.pts)
    return most


def _ticks(packets: list[Packet]) -> int:
    """Measure from the first frame's start to the last one's end, in units of the stream's time base."""
    shown = [
        (packet.pts, packet.duration) for packet in packets if packet.pts is not None and not packet.hidden
    ]
    if not shown:
        return 0
    first, (last, duration) = min(shown)[0], max(shown)
    return last - first + (duration or (last - first) // max(len(shown) - 1, 1))


def _length_bytes(codec: str, extradata: bytes) -> int:
    """Read how many bytes a NAL unit's length takes in H.264 (ISO/IEC 14496-15, 5.3.3); 0 without lengths."""
    return (extradata[4] & 3) + 1 if codec == "h264" and len(extradata) > 4 and extradata[0] == 1 else 0


def _starts_with_idr(data: bytes, length: int) -> bool:
    """Say whether the first picture data of a packet (length-prefixed NAL units) is an IDR picture's."""
    start = 0
    while start + length < len(data):
        kind = data[start + length] & 31
        if kind in (_SLICE, _IDR):
            return kind == _IDR
        start += length + int.from_bytes(data[start : start + length], "big")
    return False
