"""A figure of the report as PNG and SVG; the same evidence gives the same bytes."""

from pathlib import Path

import matplotlib

from dfdc_lightning import atomic
from dfdc_lightning.report.style import RC, Picture

_NO_DATES = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def save(picture: Picture, folder: Path) -> None:
    """Write `folder/<name>.png` and `.svg`, unless the picture is a file already."""
    if isinstance(picture.figure, Path):
        return
    with matplotlib.rc_context(RC):
        for ending, metadata in _NO_DATES.items():
            with atomic.replacing(folder / f"{picture.name}.{ending}") as temporary:
                picture.figure.savefig(temporary, format=ending, metadata=metadata)
            picture.figure.set_layout_engine("none")  # laid out once is enough
