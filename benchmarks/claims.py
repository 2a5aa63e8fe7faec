"""The study's claims, tested on a rendered world in which it is known what betrays each forgery.

    PYTHONPATH=. python benchmarks/claims.py                         # 600 videos, 5 seeds, 10 epochs
    PYTHONPATH=. python benchmarks/claims.py --seeds 3 --epochs 5    # less, and so less certain
    PYTHONPATH=. python benchmarks/claims.py --write                 # also docs/claims.md and its figure

Renders the world, finds faces, trains eight experiments, compresses the test videos and prints the verdicts;
what is done already is not done again. The world is another one than those on which settings were chosen.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
import torch
from jaxtyping import Bool, Float32

from dfdc_lightning import atomic
from dfdc_lightning.demo import read_swaps
from dfdc_lightning.explain.gradcam import predict_with_maps
from dfdc_lightning.explain.prediction import evidence as evidence_for
from dfdc_lightning.faces.cache import FaceCache, FaceClip
from dfdc_lightning.models.detector import Detector
from dfdc_lightning.report import influence, methods
from dfdc_lightning.report.evidence import Evidence, Experiment, RunEvidence, gather
from dfdc_lightning.report.inference import Difference, Measured, adjusted, compare, mean_interval
from dfdc_lightning.report.statistics import clusters
from dfdc_lightning.report.study import read_study
from dfdc_lightning.report.style import RC
from dfdc_lightning.report.table import ABSENT, Table, gap, interval, number
from dfdc_lightning.results.elsewhere import folder_of, read_evaluation
from dfdc_lightning.runs import Run

ROOT = Path(__file__).parents[1]
EXPERIMENTS = ("baseline", "jpeg", "focal", "lstm", "statpool", "lstm_focal")
CUES = "seam=1,texture=1,temporal=1,none"
COMPRESSED = "h264-5"
SPATIAL, ALL = ("seam", "texture"), ("seam", "texture", "temporal")
SEED, PARTS = 13, 15  # of the world; parts 0-7 train, 8-9 validate, 10-14 test and hold the placebo


class Claim(NamedTuple):
    """A sentence of the study, and the difference that must be above 0 if it is true."""

    sentence: str
    where: str
    difference: Difference

    @property
    def verdict(self) -> str:
        """What the interval, and the p-value adjusted for all claims, allow to say."""
        if self.difference.interval is None or (self.difference.p_holm or 0) >= 0.05:
            return "cannot tell"
        return "holds" if self.difference.difference > 0 else "does not hold"


def call(*words: str) -> None:
    """Run a command of the repository.

    Raises:
        SystemExit: When it fails; the same benchmark again goes on from there.
    """
    if status := subprocess.run([sys.executable, *words], cwd=ROOT, check=False).returncode:
        raise SystemExit(f"{' '.join(words)} failed with exit code {status}")


def make(options: argparse.Namespace) -> None:
    """Render, prepare, train, compress."""
    videos, faces, seeds = f"{options.data}/videos", f"{options.data}/faces", range(options.seeds)
    world = ("--videos", str(options.videos), "--seed", str(SEED), "--cues", CUES, "--parts", str(PARTS))
    call("-m", "dfdc_lightning.demo", "--out", videos, *world, "--placebo-parts", "5")
    split = ("split=by_part", "split.train=0-7", "split.val=8-9", "split.test=10-14")
    haar = ("face_detector=haar", "+face_detector.long_side=320", f"size={options.size}", "frames=8")
    call("prepare_faces.py", f"source.path={videos}", f"out={faces}", *haar, "per_label=null", *split)
    small = (
        f"study={options.study}", f"seed={','.join(map(str, seeds))}", f"data.cache={faces}", "logger=none",
        "weights=package", "normalize=backbone", "data.batch_size=4", "model.optimizer.lr=1e-3",
    )  # fmt: skip
    lite0, lite2 = (f"model.backbone.name=tf_efficientnet_lite{size}" for size in (0, 2))
    epochs, longer = (f"trainer.max_epochs={n}" for n in (options.epochs, options.epochs + 5))
    call("train.py", "-m", f"experiment={','.join(EXPERIMENTS)}", lite0, epochs, *small)
    call("train.py", "-m", "experiment=effnet", lite2, epochs, *small)
    call("train.py", "-m", "experiment=lstm", "name=lstm_longer", lite0, longer, *small)
    runs = [f"multirun/{options.study}/{name}/{seed}" for name in ("baseline", "jpeg") for seed in seeds]
    call("evaluate.py", f"run=[{','.join(runs)}]", f"corrupt={COMPRESSED}", f"source.path={videos}")


class Bench:
    """The finished study and what is asked of it.

    Args:
        study: Name of the study below multirun/.
        faces: Its face cache.
        videos: The rendered videos.
    """

    def __init__(self, study: str, faces: Path, videos: Path) -> None:
        order = [*EXPERIMENTS, "effnet", "lstm_longer"]
        self.evidence: Evidence = gather([read_study(ROOT / "multirun", study, order)], n_resamples=2000)
        self.cache, self.swaps = FaceCache(faces), read_swaps(videos)
        self.method = {row.video: row.method for row in self.cache.rows()}

    def experiment(self, name: str) -> Experiment:
        """The experiment of this name."""
        return next(one for one in self.evidence.experiments if one.name == name)

    def mask(self, experiment: Experiment, cues: Sequence[str]) -> Bool[np.ndarray, " v"]:
        """All REAL test videos and the FAKE ones with these cues."""
        test = experiment.runs[0].test
        return ~test.label | np.array([self.method.get(video, "") in cues for video in test.video])

    def aurocs(self, name: str, cues: Sequence[str]) -> list[Measured]:
        """AUROC of each seed on the test videos with these cues."""
        experiment = self.experiment(name)
        mask, of_video = self.mask(experiment, cues), experiment.design.of_video
        return [influence.auroc(r.test.score, r.test.label, mask, of_video) for r in experiment.runs]

    def right(self, name: str, fake: bool) -> list[Measured]:
        """Share of REAL, or of FAKE with a cue, that each seed calls right at its threshold."""
        experiment = self.experiment(name)
        mask = self.mask(experiment, ALL) & (experiment.runs[0].test.label == fake)

        def share(run: RunEvidence) -> Measured:
            called = (run.test.score > run.threshold) == run.test.label
            return influence.share(called.astype(float), mask, experiment.design.of_video)

        return [share(run) for run in experiment.runs]

    def compressed(self, name: str) -> list[Measured]:
        """AUROC of each seed on the compressed test videos with spatial cues."""
        measured = []
        for run in self.experiment(name).runs:
            found = read_evaluation(folder_of(run.run.folder, self.cache.root.name, COMPRESSED))
            assert found is not None and found.scores is not None, run.run.name
            scores = found.scores
            cues = np.array([self.method.get(video, "") in SPATIAL for video in scores.video])
            design = clusters(scores.label, scores.group)
            mask = ~scores.label | cues
            measured.append(influence.auroc(scores.score, scores.label, mask, design.of_video))
        return measured

    def claims(self) -> list[Claim]:
        """Every claim with its difference, p-values adjusted for all of them."""
        groups = self.experiment("baseline").design.smaller

        def between(
            first: str, second: str, cues: Sequence[str], sign: int = 1
        ) -> tuple[list[Measured], list[Measured]]:
            pair = self.aurocs(first, cues), self.aurocs(second, cues)
            return pair if sign > 0 else pair[::-1]

        base = "baseline"
        asked = [
            ("an LSTM over the frames is better", "temporal", between("lstm", base, ("temporal",))),
            ("an LSTM over the frames is better", "seam, texture", between("lstm", base, SPATIAL)),
            ("mean and deviation are better", "temporal", between("statpool", base, ("temporal",))),
            ("mean and deviation are better", "seam, texture", between("statpool", base, SPATIAL)),
            ("mean and deviation beat an LSTM", "temporal", between("statpool", "lstm", ("temporal",))),
            ("JPEG augmentation lowers AUROC", "seam, texture", between("jpeg", base, SPATIAL, -1)),
            (
                "JPEG augmentation helps on compressed videos",
                f"seam, texture after {COMPRESSED}",
                (self.compressed("jpeg"), self.compressed(base)),
            ),
            (
                "focal loss calls more REAL videos right",
                "REAL",
                (self.right("focal", False), self.right(base, False)),
            ),
            (
                "focal loss calls fewer FAKE videos right",
                "all cues",
                (self.right(base, True), self.right("focal", True)),
            ),
            ("five epochs more help the LSTM", "all cues", between("lstm_longer", "lstm", ALL)),
            ("focal loss helps the LSTM", "all cues", between("lstm_focal", "lstm", ALL)),
            ("a smaller, newer network opened by thirds is better", "all cues", between("effnet", base, ALL)),
        ]
        found = adjusted([compare(first, second, groups) for _, _, (first, second) in asked])
        return [Claim(*words[:2], difference) for words, difference in zip(asked, found, strict=True)]

    def attention(self) -> list[list[str]]:
        """Share of baseline's evidence for FAKE inside the forged region, against shuffled weights."""
        experiment = self.experiment("baseline")
        test = experiment.runs[0].test
        clips = {v: self.cache.read_clip(v) for v in test.video if self.method.get(v) in ALL}
        inside = {v: regions(clip, self.swaps[v]) for v, clip in clips.items()}
        trained, shuffled = [], []
        for run in experiment.runs:
            detector = Run(run.run.folder).load_detector()
            trained.append(masses(detector, clips, inside, test.video))
            shuffled.append(masses(with_shuffled_weights(detector), clips, inside, test.video))
        area = np.array([inside[v].mean() if v in inside else np.nan for v in test.video])
        rows = []
        for cue in ALL:
            mask = np.array([self.method.get(video) == cue for video in test.video])
            sides = [[self._share(one, mask, experiment) for one in side] for side in (trained, shuffled)]
            groups = clusters(test.label[mask], [test.group[i] for i in np.flatnonzero(mask)]).n
            cells = [mean_interval(side, groups) for side in sides]
            words = [f"{number(c.value)} ({interval(c)})" if np.isfinite(c.value) else ABSENT for c in cells]
            between = ABSENT if ABSENT in words else gap(compare(*sides, groups))  # no map speaks for FAKE
            rows.append([cue, number(float(np.nanmean(area[mask]))), *words, between])
        return rows

    @staticmethod
    def _share(values: np.ndarray, mask: Bool[np.ndarray, " v"], experiment: Experiment) -> Measured:
        known = mask & np.isfinite(values)
        return influence.share(np.nan_to_num(values), known, experiment.design.of_video)


def regions(clip: FaceClip, ellipses: Sequence[tuple[float, ...]]) -> Float32[np.ndarray, "t s s"]:
    """The forged region in each of a clip's faces, 1 inside."""
    side, masks = clip.faces.shape[-1], []
    for box, index in zip(clip.boxes, clip.frames, strict=True):
        x, y, radius_x, radius_y, degrees = ellipses[int(index)]
        scale = side / (box[2] - box[0])
        centre = (float((x - box[0]) * scale), float((y - box[1]) * scale))
        axes = (float(2 * radius_x * scale), float(2 * radius_y * scale))
        masks.append(cv2.ellipse(np.zeros((side, side), np.float32), (centre, axes, degrees), 1, -1))
    return np.stack(masks)


def masses(
    detector: Detector, clips: dict[str, FaceClip], inside: dict[str, np.ndarray], videos: Sequence[str]
) -> np.ndarray:
    """Share of each video's evidence for FAKE inside its forged region; NaN for others and without any."""
    found = np.full(len(videos), np.nan)
    for place, video in enumerate(videos):
        if video in clips:
            maps = predict_with_maps(detector, clips[video].faces[None]).maps
            assert maps is not None
            side = inside[video].shape[-1]
            full = np.stack([cv2.resize(one, (side, side)) for one in evidence_for(maps[0], fake=True)])
            if full.sum() > 0:
                found[place] = (full * inside[video]).sum() / full.sum()
    return found


def with_shuffled_weights(detector: Detector) -> Detector:
    """The same network, the numbers of each of its weights in random order; changes `detector` itself."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in detector.parameters():
            flat = weight.flatten()
            weight.copy_(flat[torch.randperm(len(flat), generator=generator)].view_as(weight))
    return detector


def spread(bench: Bench) -> str:
    """How effnet's seeds spread beside baseline's."""
    deviations = {name: bench.experiment(name).values("auroc").std(ddof=1) for name in ("baseline", "effnet")}
    return (
        f"Over seeds, test AUROC has a standard deviation of {deviations['effnet']:.3f} in effnet and of "
        f"{deviations['baseline']:.3f} in baseline."
    )


def document(bench: Bench, options: argparse.Namespace) -> str:
    """docs/claims.md."""
    rows = [[c.sentence, c.where, gap(c.difference), c.verdict] for c in bench.claims()]
    verdicts = Table("claims", "", "", ["claim", "tested on", "difference (95 %)", "verdict"], rows)
    columns = ["cue", "share of the region", "trained", "shuffled weights", "difference (95 %)"]
    attention = Table("attention", "", "", columns, bench.attention())
    test = bench.experiment("baseline").runs[0].test
    write: Callable[[Table], str] = Table.markdown
    return f"""# The study's claims in a world whose truth is known

Made by this command, which goes on where it was stopped:

    PYTHONPATH=. python benchmarks/claims.py --videos {options.videos} --seeds {options.seeds} \\
        --epochs {options.epochs} --size {options.size} --write

{options.videos} rendered videos of world {SEED}, {len(test.video)} of them for the test;
{options.seeds} seeds per experiment, {options.epochs} epochs, {options.size} pixels, 8 frames;
EfficientNet-Lite0 (effnet: Lite2) with ImageNet weights, the last 18 layers open. Batches of 4 clips and
a learning rate of 1e-3 were chosen on worlds 900 and 901, which appear nowhere here. Rendered faces are no
deepfakes: a verdict says what a method can do about a cue, not how often the cue occurs.

## Verdicts

A difference is the mean over seeds of the first minus that of the second, its interval over seeds and videos.
*Holds* and *does not hold* need a p-value below 0.05 after Holm's correction for all {len(rows)} claims; all
else is *cannot tell*.

{write(verdicts)}

{spread(bench)}

## By cue

By construction no detector can beat 0.5 on `none`, and no detector of single frames can on `temporal`.

{write(methods.table(bench.evidence))}

![AUROC of each experiment by cue](claims.png)

## Where it looks

The share of baseline's Grad-CAM evidence for FAKE that lies inside the forged region, beside the region's
share of the face, and the same of the network with shuffled weights. A map has few places at this size of
face, so it can be roughly right only.

{write(attention)}
"""


def main() -> None:
    """Make what is missing, and print or write the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--size", type=int, default=96, help="side of a face in pixels (default: 96)")
    parser.add_argument("--study", default="claims", help="folder below multirun/ (default: claims)")
    parser.add_argument("--data", default="data/claims", help="folder of videos and faces")
    parser.add_argument("--write", action="store_true", help="write docs/claims.md and docs/claims.png")
    options = parser.parse_args()
    make(options)
    bench = Bench(options.study, ROOT / options.data / "faces", ROOT / options.data / "videos")
    text = document(bench, options)
    print(text)
    if options.write:
        atomic.write_text(ROOT / "docs" / "claims.md", text)
        with matplotlib.rc_context(RC):
            (picture,) = methods.figure(bench.evidence)
            picture.figure.savefig(ROOT / "docs" / "claims.png", dpi=160)  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
