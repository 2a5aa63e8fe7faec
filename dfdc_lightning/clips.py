"""The face cache as batches of clips: which clips, in which order, with which randomness."""

import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import lightning as L
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from dfdc_lightning import checks
from dfdc_lightning.augment import Augment
from dfdc_lightning.blend import SelfBlend
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FAKE, REAL, SPLITS, FaceCache, Row, counts, split_hash
from dfdc_lightning.faces.conditions import conditions
from dfdc_lightning.faces.profile import read_profile
from dfdc_lightning.faces.split_record import read_split
from dfdc_lightning.hardware import shared_memory
from dfdc_lightning.machine import cores
from dfdc_lightning.pairs import SELF_BLENDED, blended, clip_of, pairs, source_of, with_blends

_PREFETCHED = 2  # batches a worker has ready
_IN_HAND = 2  # batches on their way into the training
Item = tuple[int, int]  # (epoch, index): workers live through all epochs and must know which one it is


class Clip(NamedTuple):
    """A batch of b clips of t faces; FAKE = 1, REAL = 0. Faces stay uint8 until they reach the device."""

    faces: UInt8[Tensor, "b t 3 h w"]
    label: Float[Tensor, " b"]
    video: list[str]


class FaceClips(Dataset[Clip]):
    """Clips of some rows of a cache.

    Args:
        cache: Where the clip files lie.
        rows: Which videos.
        augment: The recipe, or None to leave the faces as they are.
        seed: With the epoch and the video's name it determines every random draw.
        blend: What makes the FAKE of a pair from its REAL, where rows say so.
        paired: Whether a FAKE draws as its REAL does, so that the forgery alone tells them apart.
    """

    def __init__(
        self,
        cache: FaceCache,
        rows: Sequence[Row],
        augment: Augment | None = None,
        seed: int = 0,
        blend: SelfBlend | None = None,
        paired: bool = False,
    ) -> None:
        self.cache, self.rows, self.augment, self.seed = cache, rows, augment, seed
        self.blend, self.paired = blend, paired
        self._room: UInt8[np.ndarray, "t 3 h w"] | None = None  # what the clip before was read into

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: Item) -> Clip:
        """Read one clip as one epoch sees it, as a batch of one."""
        return self.__getitems__([item])

    def __getitems__(self, items: Sequence[Item]) -> Clip:
        """Read a whole batch at once: the loader asks for it in this form.

        Raises:
            UserError: When a clip file is missing, damaged or of another shape than the rest of its batch.
        """
        rows = [self.rows[index] for _, index in items]
        plain = self.augment is None and self.blend is None
        faces = self._plain(rows) if plain else self._changed(items)
        labels = torch.tensor([float(row.label == FAKE) for row in rows])
        return Clip(faces, labels, [row.video for row in rows])

    def _plain(self, rows: Sequence[Row]) -> UInt8[Tensor, "b t 3 h w"]:
        first = self.cache.read_faces(rows[0].video)
        batch = np.empty((len(rows), *first.shape), np.uint8)
        batch[0] = first
        for row, place in zip(rows[1:], batch[1:], strict=True):
            self._check(row, self.cache.read_faces(row.video, place), first.shape)
        return torch.from_numpy(batch)

    def _changed(self, items: Sequence[Item]) -> UInt8[Tensor, "b t 3 h w"]:
        shape, clips = None, []
        for epoch, index in items:
            row = self.rows[index]
            # A recipe copies what it keeps, so the room can be used again.
            self._room = faces = self.cache.read_faces(clip_of(row), self._room)
            shape = shape or faces.shape
            self._check(row, faces, shape)
            drawn_by = source_of(row) if self.paired else row.video
            clips.append(self._drawn(row, faces, [self.seed, epoch, zlib.crc32(drawn_by.encode())]))
        # Stacked in the memory layout they have (ours: channels last): a copy, no transposition.
        last = clips[0].strides[1] == 1
        stacked = torch.from_numpy(
            np.stack([clip.transpose(0, 2, 3, 1) for clip in clips] if last else clips)
        )
        return stacked.permute(0, 1, 4, 2, 3) if last else stacked

    def _drawn(
        self, row: Row, faces: UInt8[np.ndarray, "t 3 h w"], seeds: Sequence[int]
    ) -> UInt8[np.ndarray, "t 3 h2 w2"]:
        cut = self.augment is not None and bool(self.augment.at_landmarks)
        landmarks = self.cache.read_landmarks(clip_of(row)) if cut or blended(row) else None
        if self.blend is not None:
            if blended(row):
                assert landmarks is not None
                faces = self.blend.fake(faces, landmarks, seeds)
            else:
                faces = self.blend.real(faces, seeds)
        return faces.copy() if self.augment is None else self.augment(faces, seeds, landmarks)

    def _check(self, row: Row, faces: UInt8[np.ndarray, "t 3 h w"], shape: tuple[int, ...]) -> None:
        if faces.shape != shape:
            raise UserError(
                f"{self.cache.clip_path(clip_of(row))} holds faces of shape {faces.shape}, others {shape}: "
                "delete it and run prepare_faces.py again"
            )


class EpochOrder(Sampler[Item]):
    """Yields every clip once per epoch, in an order that follows from seed and epoch alone.

    Args:
        n: Number of clips, or of pairs.
        seed: Seed of the order, or None to keep the order of the rows.
        epoch: The epoch to begin with.
        pairs: Indices of the clips of each pair, which stay side by side; None where clips go alone.
        fixed: Whether all epochs draw as the first does.
    """

    def __init__(
        self,
        n: int,
        seed: int | None = None,
        epoch: int = 0,
        pairs: Sequence[tuple[int, ...]] | None = None,
        fixed: bool = False,
    ) -> None:
        self.n, self.seed, self.epoch, self.pairs, self.fixed = n, seed, epoch, pairs, fixed

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; Lightning calls this before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n if self.pairs is None else sum(len(pair) for pair in self.pairs)

    def __iter__(self) -> Iterator[Item]:
        if self.seed is None:
            order = np.arange(self.n)
        else:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.n)
        epoch = 0 if self.fixed else self.epoch
        if self.pairs is None:
            return iter([(epoch, int(index)) for index in order])
        return iter([(epoch, index) for number in order for index in self.pairs[int(number)]])


class Batches(BatchSampler):
    """Yields batches, full but for the last; a clip left alone joins the one before it, for BatchNorm's sake.

    Args:
        sampler: The clips in their order.
        batch_size: Clips in a full batch, over all devices.
        rank: Number of the device that these batches are for.
        devices: How many devices share each batch.
    """

    def __init__(self, sampler: EpochOrder, batch_size: int, rank: int = 0, devices: int = 1) -> None:
        super().__init__(sampler, batch_size, drop_last=False)  # type: ignore[arg-type]
        self._rank, self._devices = rank, devices
        self._together = 2 if sampler.pairs is not None else 1
        full, left = divmod(len(sampler), batch_size)
        self._sizes = [batch_size] * full + [left] * (left > 0)
        if full and 0 < left < max(2, devices * self._together):
            self._sizes[-2:] = [batch_size + left]
        if self._sizes and self._sizes[-1] < devices * self._together:
            raise UserError(
                f"{len(sampler)} clips in batches of data.batch_size={batch_size} are too few for "
                f"trainer.devices={devices}: each device must have at least {self._together} of a batch"
            )

    def _piece(self, size: int) -> slice:
        """Say which clips of a batch are this device's: neighbours, so that pairs stay together."""
        units = size // self._together
        first, last = (units * rank // self._devices for rank in (self._rank, self._rank + 1))
        return slice(
            first * self._together, last * self._together if self._rank + 1 < self._devices else size
        )

    def __len__(self) -> int:
        return len(self._sizes)

    def weight(self, index: int, accumulated: int, batches: int) -> float:
        """Weigh the mean loss of a batch, so that a group of batches steps as one large batch would.

        Lightning divides each loss by the number of batches whose gradients are added up, whatever their
        sizes and however many an epoch's last group has.

        Args:
            index: Of the batch within its epoch.
            accumulated: How many batches' gradients are added up before a step.
            batches: How many batches the epoch has.

        With several devices it divides by their number, however many clips of a batch each of them has.

        Returns:
            `accumulated` times the number of devices times this device's share of the group's clips; 1 in a
            full group of full batches on one device.
        """
        start = index - index % accumulated
        group = self._sizes[start : min(start + accumulated, batches)]
        piece = self._piece(self._sizes[index])
        own: int = piece.stop - piece.start
        return accumulated * self._devices * own / sum(group)

    def __iter__(self) -> Iterator[list[Item]]:  # type: ignore[override]
        items = iter(self.sampler)
        return ([next(items) for _ in range(size)][self._piece(size)] for size in self._sizes)


class FaceDataModule(L.LightningDataModule):
    """Train, validation and test clips of one cache, or of one for training and one for the rest.

    Args:
        cache: Folder of the face cache.
        augment: The recipe of the training clips; validation and test clips are never augmented.
        batch_size: Clips in a batch.
        workers: Processes that load clips beside the training, or "auto": one per core where there is a GPU,
            none where the same cores train.
        seed: Of order and augmentation.
        pairs: Whether a batch holds pairs, each FAKE beside its own REAL, which share their draws.
        blend: What makes the training FAKEs from the REAL clips, in pairs; FAKEs of the cache are not used.
        validation_cache: Folder of another face cache, whose splits val and test take the place of the
            cache's own.
        evaluate_blends: Whether validation and test clips are pairs of REAL clips and blends too, for caches
            that hold REAL clips alone.

    Raises:
        UserError: When a setting cannot be, or two of them contradict each other.
    """

    def __init__(
        self,
        cache: str | Path,
        augment: Augment | None = None,
        batch_size: int = 32,
        workers: str | int = "auto",
        seed: int = 0,
        pairs: bool = False,
        blend: SelfBlend | None = None,
        validation_cache: str | Path | None = None,
        evaluate_blends: bool = False,
    ) -> None:
        super().__init__()
        if workers != "auto":
            checks.whole("data.workers", workers, other="auto")
        self.cache, self.augment, self.blend = FaceCache(Path(cache)), augment, blend
        self.paired = checks.switch("data.pairs", pairs) or blend is not None
        self.evaluate_blends = checks.switch("data.evaluate_blends", evaluate_blends)
        self.validation_cache = self.cache if validation_cache is None else FaceCache(Path(validation_cache))
        if self.paired and batch_size % 2:
            raise UserError(
                f"data.batch_size must be an even number where a batch holds pairs (got {batch_size})"
            )
        if evaluate_blends and (blend is None or validation_cache is not None):
            raise UserError(
                "data.evaluate_blends=true makes validation and test clips from the REAL clips of the cache: "
                "give data=self_blended and no data.validation_cache, or leave it out"
            )
        self.batch_size = checks.whole("data.batch_size", batch_size, 1)
        self.workers, self.seed = workers, seed
        self._rows: dict[str, list[Row]] = {}

    @property
    def rows(self) -> dict[str, list[Row]]:
        """The rows of each split that are used.

        Raises:
            UserError: When the cache is absent, a split is empty or one-sided, or profiles are mixed.
        """
        if not self._rows:
            own = self._usable(self.cache)
            other = own if self.validation_cache is self.cache else self._usable(self.validation_cache)
            table = {split: [row for row in own if row.split == split] for split in SPLITS}
            table |= {split: [row for row in other if row.split == split] for split in ("val", "test")}
            if self.blend is not None:
                splits = SPLITS if self.evaluate_blends else ("train",)
                table |= {split: with_blends(table[split]) for split in splits}
            self._check([row for split in SPLITS for row in table[split]])
            self._refuse_overlap(table)
            self._rows = table
        return self._rows

    @staticmethod
    def _usable(cache: FaceCache) -> list[Row]:
        return [row for row in cache.rows() if row.status == "ok" and row.split in SPLITS]

    def cache_of(self, split: str) -> FaceCache:
        """Say in which cache the clips of a split lie."""
        return self.cache if split == "train" else self.validation_cache

    def unchanged(self, split: str, rows: Sequence[Row]) -> FaceClips:
        """Give clips as validation and test see them: not augmented, those of pairs as one fixed draw."""
        blend = self.blend if split == "train" or self.evaluate_blends else None
        return FaceClips(self.cache_of(split), rows, None, self.seed, blend, self.paired)

    def _refuse_overlap(self, table: dict[str, list[Row]]) -> None:
        if self.validation_cache is self.cache:
            return
        trained = {name for row in table["train"] for name in (row.video, *row.original.split("/")) if name}
        for row in (*table["val"], *table["test"]):
            if both := {row.video, *row.original.split("/")} & trained:
                raise UserError(
                    f"{min(both)} is a training video of {self.cache.root} and in the split {row.split!r} of "
                    f"{self.validation_cache.root}: give a data.validation_cache of other videos"
                )

    def _check(self, usable: list[Row]) -> None:
        manifest = self.cache.manifest
        profiles = sorted({row.profile for row in usable})
        if len(profiles) > 1:
            raise UserError(
                f"{manifest} mixes clips of the profiles {', '.join(profiles)}: make the cache again with one"
            )
        if strange := [row for row in usable if row.label not in (REAL, FAKE)]:
            raise UserError(
                f"{manifest} gives {strange[0].video} the label {strange[0].label!r}, not {REAL} or {FAKE}: "
                "delete it and make the cache again"
            )
        for split, by_label in counts(usable).items():
            for label, n in by_label.items():
                if n == 0:
                    remedy = "prepare more videos or other shares of the splits"
                    if self.blend is not None and split != "train":
                        remedy = (
                            "give data.validation_cache=CACHE, which has both, or data.evaluate_blends=true, "
                            "which tests on blends of held-out REAL clips"
                        )
                    raise UserError(
                        f"{self.cache_of(split).manifest} has no usable {label} clip in the split {split!r}: "
                        f"AUROC needs both labels in every split, so {remedy}"
                    )

    @property
    def profile(self) -> str:
        """Short hash of the settings that made the pixels."""
        return self.rows["train"][0].profile

    @property
    def split_hash(self) -> str:
        """Short hash that changes when a video changes its split or label."""
        return split_hash(self.cache.rows())

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many usable clips of each label a split has."""
        return counts([row for split in SPLITS for row in self.rows[split]])

    @property
    def groups(self) -> dict[str, str]:
        """Which group each usable video belongs to."""
        return {row.video: row.group for split in SPLITS for row in self.rows[split]}

    @property
    def methods(self) -> dict[str, str]:
        """How each usable FAKE was made; empty for REAL and where that is not known."""
        return {row.video: row.method for split in SPLITS for row in self.rows[split]}

    def provenance(self) -> dict[str, Any]:
        """Collect what a result says of its data; `predict` prepares a video as `preparation` says."""
        root = self.cache.root
        return {
            "cache": str(self.cache.root),
            "profile": self.profile,
            "split": read_split(root),
            "split_hash": self.split_hash,
            "counts": self.counts,
            "n_groups": len(set(self.groups.values())),
            "preparation": read_profile(root) if (root / "profile.json").is_file() else None,
            "conditions": conditions(
                self.cache, [row.video for row in self.rows["train"] if not blended(row)]
            ),
        } | self._tested_on()

    def _tested_on(self) -> dict[str, Any]:
        """Say what validation and test clips are, where they are not the other splits of the cache."""
        if self.validation_cache is not self.cache:
            rows = self.validation_cache.rows()
            return {
                "validation_cache": str(self.validation_cache.root),
                "validation_split_hash": split_hash(rows),
            }
        return {"evaluated_on": SELF_BLENDED} if self.evaluate_blends else {}

    def setup(self, stage: str) -> None:
        """Check the cache before anything is computed."""
        assert self.rows

    def train_dataloader(self) -> DataLoader[Clip]:
        """Load augmented clips in a new order each epoch."""
        # A resumed trainer draws its first order from here, before it tells the epoch to anybody.
        progress: Any = self.trainer.fit_loop.epoch_progress.current if self.trainer is not None else None
        epoch = progress.processed if progress is not None else 0
        clips = FaceClips(self.cache, self.rows["train"], self.augment, self.seed, self.blend, self.paired)
        together = pairs(clips.rows) if self.paired else None
        return self._loader(clips, EpochOrder(len(together or clips.rows), self.seed, epoch, together))

    def val_dataloader(self) -> DataLoader[Clip]:
        """Load validation clips without augmentation, in the order of the manifest."""
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader[Clip]:
        """Load test clips in the same way as those of validation."""
        return self._evaluation_loader("test")

    def _evaluation_loader(self, split: str) -> DataLoader[Clip]:
        clips = self.unchanged(split, self.rows[split])
        return self._loader(clips, EpochOrder(len(clips), fixed=True))

    def _loader(self, clips: FaceClips, order: EpochOrder) -> DataLoader[Clip]:
        rank, devices = (
            (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        )
        batches = Batches(order, self.batch_size, rank, devices)
        workers = self._workers(clips, len(batches))
        if workers:  # OpenCV's threads don't live through a fork: a worker would wait for them for ever
            cv2.setNumThreads(1)
        return DataLoader(
            clips,
            batch_sampler=batches,
            num_workers=workers,
            prefetch_factor=_PREFETCHED if workers else None,
            collate_fn=_as_it_is,
            pin_memory=torch.cuda.is_available(),
            # Forked once and kept: spawned workers would import torch again, for seconds each.
            multiprocessing_context="fork" if workers else None,
            persistent_workers=workers > 0,
            worker_init_fn=_one_thread,
        )

    def _workers(self, clips: FaceClips, n_batches: int) -> int:
        """Choose as many as are wanted and useful and whose batches fit into shared memory."""
        wanted = self.workers if isinstance(self.workers, int) else self._cores_beside_a_gpu()
        wanted = min(wanted, n_batches)
        if not wanted:
            return 0
        batch, room = self.batch_size * clips[0, 0].faces.nbytes, shared_memory()
        fit = min(wanted, max(room // batch - _IN_HAND, 0) // _PREFETCHED)
        if fit < wanted:
            print(
                f"warning: {room / 2**20:,.0f} MiB of shared memory have no room for {wanted} workers with "
                f"batches of {batch / 2**20:,.0f} MiB, so {fit or 'none'} load clips: give a container more "
                "of it (docker: --shm-size=8g)",
                file=sys.stderr,
            )
        return fit

    @staticmethod
    def _cores_beside_a_gpu() -> int:
        return cores() if torch.cuda.is_available() else 0


def _as_it_is(batch: Any) -> Any:
    return batch


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(1)
