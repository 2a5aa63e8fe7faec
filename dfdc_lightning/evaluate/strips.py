"""One face as it is and at each level of a corruption, side by side: what a level means, to look at."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from dfdc_lightning import atomic
from dfdc_lightning.evaluate.corrupting import CorruptedFaces, Job
from dfdc_lightning.evaluate.corruptions import Condition
from dfdc_lightning.evaluate.record import Record
from dfdc_lightning.results.elsewhere import LEVELS, strip_of
from dfdc_lightning.video.sources import Video

_NO_FACE = 200  # grey of a level at which no face is found


def write_strips(
    records: Sequence[Record], corruptions: Sequence[str], video: Video, task: CorruptedFaces
) -> None:
    """Write a picture per corruption beside the scores; one that exists stays.

    Args:
        records: All on one data set.
        corruptions: Their names.
        video: The one that is shown.
        task: Corrupts and cuts faces.
    """
    for name in corruptions:
        paths = [strip_of(record.subject.folder, record.data.name, name) for record in records]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            levels = task(Job(video, tuple(Condition(name, level) for level in LEVELS)))
            plain = records[0].data.cache.read_faces(video.name)
            picture = _strip(plain, [faces for _, faces in levels])
            for path in missing:
                _write(picture, path)


def _strip(
    plain: UInt8[np.ndarray, "t 3 s s"], levels: Sequence[UInt8[np.ndarray, "t 3 s s"] | str]
) -> UInt8[np.ndarray, "s w 3"]:
    """Put the middle frames of the conditions side by side."""
    middle = len(plain) // 2
    empty = np.full(plain.shape[1:], _NO_FACE, np.uint8)
    tiles = [plain[middle], *(empty if isinstance(faces, str) else faces[middle] for faces in levels)]
    return np.ascontiguousarray(np.concatenate(tiles, axis=2).transpose(1, 2, 0))


def _write(picture: UInt8[np.ndarray, "s w 3"], path: Path) -> None:
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    with atomic.replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())
