"""Clips: right labels, every clip once per epoch, the same pixels whatever the number of workers."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from drawn import draw_cache, draw_clip

from dfdc_lightning.augment import Augment, ColourJitter, HorizontalFlip, RandomErasing, RandomResizedCrop
from dfdc_lightning.clips import Batches, Clip, EpochOrder, FaceClips, FaceDataModule
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FAKE, FaceCache


def recipe() -> Augment:
    return Augment(
        flip=HorizontalFlip(0.5),
        colour=ColourJitter(0.1, 0.1, 0.1),
        crop=RandomResizedCrop(None, (0.8, 1.0), (0.9, 1.1)),
        erase=RandomErasing(0.7, (0.02, 0.1), (0.3, 3.3)),
    )


def epochs(data: FaceDataModule, n: int = 2) -> list[list[Clip]]:
    loader = data.train_dataloader()
    seen = []
    for epoch in range(n):
        loader.batch_sampler.sampler.set_epoch(epoch)
        seen.append(list(loader))
    return seen


def test_labels_and_names_belong_to_the_faces(tiny_cache: Path) -> None:
    data = FaceDataModule(tiny_cache, batch_size=3, workers=0)
    cache = FaceCache(tiny_cache)
    fake = {row.video: row.label == FAKE for row in cache.rows()}
    for batch in (*data.train_dataloader(), *data.val_dataloader(), *data.test_dataloader()):
        assert batch.faces.dtype == torch.uint8
        for faces, label, video in zip(*batch, strict=True):
            assert label == fake[video]
            assert np.array_equal(faces, cache.read_clip(video).faces)


def test_training_and_evaluation_see_their_own_split_whole(tiny_cache: Path) -> None:
    data = FaceDataModule(tiny_cache, recipe(), batch_size=3, workers=0)
    loaders = {"train": data.train_dataloader(), "val": data.val_dataloader(), "test": data.test_dataloader()}
    for split, loader in loaders.items():
        videos = [video for batch in loader for video in batch.video]
        assert sorted(videos) == [row.video for row in data.rows[split]]


@pytest.mark.parametrize("workers", [1, 3])
def test_order_and_pixels_do_not_depend_on_workers(tiny_cache: Path, workers: int) -> None:
    alone = epochs(FaceDataModule(tiny_cache, recipe(), batch_size=3, workers=0, seed=5))
    shared = epochs(FaceDataModule(tiny_cache, recipe(), batch_size=3, workers=workers, seed=5))
    for ours, theirs in zip(alone, shared, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one.video == other.video
            assert torch.equal(one.faces, other.faces)
            assert torch.equal(one.label, other.label)


def test_workers_start_although_opencv_has_been_busy_in_this_process(tiny_cache: Path) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (31, 31), 5)  # its threads exist from here on
    try:
        (epoch,) = epochs(FaceDataModule(tiny_cache, recipe(), batch_size=8, workers=2), 1)
    finally:
        cv2.setNumThreads(before)
    assert sum(len(batch.video) for batch in epoch) == 16


def test_epochs_and_seeds_differ_in_order_and_pixels(tiny_cache: Path) -> None:
    first, second = epochs(FaceDataModule(tiny_cache, recipe(), batch_size=16, workers=0, seed=5))
    (other,) = epochs(FaceDataModule(tiny_cache, recipe(), batch_size=16, workers=0, seed=6), 1)
    for a, b in ((first[0], second[0]), (first[0], other[0])):
        assert a.video != b.video
        faces = dict(zip(b.video, b.faces, strict=True))
        different = [not torch.equal(x, faces[video]) for x, video in zip(a.faces, a.video, strict=True)]
        assert all(different)


class Draws:
    """A step that changes nothing and remembers what it drew."""

    def __init__(self) -> None:
        self.drawn: list[float] = []

    def draw(self, rng: np.random.Generator, height: int, width: int) -> float:
        self.drawn.append(float(rng.random()))
        return self.drawn[-1]

    def apply(self, frame: np.ndarray, params: float) -> np.ndarray:
        return frame


def test_every_clip_of_an_epoch_has_draws_of_its_own(tiny_cache: Path) -> None:
    step = Draws()
    epochs(FaceDataModule(tiny_cache, Augment(step=step), batch_size=8, workers=0))
    assert len(step.drawn) == 32 and len(set(step.drawn)) == 32, "two epochs of 16 clips"


def test_validation_and_test_clips_are_not_augmented(tiny_cache: Path) -> None:
    cache = FaceCache(tiny_cache)
    data = FaceDataModule(tiny_cache, Augment(flip=HorizontalFlip(1.0)), batch_size=8, workers=0)
    for batch in (*data.val_dataloader(), *data.test_dataloader()):
        for faces, video in zip(batch.faces, batch.video, strict=True):
            assert np.array_equal(faces.numpy(), cache.read_clip(video).faces)


def test_a_clip_looks_the_same_whatever_comes_with_it(tiny_cache: Path) -> None:
    cache = FaceCache(tiny_cache)
    rows = [row for row in cache.rows() if row.split == "train"]
    clips = FaceClips(cache, rows, recipe(), seed=1)
    together = clips.__getitems__([(3, 0), (3, 5), (3, 2)])
    assert torch.equal(together.faces[1], clips[(3, 5)].faces[0])
    assert torch.equal(FaceClips(cache, rows[5:6], recipe(), seed=1)[(3, 0)].faces, clips[(3, 5)].faces)


@pytest.mark.parametrize(
    ("n", "size", "expected"), [(64, 32, [32, 32]), (65, 32, [32, 33]), (70, 32, [32, 32, 6]), (1, 32, [1])]
)
def test_no_clip_is_left_alone_in_a_last_batch(n: int, size: int, expected: list[int]) -> None:
    batches = Batches(EpochOrder(n, seed=0), size)
    found = list(batches)
    assert [len(batch) for batch in found] == expected
    assert len(batches) == len(expected)
    assert sorted(index for batch in found for _, index in batch) == list(range(n))


def test_a_missing_cache_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere/manifest.csv does not exist: .*prepare_faces"):
        FaceDataModule(tmp_path / "nowhere").setup("fit")


@pytest.mark.parametrize("pairs", [{"train": 2, "val": 1}, {"val": 1, "test": 1}])
def test_an_empty_split_is_refused(tmp_path: Path, pairs: dict[str, int]) -> None:
    draw_cache(tmp_path, pairs, frames=2, size=16)
    with pytest.raises(UserError, match="no usable REAL clip in the split '(train|test)'"):
        FaceDataModule(tmp_path).setup("fit")


def test_a_split_with_one_label_is_refused(tmp_path: Path) -> None:
    cache = draw_cache(tmp_path, {"train": 2, "val": 1, "test": 1}, frames=2, size=16)
    cache.write_rows(row for row in cache.rows() if row.video != "val000_fake")
    with pytest.raises(UserError, match="no usable FAKE clip in the split 'val'"):
        FaceDataModule(tmp_path).setup("fit")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"profile": "other"}, "mixes clips of the profiles drawn, other"),
        ({"label": "Fake"}, "the label 'Fake'"),
    ],
)
def test_another_profile_or_an_unknown_label_is_refused(
    tmp_path: Path, change: dict[str, str], sentence: str
) -> None:
    cache = draw_cache(tmp_path, {"train": 2, "val": 1, "test": 1}, frames=2, size=16)
    first, *others = cache.rows()
    cache.write_rows([first._replace(**change), *others])
    with pytest.raises(UserError, match=sentence):
        FaceDataModule(tmp_path).setup("fit")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_clip_is_named_from_any_process(tmp_path: Path, workers: int) -> None:
    cache = draw_cache(tmp_path, {"train": 2, "val": 1, "test": 1}, frames=2, size=16)
    path = cache.clip_path("train001")
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"train001\.npz"):
        list(FaceDataModule(tmp_path, workers=workers).train_dataloader())


def test_clips_of_two_shapes_are_refused(tmp_path: Path) -> None:
    cache = draw_cache(tmp_path, {"train": 2, "val": 1, "test": 1}, frames=2, size=16)
    cache.write_clip("train001", draw_clip("train001", False, 3, 16))
    with pytest.raises(UserError, match=r"train001\.npz holds faces of shape \(3, 3, 16, 16\)"):
        list(FaceDataModule(tmp_path, workers=0).val_dataloader())
        FaceClips(cache, [row for row in cache.rows() if row.split == "train"]).__getitems__([(0, 0), (0, 2)])


def test_provenance_tells_the_data_apart(tmp_path: Path, tiny_cache: Path) -> None:
    data = FaceDataModule(tiny_cache).provenance()
    assert data["counts"]["train"] == {"REAL": 8, "FAKE": 8}
    assert data["n_groups"] == 16
    assert data["profile"] == "drawn"
    other = draw_cache(tmp_path, {"train": 2, "val": 1, "test": 1}, frames=2, size=16)
    assert data["split_hash"] != FaceDataModule(other.root).provenance()["split_hash"]


@pytest.mark.parametrize("workers", ["many", -1])
def test_workers_must_be_a_number_or_auto(tiny_cache: Path, workers: str | int) -> None:
    with pytest.raises(UserError, match=rf"data.workers must be .* or auto \(got {workers}\)"):
        FaceDataModule(tiny_cache, workers=workers)


@pytest.mark.parametrize(("mib", "workers"), [(1000, 3), (2, 2), (1, 0), (0, 0)])
def test_workers_fit_into_the_memory_that_processes_share(
    tiny_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    mib: int,
    workers: int,
) -> None:
    monkeypatch.setattr("dfdc_lightning.clips.shared_memory", lambda: mib * 2**20)
    data = FaceDataModule(tiny_cache, batch_size=6, workers=3)  # a batch takes 0.28 MiB
    assert data.train_dataloader().num_workers == workers
    said = capsys.readouterr().err
    if workers == 3:
        assert not said
    else:
        assert f"{mib} MiB of shared memory have no room for 3 workers" in said and "--shm-size" in said


def test_a_batch_has_at_least_one_clip(tiny_cache: Path) -> None:
    with pytest.raises(UserError, match=r"data.batch_size must be a whole number of at least 1 \(got 0\)"):
        FaceDataModule(tiny_cache, batch_size=0)


def test_a_failed_video_is_not_used_whatever_its_split_says(tmp_path: Path) -> None:
    draw_cache(tmp_path, {"train": 1, "val": 1, "test": 1})
    cache = FaceCache(tmp_path)
    good = cache.rows()
    cache.write_rows([*good, good[0]._replace(video="failed", status="no_face", split="train")])
    assert "failed" not in {row.video for row in FaceDataModule(tmp_path).rows["train"]}
