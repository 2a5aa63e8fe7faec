"""Pairs of REAL and FAKE in a batch: each FAKE beside its own REAL, or beside the REAL it is blended from."""

from collections.abc import Sequence

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FAKE, REAL, Row

SELF_BLENDED = "self-blended"  # the method of a FAKE that the loader makes from its REAL
_SUFFIX = "+blend"


def with_blends(rows: Sequence[Row]) -> list[Row]:
    """Put a FAKE that is going to be blended from it behind each REAL; other FAKEs are left out."""
    pairs = []
    for row in rows:
        if row.label == REAL:
            blend = row._replace(video=row.video + _SUFFIX, label=FAKE, original=row.video)
            pairs += [row, blend._replace(method=SELF_BLENDED)]
    return pairs


def blended(row: Row) -> bool:
    """Say whether a row's clip is made by the loader."""
    return row.method == SELF_BLENDED


def clip_of(row: Row) -> str:
    """Name the video whose clip file a row's clip is read from."""
    return row.original if blended(row) else row.video


def source_of(row: Row) -> str:
    """Name the REAL video of a row's pair, by which both of a pair draw."""
    return row.original if row.label == FAKE and row.original else row.video


def pairs(rows: Sequence[Row]) -> list[tuple[int, ...]]:
    """Find the REAL of each FAKE.

    Args:
        rows: Clips of one split.

    Returns:
        Indices of a REAL and its FAKE, one pair per FAKE: a REAL with several forgeries is in several pairs.

    Raises:
        UserError: When the original of a FAKE is not among the rows.
    """
    real = {row.video: index for index, row in enumerate(rows) if row.label == REAL}
    fakes = [(index, row) for index, row in enumerate(rows) if row.label == FAKE]
    for _, row in fakes:
        if row.original not in real:
            named = f"its original {row.original}" if row.original else "the original, which is not known,"
            raise UserError(
                f"data.pairs=true needs the REAL of each FAKE, but {named} of {row.video} is not among the "
                f"clips of its split ({row.split}): use data=dfdc, or prepare the cache with per_label=null"
            )
    return [(real[row.original], index) for index, row in fakes]
