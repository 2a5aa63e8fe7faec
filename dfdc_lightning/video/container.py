"""What a video file says of itself, for the record: nothing of it is proof of anything."""

from pathlib import Path
from typing import Any

import av

from dfdc_lightning.video.packets import opened


def container_facts(path: Path) -> dict[str, Any]:
    """Read format, codec, size, rate, length and tags from a file's header, as JSON values.

    Returns:
        Nothing where the file has gone away or is not a video.
    """
    try:
        with opened(path) as container:
            stream = container.streams.best("video")
            if stream is None or stream.codec_context is None:
                return {}
            context = stream.codec_context
            return {
                "format": container.format.name,
                "bytes": path.stat().st_size,
                "codec": stream.codec.name,
                "profile": stream.profile,
                "pixels": context.pix_fmt,
                "width": context.width,
                "height": context.height,
                "fps": None if stream.average_rate is None else float(stream.average_rate),
                "seconds": None if container.duration is None else container.duration / av.time_base,
                "bit_rate": container.bit_rate,
                "audio": [each.codec_context.name for each in container.streams.audio if each.codec_context],
                "tags": {str(key): str(value) for key, value in sorted(container.metadata.items())},
            }
    except (av.FFmpegError, OSError):
        return {}
