"""One long video of a REAL person, with a part taken from its FAKE: what a scan must find."""

from pathlib import Path

import numpy as np

from dfdc_lightning.demo.cues import CUES, Ellipse
from dfdc_lightning.demo.encode import encoding
from dfdc_lightning.demo.film import Film, Fixed
from dfdc_lightning.demo.scene import Scene


def render_spliced(
    path: Path,
    seed: int,
    swapped: tuple[float, float] | None,
    seconds: float = 60.0,
    cue: str = "seam",
    strength: float = 1.0,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    persons: int = 1,
) -> list[Ellipse]:
    """Render one video; scenes with other persons follow each other, as after cuts, all equally long.

    Args:
        path: The mp4 file to make.
        seed: Another seed, other people; the same as in no data set of `render`.
        swapped: From which second to which the face is forged; None leaves the video REAL.
        seconds: Length of the video.
        cue: What betrays the forgery, see `cues.py`.
        strength: Of the cue, above 0 to 1.
        size: Width and height in pixels, both even; None draws them.
        fps: Frames per second; None draws them.
        persons: How many follow each other.

    Returns:
        The forged region of every forged frame.
    """
    rng = np.random.default_rng([seed, 7919])
    film = Film.draw(rng, Fixed(size=size, seconds=seconds, fps=fps))
    codec = film.codec(rng, Fixed(gop=round(2 * float(film.fps)), codec="libx264"))
    start, end = (0.0, 0.0) if swapped is None else swapped
    each = -(-film.frames // persons)
    regions = []
    with encoding(path, film.size, codec) as video:
        for first in range(0, film.frames, each):
            scene = Scene(rng, film.size)
            real = scene.look(scene.person)
            forged = CUES[cue](rng, scene, real, strength, codec.gop)
            for index, pose in enumerate(scene.poses(min(each, film.frames - first), film.fps), first):
                inside = start <= index / film.fps < end
                look, patch = (forged.look(index), forged.patch(pose)) if inside else (real, None)
                video.write(scene.frame(index, pose, look, patch))
                if inside and (region := forged.ellipse(pose)) is not None:
                    regions.append(region)
    return regions
