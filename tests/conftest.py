"""What several test files share: the folder of real data, and a tiny cache of drawn faces to learn."""

import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from forgeries import Forgeries, Trained, learn, render_forgeries, train_run

from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache, FaceClip, Row
from dfdc_lightning.models.detector import Detector

SHARED = Path(__file__).parents[1].parent / "shared"

# A shell lets what it starts in the background ignore Ctrl-C, and so would every command that we stop by it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real videos, which the repository does not contain."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED.name}/ with the real videos is not beside the repository")
    return SHARED


def draw_clip(video: str, fake: bool, frames: int, size: int) -> FaceClip:
    """Faces in motion on a noisy ground; a fake one has a mouth region of another hue that flickers."""
    rng = np.random.default_rng([*video.split("_fake")[0].encode()])  # a fake shares all but the patch
    skin = rng.integers(90, 200, 3)
    ground = rng.integers(0, 255, 3)
    flicker = np.random.default_rng([7, *video.encode()])
    faces = np.empty((frames, 3, size, size), np.uint8)
    for t in range(frames):
        image = np.full((size, size, 3), ground, np.uint8)
        centre = np.array([size / 2, size / 2]) + rng.normal(0, size / 40, 2)
        x, y = (int(v) for v in centre)
        cv2.ellipse(image, (x, y), (size // 3, size * 2 // 5), 0, 0, 360, skin.tolist(), -1)
        for side in (-1, 1):
            cv2.circle(image, (x + side * size // 8, y - size // 10), size // 20, (30, 30, 30), -1)
        if fake:
            shift = flicker.integers(25, 60)
            patch = image[y + size // 12 : y + size // 4, x - size // 7 : x + size // 7]
            patch[:] = np.clip(patch.astype(int) + (shift, -shift, shift // 2), 0, 255).astype(np.uint8)
        cv2.ellipse(image, (x, y + size // 6), (size // 9, size // 30 + t % 3), 0, 0, 360, (120, 40, 40), -1)
        image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
        faces[t] = image.transpose(2, 0, 1)
    boxes = np.tile(np.array([10, 10, 10 + size, 10 + size], np.float32), (frames, 1))
    return FaceClip(faces, boxes, np.arange(frames, dtype=np.int64) * 3, np.ones(frames, bool))


def draw_cache(
    root: Path, pairs: dict[str, int], frames: int = 4, size: int = 64, profile: str = "drawn"
) -> FaceCache:
    """Write a cache with so many pairs of REAL and FAKE in each split."""
    cache, rows = FaceCache(root), []
    for split, n in pairs.items():
        for index in range(n):
            source = f"{split}{index:03d}"
            for video, label in ((source, REAL), (f"{source}_fake", FAKE)):
                cache.write_clip(video, draw_clip(video, label == FAKE, frames, size))
                original = source if label == FAKE else ""
                rows.append(
                    Row(
                        video,
                        label,
                        original,
                        source,
                        split,
                        n_found=frames,
                        face_detector="drawn",
                        profile=profile,
                    )
                )
    cache.write_rows(rows)
    return cache


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of 8/4/4 pairs of clips of four 64-pixel faces."""
    return draw_cache(tmp_path_factory.mktemp("tiny_cache"), {"train": 8, "val": 4, "test": 4}).root


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run of train.py on rendered videos."""
    return train_run(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def forgeries(tmp_path_factory: pytest.TempPathFactory) -> Forgeries:
    """Rendered pairs of REAL and FAKE clips, with the swapped region of each frame."""
    return render_forgeries(tmp_path_factory.mktemp("forgeries"))


@pytest.fixture(scope="session")
def taught(forgeries: Forgeries) -> dict[str, Detector]:
    """A frame and a sequence detector that tell these forgeries apart."""
    return {kind: learn(kind, forgeries) for kind in ("frame", "sequence")}
