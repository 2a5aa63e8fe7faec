"""Clips and caches of drawn faces: a FAKE differs from its REAL by a patch over the mouth."""

from pathlib import Path

import cv2
import numpy as np

from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache, FaceClip, Row


def draw_clip(video: str, fake: bool, frames: int, size: int) -> FaceClip:
    """Draw a face that moves on a noisy ground; a FAKE has a mouth region of another, flickering hue."""
    rng = np.random.default_rng([*video.split("_fake")[0].encode()])  # a fake shares all but the patch
    skin = rng.integers(90, 200, 3)
    ground = rng.integers(0, 255, 3)
    flicker = np.random.default_rng([7, *video.encode()])
    faces = np.empty((frames, 3, size, size), np.uint8)
    landmarks = np.empty((frames, 5, 2), np.float32)
    for t in range(frames):
        image = np.full((size, size, 3), ground, np.uint8)
        centre = np.array([size / 2, size / 2]) + rng.normal(0, size / 40, 2)
        x, y = (int(v) for v in centre)
        cv2.ellipse(image, (x, y), (size // 3, size * 2 // 5), 0, 0, 360, skin.tolist(), -1)
        for side in (-1, 1):
            cv2.circle(image, (x + side * size // 8, y - size // 10), size // 20, (30, 30, 30), -1)
        landmarks[t, :2] = [(x - size / 8, y - size / 10), (x + size / 8, y - size / 10)]
        landmarks[t, 2:] = [(x, y + size / 20), (x - size / 9, y + size / 6), (x + size / 9, y + size / 6)]
        if fake:
            shift = flicker.integers(25, 60)
            patch = image[y + size // 12 : y + size // 4, x - size // 7 : x + size // 7]
            patch[:] = np.clip(patch.astype(int) + (shift, -shift, shift // 2), 0, 255).astype(np.uint8)
        cv2.ellipse(image, (x, y + size // 6), (size // 9, size // 30 + t % 3), 0, 0, 360, (120, 40, 40), -1)
        image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
        faces[t] = image.transpose(2, 0, 1)
    boxes = np.tile(np.array([10, 10, 10 + size, 10 + size], np.float32), (frames, 1))
    return FaceClip(faces, boxes, np.arange(frames, dtype=np.int64) * 3, np.ones(frames, bool), landmarks)


def draw_cache(
    root: Path, pairs: dict[str, int], frames: int = 4, size: int = 64, profile: str = "drawn"
) -> FaceCache:
    """Write a cache; `pairs` gives the number of pairs of REAL and FAKE per split."""
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
