"""What is evaluated: a finished run, or an exported model, and which videos it has learned from."""

from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from dfdc_lightning.errors import UserError
from dfdc_lightning.evaluate.dataset import DataSet
from dfdc_lightning.evaluate.overlap import copies
from dfdc_lightning.explain.prediction import Prediction
from dfdc_lightning.faces.cache import CacheError, FaceCache, Row, split_hash
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.predict.card import Card
from dfdc_lightning.predict.predictors import Predictor, open_predictor
from dfdc_lightning.results.elsewhere import fingerprint_of
from dfdc_lightning.runs import Run


class Learned(NamedTuple):
    """The videos that a model was trained on or its epoch chosen by, and what these were made from.

    `clips` are those with faces, `content` is the split hash of their cache ("" where that is not known), and
    `doubt` says why some names may be missing.
    """

    videos: frozenset[str] = frozenset()
    clips: tuple[str, ...] = ()
    content: str = ""
    doubt: str = ""

    def holds(self, row: Row) -> bool:
        """Say whether a video, or what it was made from, is among them."""
        return any(name in self.videos for name in (row.video, *filter(None, row.original.split("/"))))


class Subject:
    """A finished run or an exported model. Its network is loaded when it first predicts.

    Args:
        path: A run folder, a model.onnx, or the folder it was exported to.

    Raises:
        UserError: When it is none of these, the run is not finished, or a file is missing.
    """

    def __init__(self, path: Path) -> None:
        onnx = path / "model.onnx" if (path / "model.onnx").is_file() else path
        self.path = path
        if onnx.suffix == ".onnx":
            if not onnx.is_file():
                raise UserError(
                    f"run={path} does not exist: give a run folder, or the model.onnx of an export"
                )
            self.run, self.folder, self.card = None, onnx.parent, Card.read(onnx.with_suffix(".json"))
            self.name, identifying = self.card.name, onnx.with_suffix(".json")
        else:
            self.run, self.folder = Run(path), path
            result = self.run.result
            self.card = Card.of_run(self.run)
            self.name, identifying = f"{result.experiment}/{result.seed}", self.run.predictions_file
            if not self.run.best.is_file():
                raise UserError(f"{self.run.best} does not exist: train the run again, or name another")
        # Other weights have other scores, so the scores tell which weights these are, wherever the run lies.
        self.fingerprint = fingerprint_of(identifying)

    @cached_property
    def _predictor(self) -> Predictor:
        return open_predictor(self.path)

    def predict(self, faces: UInt8[np.ndarray, "b t 3 h w"]) -> Prediction:
        """Score clips; the weights are loaded by the first call."""
        return self._predictor.predict(faces, maps=False)

    @property
    def cache(self) -> Path | None:
        """The cache a run was trained on; an export does not know."""
        return None if self.run is None else self.run.cache

    @cached_property
    def learned(self) -> Learned:
        """What the model was trained or chosen on, which must not be scored."""
        if self.run is None:
            return Learned(doubt="an export does not say which videos it was trained on")
        assert self.cache is not None
        try:
            rows = [row for row in FaceCache(self.cache).rows() if row.status == "ok"]
        except CacheError:
            return Learned(doubt=f"its cache {self.cache} is gone, which says on which videos it was trained")
        learned = [row for row in rows if row.split in ("train", "val")]
        names, clips = {name for row in learned for name in _names(row)}, tuple(row.video for row in learned)
        if split_hash(rows) != self.run.result.data["split_hash"]:
            doubt = f"its cache {self.cache} has other clips or splits than when it was trained"
            return Learned(frozenset(names), clips, "", doubt)
        return Learned(frozenset(names), clips, split_hash(rows))

    def refuse_profile(self, data: DataSet) -> None:
        """Make sure that a cache's faces were prepared as this model's were.

        Raises:
            UserError: With the command that makes a cache that fits.
        """
        if data.profile == self.card.profile:
            return
        command = preparing(self.card.make_preparation())
        raise UserError(
            f"{data.cache.root} has faces of profile {data.profile}, {self.name} was trained on "
            f"{self.card.profile}: make another cache of these videos with python prepare_faces.py "
            f"source.path=VIDEOS out={data.cache.root}-{self.card.profile} {command}"
        )

    def wanted(self, data: DataSet) -> tuple[list[Row], list[str], bool]:
        """Choose the clips of a data set that this model may be tested on.

        Returns:
            Their rows, the names of videos it was trained on, and whether these are the run's own test clips.

        Raises:
            UserError: When what is left holds one label only.
        """
        own = bool(self.learned.content) and split_hash(data.rows) == self.learned.content
        if own:
            return [row for row in data.rows if row.split == "test"], [], True
        by_name = {row.video for row in data.rows if self.learned.holds(row)}
        others = tuple(row.video for row in data.rows if row.video not in by_name)
        by_content = (
            {} if self.cache is None else copies(self.cache, self.learned.clips, data.cache.root, others)
        )
        seen = [row.video for row in data.rows if row.video in by_name or row.video in by_content]
        rows = [row for row in data.rows if row.video not in seen]
        if len({row.label for row in rows}) < 2:
            raise UserError(
                f"{self.name} was trained on {len(seen)} of the {len(data.rows)} videos of {data.cache.root} "
                f"({', '.join(seen[:3])} …), and the rest has one label only: give other videos"
            )
        return rows, seen, False


def preparing(preparation: FacePreparation) -> str:
    """Give the words for prepare_faces.py that make faces in this way."""
    detector = preparation.face_detector
    usual = {key: value.default for key, value in signature(type(detector)).parameters.items()}
    words = [f"{key}={getattr(preparation, key)}" for key in ("frames", "size", "margin", "smoothing")]
    words.append(f"face_detector={detector.name}")
    words += [
        f"+face_detector.{key}={value}" for key, value in detector.settings.items() if usual.get(key) != value
    ]
    return " ".join(words)


def _names(row: Row) -> list[str]:
    return [row.video, *filter(None, row.original.split("/"))]
