"""`python -m dfdc_lightning.sheet cache=CACHE out=FILE.png`: REAL clips and their blends to look at."""

import sys
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from dfdc_lightning import atomic
from dfdc_lightning.arguments import arguments
from dfdc_lightning.blend import SelfBlend
from dfdc_lightning.clips import FaceClips
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import REAL, FaceCache
from dfdc_lightning.pairs import with_blends

_ROWS, _COLUMNS, _SIDE, _GAP = 5, 8, 112, 6


def sheet(cache: FaceCache, seed: int = 0) -> UInt8[np.ndarray, "h w 3"]:
    """Draw 5 × 8 pairs, each REAL above the FAKE that is blended from it, on white.

    Args:
        cache: Gives the REAL clips; few are shown several times, blended anew.
        seed: Of the blends.

    Raises:
        UserError: When the cache has no usable REAL clip, or clips without landmarks.
    """
    rows = with_blends([row for row in cache.rows() if row.status == "ok" and row.label == REAL])
    if not rows:
        raise UserError(f"{cache.manifest} must list usable REAL clips to blend, and lists none")
    clips = FaceClips(cache, rows, seed=seed, blend=SelfBlend(), paired=True)
    n_pairs = len(rows) // 2
    picture = np.full((_ROWS * (2 * _SIDE + _GAP) - _GAP, _COLUMNS * (_SIDE + _GAP) - _GAP, 3), 255, np.uint8)
    for number in range(_ROWS * _COLUMNS):
        round_, pair = divmod(number, n_pairs)
        both = clips.__getitems__([(round_, 2 * pair), (round_, 2 * pair + 1)]).faces
        top, left = number // _COLUMNS * (2 * _SIDE + _GAP), number % _COLUMNS * (_SIDE + _GAP)
        for below, faces in enumerate(both.numpy()):
            face = cv2.resize(
                faces[len(faces) // 2].transpose(1, 2, 0), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA
            )
            start = top + below * _SIDE
            picture[start : start + _SIDE, left : left + _SIDE] = face
    return picture


def main() -> None:
    """Draw the sheet of the cache that the command line names."""
    try:
        given = arguments(sys.argv[1:], {"cache": None, "out": None, "seed": "0"})
        picture = sheet(FaceCache(Path(given["cache"])), int(given["seed"]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    with atomic.replacing(Path(given["out"])) as temporary:
        temporary.write_bytes(data.tobytes())
    print(given["out"])


if __name__ == "__main__":
    main()
