"""reference.npz: what training clips look like to a detector, and how far validation clips are from them.

A clip is summarised by the mean over its frames of their appearance (`models/appearance.py`), and by its
conditions (size, sharpness and brightness of the face). The appearance of training clips, each number in
standard deviations, is described by probabilistic PCA (Tipping & Bishop, 1999) around the mean of each label:
a clip's distance is Mahalanobis' under that covariance, to the nearer mean, as Lee et al. (2018) recognise
inputs of another distribution. Distance and conditions are compared in standard deviations; the largest
decides, so that all of it is one test. Its limit is set on validation clips, one per source group, so that
the stated share of such videos lies beyond it.
"""

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError

FALSE_ALARM = 0.02  # share of videos like the validation videos that the test takes for strange
_COMPONENTS = 32
_HELD_OUT = 4  # every fourth training clip tells how far clips are that the components were not fitted to
_LEAST_SCALE = 0.1  # share of the median deviation that each number of the appearance has at least
_LEAST_SPREAD = 0.05  # of the logarithm of the distance: few clips may happen to be equally far
_LEAST = 8  # training clips below which nothing can be fitted
_ZERO = 1e-12


class Reference(NamedTuple):
    """Statistics of training clips; `validation` holds the strangeness of validation clips, ascending."""

    mean: Float64[np.ndarray, "2 a"]
    scale: Float64[np.ndarray, " a"]
    components: Float64[np.ndarray, "k a"]
    variance: Float64[np.ndarray, " k"]
    residual: Float64[np.ndarray, ""]
    distance: Float64[np.ndarray, " 2"]  # mean and standard deviation of the logarithm of the distance
    conditions: Float64[np.ndarray, "2 c"]  # mean and standard deviation of the logarithm of each condition
    validation: Float64[np.ndarray, " g"]

    @classmethod
    def fit(
        cls,
        appearance: Float64[np.ndarray, "n a"],
        fake: Bool[np.ndarray, " n"],
        conditions: Float64[np.ndarray, "n c"],
    ) -> "Reference":
        """Describe training clips; the strangeness of validation clips is added by `with_validation`.

        Args:
            appearance: The clips' appearance, averaged over their frames.
            fake: Their labels.
            conditions: Their conditions, see `faces/conditions.py`.
        """
        held = np.arange(len(appearance)) % _HELD_OUT == _HELD_OUT - 1
        fitted, label = appearance[~held], fake[~held]
        mean = np.stack([fitted[label == side].mean(axis=0) for side in (False, True)])
        deviation = fitted.std(axis=0)
        scale = np.maximum(deviation, max(_LEAST_SCALE * float(np.median(deviation)), _ZERO))
        centred = (fitted - mean[label.astype(int)]) / scale
        _, singular, axes = np.linalg.svd(centred, full_matrices=False)
        variances = singular**2 / max(len(fitted) - 2, 1)
        k = min(_COMPONENTS, len(fitted) // 4, appearance.shape[1] // 2)
        rest = variances[k:].sum() / (appearance.shape[1] - k)
        residual = np.asarray(max(rest, variances.sum() / appearance.shape[1] * 1e-6, _ZERO))
        logs = np.log1p(conditions)
        spread = np.stack([logs.mean(axis=0), np.maximum(logs.std(axis=0), _LEAST_SPREAD)])
        unscaled = cls(
            mean,
            scale,
            axes[:k],
            np.maximum(variances[:k], residual),
            residual,
            np.array([0.0, 1.0]),
            spread,
            np.zeros(0),
        )
        far = unscaled._log_distance(appearance[held])
        return unscaled._replace(distance=np.array([far.mean(), max(far.std(), _LEAST_SPREAD)]))

    def with_validation(
        self, appearance: Float64[np.ndarray, "g a"], conditions: Float64[np.ndarray, "g c"]
    ) -> "Reference":
        """Set the limit by validation clips, one per source group."""
        return self._replace(validation=np.sort(self.strangeness(appearance, conditions).max(axis=1)))

    def strangeness(
        self, appearance: Float64[np.ndarray, "n a"], conditions: Float64[np.ndarray, "n c"]
    ) -> Float64[np.ndarray, "n c1"]:
        """Compare clips with training clips, in standard deviations: appearance, then each condition."""
        mean, deviation = self.distance
        far = (self._log_distance(appearance) - mean) / deviation
        centre, spread = self.conditions
        return np.column_stack([far, np.abs(np.log1p(conditions) - centre) / spread])

    @property
    def false_alarm(self) -> float:
        """Return the share of videos like the validation videos that lie beyond the limit, at most."""
        return max(FALSE_ALARM, 1 / (len(self.validation) + 1))

    @property
    def limit(self) -> float:
        """Return the strangeness that so many validation clips stay below (split conformal prediction)."""
        n = len(self.validation)
        return float(self.validation[n - max(int(FALSE_ALARM * (n + 1) + 1e-9), 1)])

    def condition_range(self, column: int) -> tuple[float, float]:
        """Return the lowest and highest value of one condition within the limit."""
        centre, spread = self.conditions[:, column]
        low, high = np.expm1(centre + np.array([-1, 1]) * self.limit * spread)
        return max(float(low), 0.0), float(high)

    def write(self, path: Path) -> None:
        """Write the file."""
        with atomic.replacing(path) as temporary, temporary.open("wb") as file:
            arrays = {name: np.asarray(value, np.float32) for name, value in self._asdict().items()}
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def read(cls, path: Path) -> "Reference":
        """Read the file.

        Raises:
            UserError: When it is damaged.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                read = cls(*(np.asarray(arrays[name], np.float64) for name in cls._fields))
            read._check()
        except (
            OSError,
            ValueError,
            KeyError,
            EOFError,
            zipfile.BadZipFile,
            TypeError,
            NotImplementedError,
        ) as error:
            raise UserError(
                f"{path} is damaged ({type(error).__name__}): copy it again, or train or export the run again"
            ) from None
        return read

    def _check(self) -> None:
        f, k, c = self.mean.shape[-1], len(self.variance), self.conditions.shape[-1]
        expected = ((2, f), (f,), (k, f), (k,), (), (2,), (2, c), (len(self.validation),))
        if tuple(array.shape for array in self) != expected or not len(self.validation):
            raise ValueError("shapes")
        if not all(np.isfinite(array).all() for array in self):
            raise ValueError("values")
        positive = (self.scale, self.variance, self.residual, self.distance[1], self.conditions[1])
        if not all((np.asarray(array) > 0).all() for array in positive):
            raise ValueError("signs")

    def _log_distance(self, appearance: Float64[np.ndarray, "n a"]) -> Float64[np.ndarray, " n"]:
        """Compute the logarithm of the distance to the nearer mean, per dimension."""
        squared = []
        for mean in self.mean:
            centred = (appearance - mean) / self.scale
            along = centred @ self.components.T
            rest = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0)
            squared.append((along**2 / self.variance).sum(axis=1) + rest / self.residual)
        return np.asarray(0.5 * np.log(np.minimum(*squared) / appearance.shape[1] + _ZERO))


def enough(fake: Bool[np.ndarray, " n"]) -> bool:
    """Say whether so many training clips of each label suffice to fit anything."""
    kept = fake[np.arange(len(fake)) % _HELD_OUT != _HELD_OUT - 1]
    return len(fake) >= _LEAST and bool(kept.any()) and not bool(kept.all())


def one_per_group(videos: Sequence[str], groups: Sequence[str]) -> list[int]:
    """Choose one video of each group by the hash of its name: videos of one source are not independent.

    Returns:
        Indices in ascending order.
    """
    chosen: dict[str, int] = {}
    for index, (video, group) in enumerate(zip(videos, groups, strict=True)):
        before = chosen.get(group)
        if before is None or _digest(video) < _digest(videos[before]):
            chosen[group] = index
    return sorted(chosen.values())


def _digest(video: str) -> bytes:
    return hashlib.sha256(video.encode(errors="surrogateescape")).digest()
