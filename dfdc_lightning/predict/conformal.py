"""FAKE, REAL or INCONCLUSIVE, so that at most a stated share of answers is wrong: split conformal prediction.

Class-conditional (Mondrian) conformal prediction (Vovk et al., 2005): a video is called FAKE only where at
most the share `error` of REAL validation videos, itself counted among them, scores as high, and REAL only
where at most that share of FAKE ones scores as low. If a video is exchangeable with the validation videos of
its label, it is called the other label with at most that probability, whatever the detector is worth. Of
each source group one video per label counts, as videos of one source are not independent of each other.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from dfdc_lightning import checks
from dfdc_lightning.faces.cache import FAKE, REAL
from dfdc_lightning.results.predictions import Scores
from dfdc_lightning.results.reference import one_per_group

INCONCLUSIVE = "INCONCLUSIVE"
ERROR = 0.05  # the default of error=
_ROUNDING = 1e-9


class Conformal(NamedTuple):
    """Validation scores of each label, ascending, and the share of answers that may be wrong.

    `persons` are tested in the video: that none of a REAL video is called FAKE takes a stricter test of each
    (Bonferroni).
    """

    real: Float64[np.ndarray, " r"]
    fake: Float64[np.ndarray, " f"]
    error: float
    persons: int = 1

    def p_values(self, score: Float64[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
        """Compute how usual scores are: the share of REAL ones as high, and the share of FAKE ones as low."""
        above = len(self.real) - np.searchsorted(self.real, score, "left")
        below = np.searchsorted(self.fake, score, "right")
        return (1 + above) / (len(self.real) + 1), (1 + below) / (len(self.fake) + 1)

    def sides(self, score: Float64[np.ndarray, " n"]) -> np.ndarray:
        """Answer for scores: 1 is FAKE, -1 REAL, 0 INCONCLUSIVE.

        Where a score is unusual for both labels, as with a detector that errs less often than `error`, the
        less unusual one is the answer: the guarantee asks for no more.
        """
        real, fake = self.p_values(score)
        # Counted without the video itself, as labels with fewer videos would look less unusual otherwise.
        as_high = (real * (len(self.real) + 1) - 1) / max(len(self.real), 1)
        as_low = (fake * (len(self.fake) + 1) - 1) / max(len(self.fake), 1)
        called_fake = (real <= self.error / self.persons + _ROUNDING) & (as_low > as_high + _ROUNDING)
        called_real = (fake <= self.error + _ROUNDING) & (as_high > as_low + _ROUNDING)
        return np.asarray(called_fake.astype(int) - called_real.astype(int))

    def answer(self, score: float) -> str:
        """Answer for one score."""
        return {1: FAKE, -1: REAL, 0: INCONCLUSIVE}[int(self.sides(np.array([score]))[0])]

    def cuts(self) -> tuple[float | None, float | None]:
        """Find up to which score the answer is REAL and from which it is FAKE; None where it never is."""
        grid = np.unique([0.0, 1.0, *self.real, *self.fake])
        grid = np.unique([*grid, *(grid[1:] + grid[:-1]) / 2])
        sides = self.sides(grid)
        real, fake = grid[sides < 0], grid[sides > 0]
        return float(real.max()) if real.size else None, float(fake.min()) if fake.size else None

    @property
    def lacking(self) -> int:
        """Return how many validation videos of each label there must be, or 0 where there are enough."""
        least = math.ceil(self.persons / self.error - 1 - _ROUNDING)
        return least if min(len(self.real), len(self.fake)) < least else 0


def check_error(error: float) -> float:
    """Return an error rate, or refuse what cannot be one.

    Raises:
        UserError: "error must be a number above 0 and below 0.5 (got 0.7)".
    """
    return checks.number("error", error, above=0, below=0.5)


def calibration_scores(val: Scores | None) -> dict[str, list[float]]:
    """Collect the validation scores of each label in ascending order, one per source group."""
    chosen: dict[str, list[float]] = {REAL: [], FAKE: []}
    if val is None:
        return chosen
    for label in (REAL, FAKE):
        members = np.flatnonzero(val.label == (label == FAKE))
        kept = one_per_group([val.video[i] for i in members], [val.group[i] for i in members])
        chosen[label] = sorted(float(val.score[members[i]]) for i in kept)
    return chosen
