"""One run's scores, sorted once: ten thousand reweightings of its videos then need no sorting."""

import numpy as np
from jaxtyping import Bool, Float64, Integer

MEASURES = ("auroc", "accuracy", "f1", "eer")


class Ranking:
    """One run's scores sorted once, so that any weighting of its videos is measured from cumulative sums.

    Args:
        score: Probability of FAKE of each video.
        label: True for FAKE.
        cluster: Index of the cluster a video belongs to; whole clusters are weighted.
        threshold: Videos above it are called FAKE (accuracy and F1).

    Raises:
        ValueError: When only one label is present: nothing here is defined then.
    """

    def __init__(
        self,
        score: Float64[np.ndarray, " v"],
        label: Bool[np.ndarray, " v"],
        cluster: Integer[np.ndarray, " v"],
        threshold: float,
    ) -> None:
        if label.all() or not label.any():
            raise ValueError("a ranking needs REAL and FAKE videos")
        order = np.argsort(score, kind="stable")
        score, label, cluster = score[order], label[order], cluster[order]
        real, fake = score[~label], score[label]
        self.real_cluster, self.fake_cluster = cluster[~label], cluster[label]
        self.share = float(label.mean())
        self.reals_below = np.searchsorted(real, fake, "left")
        self.reals_up_to = np.searchsorted(real, fake, "right")
        self.at_threshold = (
            np.searchsorted(real, threshold, "right"),
            np.searchsorted(fake, threshold, "right"),
        )
        # ROC points from "nothing is FAKE" to "everything is": how many of either label lie below the
        # threshold.
        points = np.append(np.unique(score), np.inf)[::-1]
        self.points = np.searchsorted(real, points, "left"), np.searchsorted(fake, points, "left")

    def measure(self, counts: Integer[np.ndarray, "b c"]) -> dict[str, Float64[np.ndarray, " b"]]:
        """Compute each of MEASURES, by name, under b weightings.

        `counts[i, j]` is how often cluster j is taken in weighting i.

        Every label keeps its share in accuracy and F1 however often its videos were taken
        (post-stratification).
        """
        reals = _cumulative(counts, self.real_cluster)
        fake_counts = counts.take(self.fake_cluster, axis=1)
        fakes = _padded_sums(fake_counts)
        n_real, n_fake = reals[:, -1].astype(np.int64), fakes[:, -1].astype(np.int64)
        below = reals.take(self.reals_below, axis=1) + reals.take(self.reals_up_to, axis=1)
        wins = np.einsum("bf,bf->b", fake_counts, below, dtype=np.float64)
        auroc = wins / (2.0 * n_real * n_fake)
        at_real, at_fake = self.at_threshold
        false_alarm, hit = 1 - reals[:, at_real] / n_real, 1 - fakes[:, at_fake] / n_fake
        accuracy = self.share * hit + (1 - self.share) * (1 - false_alarm)
        f1 = 2 * self.share * hit / (self.share * (hit + 1) + (1 - self.share) * false_alarm)
        eer = self._eer(reals, fakes, n_real, n_fake)
        return {"auroc": auroc, "accuracy": accuracy, "f1": f1, "eer": eer}

    def _eer(
        self,
        reals: Integer[np.ndarray, "b r"],
        fakes: Integer[np.ndarray, "b f"],
        n_real: Integer[np.ndarray, " b"],
        n_fake: Integer[np.ndarray, " b"],
    ) -> Float64[np.ndarray, " b"]:
        """Find where both error rates cross, by bisection in exact integers: they are monotone."""
        rows = np.arange(len(n_real))

        def errors(point: Integer[np.ndarray, " b"]) -> tuple[np.ndarray, np.ndarray]:
            alarms = n_real - reals[rows, self.points[0][point]]
            return alarms * n_fake, fakes[rows, self.points[1][point]] * n_real

        before, after = np.zeros(len(rows), np.int64), np.full(len(rows), len(self.points[0]) - 1)
        while (after - before > 1).any():
            middle = (before + after) // 2
            alarms, misses = errors(middle)
            crossed = alarms >= misses
            before, after = np.where(crossed, before, middle), np.where(crossed, middle, after)
        (a0, m0), (a1, m1) = errors(before), errors(after)
        first = np.abs(a0 - m0) <= np.abs(a1 - m1)
        eer: np.ndarray = np.where(first, a0 + m0, a1 + m1) / (2.0 * n_real * n_fake)
        return eer


def _cumulative(counts: Integer[np.ndarray, "b c"], cluster: Integer[np.ndarray, " r"]) -> np.ndarray:
    return _padded_sums(counts.take(cluster, axis=1))


def _padded_sums(counts: Integer[np.ndarray, "b r"]) -> np.ndarray:
    sums = np.zeros((counts.shape[0], counts.shape[1] + 1), np.int32)
    np.cumsum(counts, axis=1, dtype=np.int32, out=sums[:, 1:])
    return sums
