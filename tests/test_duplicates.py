"""One video twice is found by its faces, whatever was done to it; different videos are not."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from dfdc_lightning.audit.check_file import read_check, write_check
from dfdc_lightning.audit.duplicates import near_duplicates
from dfdc_lightning.audit.facts import small_faces
from dfdc_lightning.faces.cache import FaceClip

N = 12


def clip(faces: np.ndarray) -> FaceClip:
    t = len(faces)
    return FaceClip(faces, np.zeros((t, 4), np.float32), np.arange(t), np.ones(t, bool))


def person(number: int) -> np.ndarray:
    """Four frames of a face that is nobody else's: (t, 3, 96, 96)."""
    rng = np.random.default_rng(number)
    coarse = rng.uniform(40, 215, (8, 8, 3)).astype(np.float32)
    face = cv2.resize(coarse, (96, 96), interpolation=cv2.INTER_CUBIC)
    frames = [np.roll(face, step, axis=1) + rng.normal(0, 3, face.shape) for step in range(4)]
    return np.clip(np.stack(frames), 0, 255).astype(np.uint8).transpose(0, 3, 1, 2)


def compressed(faces: np.ndarray) -> np.ndarray:
    out = []
    for face in faces:
        _, data = cv2.imencode(".jpg", face.transpose(1, 2, 0), [cv2.IMWRITE_JPEG_QUALITY, 20])
        out.append(cv2.imdecode(data, cv2.IMREAD_COLOR).transpose(2, 0, 1))
    return np.stack(out)


@pytest.mark.parametrize(
    ("change", "mirrored"),
    [
        (lambda faces: faces, False),
        (compressed, False),
        (lambda faces: faces[..., ::-1], True),
        (lambda faces: (faces * 0.6).astype(np.uint8), False),
        (lambda faces: faces[1:3], False),
    ],
    ids=["same", "compressed", "mirrored", "darker", "shortened"],
)
def test_a_changed_copy_is_found_and_no_other_pair(change: object, mirrored: bool) -> None:
    assert callable(change)
    people = [person(number) for number in range(N)]
    copied = np.ascontiguousarray(change(people[3]))
    (pair,) = near_duplicates([small_faces(clip(faces)) for faces in [*people, copied]])
    assert (pair.a, pair.b, pair.mirrored) == (3, N, mirrored) and pair.similarity > 0.9


def test_a_check_is_read_back_and_a_damaged_or_absent_one_is_none(tmp_path: Path) -> None:
    assert read_check(tmp_path) is None
    write_check(tmp_path, {"shortcuts": {"auroc": 0.7}})
    assert (read_check(tmp_path) or {})["shortcuts"] == {"auroc": 0.7}
    (tmp_path / "check" / "check.json").write_text("{")
    assert read_check(tmp_path) is None
