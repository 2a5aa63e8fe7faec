"""The forgeries: each shows one cue, whose strength and region are known.

`seam`: another person's inner face, as sharp as the rest, with a visible border and other colours.
`texture`: the person's own inner face at a generator's few pixels, its rim so soft that no border shows.
`temporal`: a face and a light that change at keyframes; each frame by itself is a frame of a REAL video.
`none`: the placebo, a FAKE in name only: made as the REAL video is.
"""

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
from typing_extensions import override

from dfdc_lightning import checks
from dfdc_lightning.demo.drawing import Image, Plane
from dfdc_lightning.demo.heads import BOTTOM, LEFT, RIGHT, TOP, Head
from dfdc_lightning.demo.identity import Person
from dfdc_lightning.demo.scene import Patch, Pose, Scene, View
from dfdc_lightning.errors import UserError

# Ellipses in face units: centre, radii. The inner face is what is swapped, the head what drifts.
_INNER, _HEAD = ((0.0, 0.24), (0.74, 0.86)), ((0.0, 0.05), (1.05, 1.35))
_SHARPEST, _COARSEST = 26.0, 5.0  # detail of a generated face in pixels per face unit, at strength 0 and 1
_MOST_COLOUR = 0.12  # relative change of colour beyond a seam at strength 1


class Ellipse(NamedTuple):
    """The forged region in one frame: centre and radii in pixels, clockwise rotation in degrees."""

    x: float
    y: float
    radius_x: float
    radius_y: float
    degrees: float


class Cue:
    """One FAKE of a scene. This class itself is the placebo: it changes nothing.

    Args:
        rng: Where every choice comes from.
        scene: The REAL video's scene.
        real: The scene's person in it.
        strength: How much is to be seen, above 0 to 1.
        gop: Distance of the video's keyframes in frames.
    """

    region: tuple[tuple[float, float], tuple[float, float]] | None = None

    def __init__(self, rng: np.random.Generator, scene: Scene, real: View, strength: float, gop: int) -> None:
        self._rng, self._scene, self._real = rng, scene, real
        self._strength, self._gop = strength, gop
        self._patches: dict[tuple[int, int], Patch] = {}

    def view(self, index: int) -> View:
        """Say who is in the scene in a frame; call it in time order."""
        return self._real

    def patch(self, pose: Pose) -> Patch | None:
        """Draw what lies over the head, once for each expression."""
        state = pose.eyes, pose.mouth
        if state not in self._patches and (drawn := self._draw(*state)) is not None:
            self._patches[state] = drawn
        return self._patches.get(state)

    def ellipse(self, pose: Pose) -> Ellipse | None:
        """Say where the cue is in a frame; None for the placebo."""
        if self.region is None:
            return None
        (u, v), (radius_u, radius_v) = self.region
        unit = self._scene.unit
        x, y = pose.matrix(unit) @ np.array([(u - LEFT) * unit, (v - TOP) * unit, 1.0])
        region = (x, y, radius_u * pose.unit * pose.turn, radius_v * pose.unit, pose.roll)
        return Ellipse(*(round(float(value), 2) for value in region))

    def _draw(self, eyes: int, mouth: int) -> Patch | None:
        return None


class Seam(Cue):
    """Swaps the inner face: its border is narrow, its colours are those of the head but for a shift."""

    region = _INNER

    def __init__(self, rng: np.random.Generator, scene: Scene, real: View, strength: float, gop: int) -> None:
        super().__init__(rng, scene, real, strength, gop)
        donor, _ = Person.draw(rng).traits_and_light()
        _, light = scene.person.traits_and_light()
        self._donor = scene.head(donor, light)
        direction = rng.standard_normal(3)
        direction /= np.linalg.norm(direction)
        self._gain = (1 + strength * _MOST_COLOUR * np.sqrt(3) * direction).astype(np.float32)
        self._alpha = _inner(real.head, feather=0.1)

    def _draw(self, eyes: int, mouth: int) -> Patch:
        target = self._real.head.image(eyes, mouth)
        patch = self._donor.image(eyes, mouth).astype(np.float32)
        inside = self._alpha > 0.5
        mean, deviation = target[inside].mean(0), target[inside].std(0)
        own_mean, own_deviation = patch[inside].mean(0), patch[inside].std(0)
        matched = (patch - own_mean) * np.clip(deviation / own_deviation, 0.8, 1.25) + mean
        return Patch(np.clip(matched, 0, 255).astype(np.uint8), self._alpha, self._gain)


class Texture(Cue):
    """Renders the inner face with the few pixels of a small generator, and enlarges them."""

    region = _INNER

    def __init__(self, rng: np.random.Generator, scene: Scene, real: View, strength: float, gop: int) -> None:
        super().__init__(rng, scene, real, strength, gop)
        self._detail = _SHARPEST * (_COARSEST / _SHARPEST) ** strength
        self._alpha = _inner(real.head, feather=0.45)

    def _draw(self, eyes: int, mouth: int) -> Patch:
        coarse = _resampled(self._real.head.image(eyes, mouth).astype(np.float32), self._detail)
        return Patch(np.clip(coarse, 0, 255).astype(np.uint8), self._alpha, np.ones(3, np.float32))


class Temporal(Cue):
    """Turns the person's latents towards a new stranger's at every keyframe, by 90 degrees at strength 1.

    A turn leaves the distribution of latents as it is, room and camera are independent of the person, and a
    keyframe refers to no earlier frame: so no single frame tells, and only frames set side by side do.
    """

    region = _HEAD

    def __init__(self, rng: np.random.Generator, scene: Scene, real: View, strength: float, gop: int) -> None:
        super().__init__(rng, scene, real, strength, gop)
        self._person, self._now, self._since = scene.person, real, 0

    @override
    def view(self, index: int) -> View:
        while self._since < index // self._gop:
            self._person = self._person.turned(Person.draw(self._rng), 90 * self._strength)
            self._since += 1
            self._now = self._scene.view(self._person)
        return self._now


CUES: Mapping[str, type[Cue]] = {"seam": Seam, "texture": Texture, "temporal": Temporal, "none": Cue}
PLACEBO = "none"


def read_cues(text: str) -> dict[str, float]:
    """Read "seam=0.5,temporal,none" as strengths by cue; a cue without a number has strength 1.

    Raises:
        UserError: When a strength is not a number.
    """
    cues = {}
    for word in filter(None, text.split(",")):
        name, _, strength = word.partition("=")
        try:
            cues[name] = float(strength or 1)
        except ValueError:
            raise UserError(
                f"cues: the strength of {name} must be a number above 0 and at most 1 (got {strength})"
            ) from None
    return cues


def check_cues(cues: Mapping[str, float]) -> None:
    """Refuse unknown cues, strengths out of range, and no cue at all.

    Raises:
        UserError: In a sentence with the cue and what is possible.
    """
    if not cues:
        raise UserError(f"cues must name at least one of {', '.join(CUES)}")
    for name, strength in cues.items():
        checks.one_of("cues", name, list(CUES))
        if name == PLACEBO and strength != 1:
            raise UserError(
                f"cues: {PLACEBO} must be without a strength (got {strength:g}): it shows nothing"
            )
        checks.number(f"cues: the strength of {name}", strength, most=1, above=0)


def _resampled(image: Image, detail: float) -> Image:
    """Scale down to `detail` pixels per face unit, as a small generator would give, and up again."""
    small = round((RIGHT - LEFT) * detail), round((BOTTOM - TOP) * detail)
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    enlarged: Image = cv2.resize(reduced, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return enlarged


def _inner(head: Head, feather: float) -> Plane:
    """Compute a patch's opacity over the head's texture: 1 inside, fading within `feather` of the radius."""
    (centre_u, centre_v), (radius_u, radius_v) = _INNER
    height, width = head.alpha.shape
    u = LEFT + (np.arange(width, dtype=np.float32) + 0.5) / head.unit - centre_u
    v = TOP + (np.arange(height, dtype=np.float32) + 0.5) / head.unit - centre_v
    radius = np.hypot(u[None, :] / radius_u, v[:, None] / radius_v)
    mask: Plane = np.clip((1 - radius) / feather, 0, 1).astype(np.float32) * head.alpha
    return mask
