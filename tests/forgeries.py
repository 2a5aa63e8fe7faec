"""Rendered forgeries whose swapped region is known, detectors trained on them, and a run of train.py."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from face_detectors import first_clip
from torch import nn

from dfdc_lightning.demo import read_swaps, render
from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache, Row
from dfdc_lightning.faces.crop import crops
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.face_detector import Haar
from dfdc_lightning.faces.profile import claim_profile
from dfdc_lightning.models.detector import Detector
from dfdc_lightning.models.frame import FrameDetector
from dfdc_lightning.models.sequence import SequenceDetector
from dfdc_lightning.models.statpool import StatisticsPoolingDetector
from dfdc_lightning.video.frames import read_frames

ROOT = Path(__file__).parents[1]
SIDE = 64
WHOLE = 2.8  # side of a crop in radii of the swapped ellipse: about a third of the crop is swapped


KINDS = ("frame", "sequence")


class Forgeries(NamedTuple):
    """Clips in pairs, FAKE before the REAL one it was made from, and where the FAKE one is swapped."""

    faces: np.ndarray  # b t 3 s s
    label: np.ndarray  # b
    swapped: np.ndarray  # b t s s, 1 inside


def render_forgeries(root: Path, videos: int = 40) -> None:
    """Render pairs into a folder, and write their faces to forgeries.npz in it."""
    render(root, videos=videos, size=(320, 240), seconds=1.0, fps=6, qp=20, cues={"seam": 1.0})
    faces, label, swapped = [], [], []
    originals = {
        Path(name).stem: Path(entry["original"]).stem
        for file in root.glob("*/metadata.json")
        for name, entry in json.loads(file.read_text()).items()
        if "original" in entry
    }
    swaps = read_swaps(root)
    for fake in sorted(swaps):
        for name in (fake, originals[fake]):
            frames = read_frames(next(root.glob(f"*/{name}.mp4")), 6)
            ellipses = [swaps[fake][index] for index in frames.indices]
            half = max(ellipse.radius_y for ellipse in ellipses) * WHOLE / 2
            boxes = (
                np.array([(e.x - half, e.y - half, e.x + half, e.y + half) for e in ellipses])
                .round()
                .astype(int)
            )
            faces.append(crops(frames.images, boxes, SIDE))
            label.append(name == fake)
            swapped.append([_inside(e, box) for e, box in zip(ellipses, boxes, strict=True)])
    np.savez(root / "forgeries.npz", *Forgeries(np.stack(faces), np.array(label), np.array(swapped)))


def read_forgeries(root: Path) -> Forgeries:
    with np.load(root / "forgeries.npz", allow_pickle=False) as arrays:
        return Forgeries(*(arrays[name] for name in arrays.files))


def _inside(ellipse: Any, box: np.ndarray) -> np.ndarray:
    scale = SIDE / (box[2] - box[0])
    centre = ((ellipse.x - box[0]) * scale, (ellipse.y - box[1]) * scale)
    axes = (2 * ellipse.radius_x * scale, 2 * ellipse.radius_y * scale)
    return cv2.ellipse(np.zeros((SIDE, SIDE), np.float32), (centre, axes, ellipse.degrees), 1, -1)


class SmallBackbone(nn.Sequential):
    """Four convolutions that keep eight by eight places of a 64-pixel face."""

    num_features = 32
    pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "input_size": (3, SIDE, SIDE)}

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        for wide, wider, stride in ((3, 12, 2), (12, 24, 2), (24, 32, 2), (32, 32, 1)):
            layers += [nn.Conv2d(wide, wider, 3, stride, 1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def build(kind: str, backbone: nn.Module | None = None, trainable_layers: int | None = None) -> Detector:
    training: dict[str, Any] = {
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": torch.optim.AdamW,
        "scheduler": torch.optim.lr_scheduler.ConstantLR,
        "trainable_layers": trainable_layers,
        "threshold": 0.5,
        "mean": None,
        "std": None,
    }
    backbone = SmallBackbone() if backbone is None else backbone
    if kind == "frame":
        return FrameDetector(backbone, **training)
    if kind == "statpool":
        return StatisticsPoolingDetector(backbone, hidden=16, **training)
    return SequenceDetector(backbone, hidden=16, **training)


def learn(kind: str, forgeries: Forgeries, folder: Path, epochs: int = 15) -> None:
    """Train a small detector and write its weights; two threads would wait more than they compute here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    detector = build(kind).train()
    optimizer = torch.optim.AdamW(detector.parameters(), 3e-3)
    faces, label = torch.from_numpy(forgeries.faces), torch.from_numpy(forgeries.label).float()
    for _ in range(epochs):
        for pairs in torch.randperm(len(faces) // 2).split(4):
            batch = torch.stack([2 * pairs, 2 * pairs + 1], 1).flatten()
            clips = faces[batch].flip(-1) if torch.rand(()) < 0.5 else faces[batch]
            logits = detector(clips)
            loss = nn.functional.binary_cross_entropy_with_logits(
                logits, label[batch][:, None].expand_as(logits)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.set_num_threads(threads)
    folder.mkdir(exist_ok=True)
    torch.save(detector.state_dict(), folder / f"{kind}.pt")


def read_learnt(kind: str, folder: Path) -> Detector:
    detector = build(kind)
    detector.load_state_dict(torch.load(folder / f"{kind}.pt", weights_only=True))
    return detector.eval()


class Trained(NamedTuple):
    """A run of train.py on rendered videos, and where those lie."""

    run: Path
    videos: Path
    cache: Path

    @classmethod
    def below(cls, root: Path) -> "Trained":
        return cls(root / "multirun" / "tiny" / "baseline" / "0", root / "videos", root / "cache")

    def video(self, name: str) -> Path:
        return next(self.videos.glob(f"*/{name}.mp4"))


def train_run(root: Path, frames: int = 4) -> None:
    """Prepare eight pairs of videos and train on them: one epoch of a tiny network at 48 pixels."""
    run, videos, _ = Trained.below(root)
    if not videos.exists():
        render(videos, videos=16, size=(320, 240), seconds=1.0, fps=8)
    preparation = FacePreparation(Haar(), frames=frames, size=48)
    cache = FaceCache(Trained.below(root).cache)
    claim_profile(cache.root, preparation.settings)
    rows = []
    metadata = {
        Path(name).stem: entry
        for file in videos.glob("*/metadata.json")
        for name, entry in json.loads(file.read_text()).items()
    }
    reals = sorted(name for name, entry in metadata.items() if entry["label"] == REAL)
    splits = dict(zip(reals, ("train",) * 4 + ("val",) * 2 + ("test",) * 2, strict=True))
    for name, entry in metadata.items():
        source = Path(entry.get("original", name)).stem
        cache.write_clip(name, first_clip(preparation, next(videos.glob(f"*/{name}.mp4"))))
        original = source if entry["label"] == FAKE else ""
        rows.append(
            Row(
                name,
                entry["label"],
                original,
                source,
                splits[source],
                n_found=frames,
                profile=preparation.profile,
            )
        )
    cache.write_rows(rows)
    words = [
        "study=tiny", "scale=scratch", "augment=none", "model.backbone.name=test_resnet",
        "trainer.max_epochs=1", "trainer.accelerator=cpu", f"data.cache={cache.root}", f"hydra.run.dir={run}",
    ]  # fmt: skip
    done = subprocess.run([sys.executable, "train.py", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
