"""Self-blended pairs: changed inside the face alone, drawn once per clip, made of REAL clips alone."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from drawn import draw_cache, draw_clip

from dfdc_lightning.augment import Augment, HorizontalFlip, Jpeg
from dfdc_lightning.blend import SelfBlend
from dfdc_lightning.clips import FaceDataModule
from dfdc_lightning.compression import H264, Choice, Downscale, WebP
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache
from dfdc_lightning.faces.outline import outlines
from dfdc_lightning.pairs import SELF_BLENDED
from dfdc_lightning.sheet import sheet

SIZE = 64
FRONTAL = np.array([[24, 26], [40, 26], [32, 36], [26, 43], [38, 43]], np.float32)


def real_cache(root: Path, clips: dict[str, int], landmarks: bool = True) -> FaceCache:
    """A cache of REAL clips alone, with the landmarks of the drawn faces."""
    cache = draw_cache(root, clips, size=SIZE)
    for row in cache.rows():
        points = np.tile(FRONTAL, (4, 1, 1)) if landmarks else None
        cache.write_clip(row.video, draw_clip(row.video, False, 4, SIZE)._replace(landmarks=points))
    cache.write_rows(row for row in cache.rows() if row.label == REAL)
    return cache


def clip() -> tuple[np.ndarray, np.ndarray]:
    return draw_clip("somebody", False, 4, SIZE).faces, np.tile(FRONTAL, (4, 1, 1))


def test_the_outline_holds_the_face_and_turns_with_it() -> None:
    turned = FRONTAL + np.array([[0, 0], [-5, 0], [-6, 0], [0, 0], [-4, 0]], np.float32)  # to the left
    front, side = outlines(np.stack([FRONTAL, turned]))
    for outline, landmarks in ((front, FRONTAL), (side, turned)):
        hull = cv2.convexHull(outline)
        assert all(cv2.pointPolygonTest(hull, (float(x), float(y)), False) >= 0 for x, y in landmarks)
    assert np.allclose(front[:, 0].min() + front[:, 0].max(), 64, atol=0.1), "a frontal face is symmetrical"
    far, near = 24 - side[:, 0].min(), side[:, 0].max() - 35
    assert far < near, "the far cheek of a turned head is the narrower one"


def test_a_fake_differs_from_its_real_inside_the_mask_alone() -> None:
    faces, landmarks = clip()
    for seed in range(20):
        blend, seeds = SelfBlend(strength=[1.0]), [0, 0, seed]
        real, fake = blend.real(faces, seeds), blend.fake(faces, landmarks, seeds)
        mask = blend.mask(landmarks[0], SIZE, seeds)
        different = np.abs(real.astype(int) - fake).max(axis=(0, 1))
        assert different[mask == 0].max() <= 1
        assert different[mask > 0.5].mean() > 1
        assert 0.02 < (mask > 0.5).mean() < 0.5


def test_a_pair_is_the_same_draw_and_another_epoch_is_another() -> None:
    (faces, landmarks), blend = clip(), SelfBlend()
    assert (blend.fake(faces, landmarks, [0, 1, 2]) == blend.fake(faces, landmarks, [0, 1, 2])).all()
    assert (blend.fake(faces, landmarks, [0, 1, 2]) != blend.fake(faces, landmarks, [0, 2, 2])).any()


def test_all_frames_of_a_clip_are_changed_alike_unless_they_drift() -> None:
    (faces, landmarks), seeds = clip(), [0, 0, 4]
    still = np.repeat(faces[:1], 4, axis=0)
    alike = SelfBlend(strength=[1.0]).fake(still, landmarks, seeds)
    assert (alike == alike[:1]).all()
    drifting = SelfBlend(strength=[1.0], drift=1.0).fake(still, landmarks, seeds)
    assert (drifting[0] == alike[0]).all()
    moved = [np.abs(frame.astype(int) - drifting[0]).mean() for frame in drifting]
    assert moved[0] < moved[1] < moved[3]


def test_a_blend_of_strength_0_is_a_copy_of_its_real() -> None:
    faces, landmarks = clip()
    for seed in range(6):
        control, seeds = SelfBlend(strength=[0.0]), [0, 0, seed]
        assert (control.real(faces, seeds) == control.fake(faces, landmarks, seeds)).all()


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"strength": [1.5]}, r"blend.strength must be a number from 0 to 1 \(got 1.5\)"),
        ({"strength": []}, "blend.strength must be"),
        ({"drift": 2.0}, "blend.drift must be"),
        ({"reduction": 0.5}, "blend.reduction must be"),
    ],
)
def test_an_impossible_blend_is_named(setting: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        SelfBlend(**setting)  # type: ignore[arg-type]


def recipe() -> Augment:
    return Augment(
        flip=HorizontalFlip(0.5),
        downscale=Downscale(
            0.5, [0.4, 1.0], Choice(jpeg=Jpeg([30, 95]), webp=WebP([15, 85]), h264=H264([20, 40]))
        ),
    )


def test_a_batch_of_real_clips_holds_pairs(tmp_path: Path) -> None:
    real_cache(tmp_path, {"train": 5, "val": 2, "test": 2})
    data = FaceDataModule(tmp_path, recipe(), 4, 0, blend=SelfBlend(), evaluate_blends=True)
    assert data.counts == {split: {REAL: n, FAKE: n} for split, n in (("train", 5), ("val", 2), ("test", 2))}
    assert set(data.methods.values()) == {"", SELF_BLENDED}
    batches = list(data.train_dataloader())
    assert [len(batch.video) for batch in batches] == [4, 4, 2]
    seen = [video for batch in batches for video in batch.video]
    assert sorted(seen) == [row.video for row in data.rows["train"]]
    for batch in batches:
        assert batch.label.tolist() == [0, 1] * (len(batch.video) // 2)
        assert [f"{video}+blend" for video in batch.video[::2]] == batch.video[1::2]


def test_pairs_do_not_depend_on_workers_and_validation_not_on_the_epoch(tmp_path: Path) -> None:
    real_cache(tmp_path, {"train": 4, "val": 2, "test": 2})
    seen = []
    for workers in (0, 2):
        data = FaceDataModule(tmp_path, recipe(), 4, workers, blend=SelfBlend(), evaluate_blends=True)
        loaders = (data.train_dataloader(), data.val_dataloader())
        for epoch in range(2):
            for loader in loaders:
                loader.batch_sampler.sampler.set_epoch(epoch)  # type: ignore[union-attr]
                seen.append(torch.cat([batch.faces for batch in loader]))
    alone, shared = seen[:4], seen[4:]
    assert all(torch.equal(one, other) for one, other in zip(alone, shared, strict=True))
    assert not torch.equal(alone[0], alone[2]), "training is drawn anew each epoch"
    assert torch.equal(alone[1], alone[3]), "validation is not"


def test_validation_may_come_from_a_cache_with_both_labels(tmp_path: Path, tiny_cache: Path) -> None:
    real_cache(tmp_path, {"train": 2})
    rows = [row._replace(video=f"own_{row.video}") for row in FaceCache(tmp_path).rows()]
    for row in rows:
        FaceCache(tmp_path).clip_path(row.video.removeprefix("own_")).rename(
            FaceCache(tmp_path).clip_path(row.video)
        )
    FaceCache(tmp_path).write_rows(rows)
    data = FaceDataModule(tmp_path, None, 4, 0, blend=SelfBlend(), validation_cache=tiny_cache)
    other = FaceCache(tiny_cache)
    for batch in data.val_dataloader():
        for faces, video in zip(batch.faces, batch.video, strict=True):
            assert np.array_equal(faces, other.read_clip(video).faces)
    assert data.provenance()["validation_cache"] == str(tiny_cache)


def test_a_video_trained_on_is_no_validation_video(tmp_path: Path) -> None:
    real_cache(tmp_path / "real", {"train": 2})
    other = draw_cache(tmp_path / "both", {"val": 1, "test": 1}, size=SIZE)
    rows = [row._replace(original="train001") if row.label == FAKE else row for row in other.rows()]
    other.write_rows(rows)
    data = FaceDataModule(tmp_path / "real", blend=SelfBlend(), validation_cache=other.root)
    with pytest.raises(UserError, match="train001 is a training video of"):
        data.setup("fit")


def test_real_clips_alone_need_another_cache_or_blends_to_be_tested_on(tmp_path: Path) -> None:
    real_cache(tmp_path, {"train": 2, "val": 1, "test": 1})
    with pytest.raises(
        UserError, match=r"FAKE clip in the split 'val'.*validation_cache=CACHE.*evaluate_blends"
    ):
        FaceDataModule(tmp_path, blend=SelfBlend()).setup("fit")
    with pytest.raises(UserError, match="FAKE clip in the split 'train'"):
        FaceDataModule(tmp_path).setup("fit")


def test_a_cache_without_landmarks_is_named(tmp_path: Path) -> None:
    real_cache(tmp_path, {"train": 2, "val": 1, "test": 1}, landmarks=False)
    data = FaceDataModule(tmp_path, None, 2, 0, blend=SelfBlend(), evaluate_blends=True)
    with pytest.raises(UserError, match=r"train00\d.npz holds no landmarks.*face_detector=yunet"):
        list(data.train_dataloader())


def test_settings_of_pairs_that_contradict_each_other_are_named(tiny_cache: Path) -> None:
    with pytest.raises(UserError, match=r"data.batch_size must be an even number .*\(got 3\)"):
        FaceDataModule(tiny_cache, batch_size=3, pairs=True)
    with pytest.raises(UserError, match="data.evaluate_blends=true makes"):
        FaceDataModule(tiny_cache, evaluate_blends=True)


def test_each_fake_of_a_cache_is_beside_its_own_real_and_drawn_like_it(tiny_cache: Path) -> None:
    data = FaceDataModule(tiny_cache, Augment(flip=HorizontalFlip(0.5)), 4, 0, pairs=True)
    cache, flipped = FaceCache(tiny_cache), []
    for batch in data.train_dataloader():
        assert [f"{video}_fake" for video in batch.video[::2]] == batch.video[1::2]
        for faces, video in zip(batch.faces, batch.video, strict=True):
            flipped.append(not np.array_equal(faces, cache.read_clip(video).faces))
    assert len(flipped) == 16 and flipped[::2] == flipped[1::2]
    assert set(flipped) == {False, True}


def test_a_fake_without_its_real_is_named(tmp_path: Path) -> None:
    cache = draw_cache(tmp_path, {"train": 2, "val": 1, "test": 1}, frames=2, size=16)
    cache.write_rows(row for row in cache.rows() if row.video != "train001")
    with pytest.raises(UserError, match="its original train001 of train001_fake is not among the clips"):
        FaceDataModule(tmp_path, pairs=True, workers=0).train_dataloader()


@pytest.mark.parametrize("step", [Jpeg([5, 5]), WebP([5, 5]), H264([48, 48])])
@pytest.mark.parametrize("side", [64, 33])
def test_a_codec_costs_detail_and_keeps_the_picture(step: Jpeg | WebP | H264, side: int) -> None:
    smooth = cv2.resize(clip()[0][0].transpose(1, 2, 0), (side, side), interpolation=cv2.INTER_AREA)
    params = step.draw(np.random.default_rng(0), side, side)
    result = step.apply(smooth.copy(), params)
    assert result.shape == smooth.shape
    difference = np.abs(result.astype(int) - smooth)
    assert 0.5 < difference.mean() < 25
    assert np.array_equal(step.apply(smooth.copy(), params), result)


def test_a_choice_draws_every_step_and_needs_one() -> None:
    choice, rng = Choice(jpeg=Jpeg([30, 95]), none=None, h264=H264([20, 40])), np.random.default_rng(0)
    drawn = [choice.draw(rng, 8, 8) for _ in range(20)]
    assert {name for name, _ in drawn if name} == {"jpeg", "h264"}  # type: ignore[misc]
    with pytest.raises(UserError, match="at least one"):
        Choice(jpeg=None)


def test_a_sheet_shows_five_times_eight_pairs(tmp_path: Path) -> None:
    cache = real_cache(tmp_path, {"train": 5})
    picture = sheet(cache)
    assert picture.shape == (5 * (2 * 112 + 6) - 6, 8 * (112 + 6) - 6, 3)
    first, second = picture[:112, :112], picture[112:224, :112]
    assert (first != second).any() and not (picture[:112, 118:230] == first).all()
    cache.write_rows([])
    with pytest.raises(UserError, match="must list usable REAL clips"):
        sheet(cache)
