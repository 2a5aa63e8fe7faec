"""Says whether a face looks like those of the training videos; a detector's score means nothing elsewhere."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FaceClip
from dfdc_lightning.faces.conditions import NAMES, measure
from dfdc_lightning.results.reference import Reference

_OUTSIDE = {  # in words: below the range, above it
    "face_pixels": ("smaller", "larger"),
    "sharpness": ("more blurred", "sharper or noisier"),
    "brightness": ("darker", "brighter"),
}
_UNITS = {"face_pixels": "pixels", "sharpness": "", "brightness": "of 255"}
_MOST = {"brightness": 255.0}  # a range on the logarithm may reach beyond what there can be


class Quantity(NamedTuple):
    """One quantity of a face beside those of the training videos; `low` to `high` is usual."""

    name: str
    value: float
    low: float
    high: float
    unit: str = ""

    @property
    def usual(self) -> bool:
        """Whether the value lies in the range."""
        return self.low <= self.value <= self.high


class Likeness(NamedTuple):
    """How far a face is like the training videos; `reason` is "" where it is, else why nothing is said."""

    reason: str
    strangeness: float | None = None
    limit: float | None = None
    false_alarm: float | None = None
    comparisons: tuple[Quantity, ...] = ()


def likeness(
    clip: FaceClip, appearance: Float32[np.ndarray, "t a"] | None, reference: Reference | None, remedy: str
) -> Likeness:
    """Compare one person's clip with the training clips.

    Args:
        clip: The person's faces.
        appearance: What the backbone sees in each of them.
        reference: Of the model; None where it was trained or exported by an earlier version.
        remedy: What to do about that.

    Raises:
        UserError: When the reference belongs to another network.
    """
    if reference is None or appearance is None:
        return Likeness(
            "this model cannot tell whether a video is like its training videos, as it holds no description "
            f"of them: {remedy}"
        )
    if appearance.shape[-1] != reference.mean.shape[-1]:
        raise UserError(f"reference.npz is of another network than the model: {remedy}")
    measured = list(measure(clip).values())
    values = reference.strangeness(appearance.mean(axis=0)[None].astype(np.float64), np.array([measured]))[0]
    limit = reference.limit
    comparisons = (
        Quantity("appearance", float(values[0]), -np.inf, limit),
        *(
            Quantity(name, measured[index], low, min(high, _MOST.get(name, np.inf)), _UNITS[name])
            for index, name in enumerate(NAMES)
            for low, high in (reference.condition_range(index),)
        ),
    )
    largest = int(np.argmax(values))
    reason = "" if values[largest] <= limit else _reason(comparisons[largest], reference)
    return Likeness(reason, float(values[largest]), limit, reference.false_alarm, comparisons)


def _reason(outside: Quantity, reference: Reference) -> str:
    if outside.name == "appearance":
        inside = 100 * (1 - reference.false_alarm)
        return (
            "the face looks unlike the training videos, further from them than "
            f"{inside:.0f} in 100 validation videos do"
        )
    below, above = _OUTSIDE[outside.name]
    word = below if outside.value < outside.low else above
    unit = f" {outside.unit}" if outside.unit else ""
    return (
        f"the face is {word} than those of the training videos ({outside.value:.0f}{unit}, "
        f"there {outside.low:.0f} to {outside.high:.0f})"
    )
