"""The report's cost: a whole study, the bootstrap against SciPy with scikit-learn, and 100,000 videos.

    PYTHONPATH=. python benchmarks/report.py

Prints a table and writes benchmarks/report.json. Our bootstrap yields AUROC, accuracy, F1 and EER in the time
shown; SciPy's yields AUROC alone.
"""

import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from sklearn.metrics import roc_auc_score

from benchmarks.example_study import write_study
from dfdc_lightning.machine import cores
from dfdc_lightning.report.statistics import Interval, bootstrap, clusters
from dfdc_lightning.results.ranking import Ranking

ROOT = Path(__file__).parents[1]
RESAMPLES = 10_000
REPEATS = 5


def drawn(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of n videos, half of them FAKE, AUROC about 0.86."""
    rng = np.random.default_rng(0)
    label = np.arange(n) % 2 == 1
    return 1 / (1 + np.exp(-(rng.normal(size=n) + 1.5 * label))), label


def ours(score: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure on every resample, from raw scores on."""
    design = clusters(label, [str(i) for i in range(len(label))])
    return bootstrap([Ranking(score, label, design.of_video, 0.6)], design, RESAMPLES)


def whole_study() -> dict[str, Any]:
    """25 runs of 314 videos through the command, start-up included."""
    with tempfile.TemporaryDirectory() as folder:
        write_study(Path(folder) / "study")
        start = time.perf_counter()
        words = [sys.executable, "report.py", f"root={folder}", "study=study"]
        subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    return {"seconds": seconds, "peak_gb": peak, "limit_seconds": 60}


def against_scipy() -> dict[str, Any]:
    """The same interval both ways, in one process."""
    score, label = drawn(314)
    best, samples = np.inf, np.empty(0)
    for _ in range(REPEATS):
        start = time.perf_counter()
        samples = ours(score, label)["auroc"][0]
        best = min(best, time.perf_counter() - start)

    def auroc(fake: np.ndarray, real: np.ndarray) -> float:
        truth = np.repeat([1, 0], [len(fake), len(real)])
        return float(roc_auc_score(truth, np.concatenate([fake, real])))

    start = time.perf_counter()
    theirs = stats.bootstrap(
        (score[label], score[~label]),
        auroc,
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=False,
        rng=0,
    )
    seconds = time.perf_counter() - start
    interval = Interval(*(float(end) for end in np.quantile(samples, [0.025, 0.975])))
    reference = theirs.confidence_interval
    # An estimated 2.5 % quantile has the standard error sqrt(p (1 − p) / n) / density, here of a normal law.
    deviation = float(samples.std())
    error = (
        np.sqrt(0.025 * 0.975 / RESAMPLES) / stats.norm.pdf(stats.norm.ppf(0.025)) * deviation * np.sqrt(2)
    )
    gaps = [abs(interval.low - reference.low), abs(interval.high - reference.high)]
    return {
        "seconds": best,
        "scipy_seconds": seconds,
        "times_faster": seconds / best,
        "interval": list(interval),
        "scipy_interval": [float(reference.low), float(reference.high)],
        "largest_gap_in_standard_errors": max(gaps) / error,
    }


def many_videos() -> dict[str, Any]:
    """100,000 videos in a process of their own, so that its peak memory is its own."""
    code = (
        "import resource, time\n"
        "from benchmarks.report import drawn, ours\n"
        "score, label = drawn(100_000)\n"
        "start = time.perf_counter()\n"
        "ours(score, label)\n"
        "print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    seconds, peak = (float(word) for word in done.stdout.split())
    return {"seconds": seconds, "peak_gb": peak, "limit_seconds": 60, "limit_gb": 2}


def main() -> None:
    study, race, large = whole_study(), against_scipy(), many_videos()
    rows = [
        ("report of 25 runs x 314 videos", f"{study['seconds']:.1f} s, {study['peak_gb']:.2f} GB", "<= 60 s"),
        ("bootstrap, 314 videos, ours", f"{race['seconds']:.3f} s", ""),
        ("bootstrap, 314 videos, SciPy + scikit-learn", f"{race['scipy_seconds']:.1f} s", ""),
        ("times faster", f"{race['times_faster']:.0f}", ">= 20"),
        ("gap of the interval ends", f"{race['largest_gap_in_standard_errors']:.1f} standard errors", "<= 3"),
        (
            "bootstrap, 100,000 videos",
            f"{large['seconds']:.1f} s, {large['peak_gb']:.2f} GB",
            "<= 60 s, 2 GB",
        ),
    ]
    for name, value, goal in rows:
        print(f"{name:<46}{value:<24}{goal}")
    machine = {"cores": cores(), "python": platform.python_version(), "numpy": np.__version__}
    result = {"report": study, "against_scipy": race, "many_videos": large, "machine": machine}
    (ROOT / "benchmarks" / "report.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
