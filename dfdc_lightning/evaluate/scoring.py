"""Score the clips of a cache: each is read once for all models."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import UInt8

from dfdc_lightning.errors import UserError
from dfdc_lightning.evaluate.dataset import DataSet
from dfdc_lightning.evaluate.record import PLAIN, Record
from dfdc_lightning.faces.cache import CacheError, Row
from dfdc_lightning.progress import Tally

BLOCK = 8  # clips that a model scores at once: always the same ones, so that scores do not depend on kills


def score_clips(data: DataSet, records: Sequence[Record], done: Tally) -> None:
    """Score every clip of a cache that a record lacks.

    Args:
        data: The cache.
        records: One for each model, all on this data set.
        done: Counts clips times models.
    """
    for start in range(0, len(data.rows), BLOCK):
        block = data.rows[start : start + BLOCK]
        waiting = [
            (record, [row for row in block if row.video in record.names])
            for record in records
            if any(record.lacks(PLAIN, row.video) for row in block)
        ]
        names = {row.video for _, rows in waiting for row in rows}
        faces = dict(_faces(data, [row for row in block if row.video in names]))
        for record, rows in waiting:
            _score(record, rows, faces)
            done.advance(len(rows))


def _faces(
    data: DataSet, rows: Sequence[Row]
) -> Iterator[tuple[str, UInt8[np.ndarray, "t 3 h w"] | UserError]]:
    """Read the faces of each row, or say what is wrong with its file."""
    for row in rows:
        try:
            yield row.video, data.cache.read_faces(row.video)
        except CacheError as error:
            yield row.video, error


def _score(
    record: Record, rows: Sequence[Row], faces: dict[str, UInt8[np.ndarray, "t 3 h w"] | UserError]
) -> None:
    expected = record.subject.card.preparation
    shape = (expected["frames"], 3, expected["size"], expected["size"])
    good = []
    for row in rows:
        clip = faces[row.video]
        if isinstance(clip, UserError):
            record.fail(PLAIN, row.video, str(clip))
        elif clip.shape != shape:
            path = record.data.cache.clip_path(row.video)
            record.fail(
                PLAIN, row.video, f"{path} holds faces of shape {clip.shape}, {shape} are needed: delete it"
            )
        else:
            good.append((row.video, clip))
    if good:
        record.score(PLAIN, [video for video, _ in good], np.stack([clip for _, clip in good]))
