"""A figure of the report as PNG and SVG; the same evidence gives the same bytes."""

from pathlib import Path

import matplotlib
from PIL import Image

from dfdc_lightning import atomic
from dfdc_lightning.report.style import RC, Picture

_DRAWN = 10_000  # colours that a drawing has at most, with its soft edges; a photograph has more
_NO_DATES = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def save(picture: Picture, folder: Path) -> None:
    """Write `folder/<name>.png` and `.svg`, unless the picture is a file already."""
    if isinstance(picture.figure, Path):
        return
    with matplotlib.rc_context(RC):
        for ending, metadata in _NO_DATES.items():
            with atomic.replacing(folder / f"{picture.name}.{ending}") as temporary:
                picture.figure.savefig(temporary, format=ending, metadata=metadata)
                if ending == "png":
                    _with_few_colours(temporary)
            picture.figure.set_layout_engine("none")  # laid out once is enough


def _with_few_colours(path: Path) -> None:
    """Give a drawing a palette of 256 colours: it looks the same at a third of the bytes."""
    with Image.open(path) as image:
        resolution, drawn = image.info["dpi"], image.convert("RGB")
    if drawn.getcolors(_DRAWN) is not None:
        few = drawn.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(path, format="png", optimize=True, dpi=resolution)
