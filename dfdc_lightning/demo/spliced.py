"""One long video of a REAL person, with a part taken from its FAKE: what a scan must find."""

from pathlib import Path

import numpy as np

from dfdc_lightning.demo.cues import CUES, Ellipse
from dfdc_lightning.demo.encode import encoding
from dfdc_lightning.demo.recording import Fixed, Recording
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
    recording = Recording.draw(rng, Fixed(size=size, seconds=seconds, fps=fps))
    codec = recording.codec(rng, Fixed(gop=round(2 * float(recording.fps)), codec="libx264"))
    start, end = (0.0, 0.0) if swapped is None else swapped
    each = -(-recording.frames // persons)
    regions = []
    with encoding(path, recording.size, codec) as video:
        for first in range(0, recording.frames, each):
            scene = Scene(rng, recording.size)
            real = scene.view(scene.person)
            forged = CUES[cue](rng, scene, real, strength, codec.gop)
            for index, pose in enumerate(
                scene.poses(min(each, recording.frames - first), recording.fps), first
            ):
                inside = start <= index / recording.fps < end
                view, patch = (forged.view(index), forged.patch(pose)) if inside else (real, None)
                video.write(scene.frame(index, pose, view, patch))
                if inside and (region := forged.ellipse(pose)) is not None:
                    regions.append(region)
    return regions
