"""Runs a trained model on clips: a run's detector in torch, or an export in onnxruntime without torch."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from dfdc_lightning.errors import UserError
from dfdc_lightning.explain.prediction import Prediction
from dfdc_lightning.predict.card import Card
from dfdc_lightning.results.reference import Reference
from dfdc_lightning.results.run_folder import REFERENCE
from dfdc_lightning.runs import Run

if TYPE_CHECKING:
    from dfdc_lightning.models.detector import Detector


Loaded = TypeVar("Loaded")


@runtime_checkable
class Predictor(Protocol):
    """A trained model that is ready for clips."""

    card: Card
    file: Path  # of the weights
    reference: Reference | None  # of the training videos; None where an earlier version or few videos made it
    remedy: str  # what to do where something is missing

    @property
    def identity(self) -> str:
        """Name the weights: two predictors with the same identity and card predict the same."""

    def load(self) -> None:
        """Begin to load the weights, beside whatever is done next; an error is raised by `predict`."""

    def predict(self, faces: UInt8[np.ndarray, "b t 3 h w"], maps: bool) -> Prediction:
        """Predict for clips.

        Args:
            faces: Crops, prepared as the card says.
            maps: Whether to compute where the score comes from as well.
        """


class TorchPredictor:
    """Predicts with the detector of a run's best checkpoint.

    Args:
        run: A finished run.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.card = run, Card.of_run(run)
        self.file, self.identity = run.best, _identity(run.best)
        self.reference = _reference(run.reference_file)
        self.remedy = "train the run again with this version"

    @cached_property
    def _detector(self) -> "Future[Detector]":
        return _started(self._read)

    def _read(self) -> "Detector":
        import torch

        return self.run.load_detector().to("cuda" if torch.cuda.is_available() else "cpu")

    def load(self) -> None:
        """Begin to import torch and to read the checkpoint."""
        _ = self._detector

    def predict(self, faces: UInt8[np.ndarray, "b t 3 h w"], maps: bool) -> Prediction:
        """Predict on a GPU where there is one."""
        if maps:
            from dfdc_lightning.explain.gradcam import predict_with_maps

            return predict_with_maps(self._detector.result(), faces)
        from dfdc_lightning.explain.prediction import predict

        return predict(self._detector.result(), faces)


class OnnxPredictor:
    """Predicts with a model that `python -m dfdc_lightning.export` wrote, with model.json beside it.

    Args:
        path: The .onnx file.
        card: Its card; None reads model.json. reference.npz is read where it lies beside the model.

    Raises:
        UserError: When onnxruntime is not installed or the file holds another kind of model.
    """

    def __init__(self, path: Path, card: Card | None = None) -> None:
        self.file, self.card = path, card or Card.read(path.with_suffix(".json"))
        self.identity = _identity(path)
        self.reference = _reference(path.with_name(REFERENCE))
        self.remedy = "train the run with this version and export it again"

    @cached_property
    def _session(self) -> "Future[Any]":
        return _started(lambda: self._read(self.file, self.card))

    def load(self) -> None:
        """Begin to import onnxruntime and to read the model."""
        _ = self._session

    @staticmethod
    def _read(path: Path, card: Card) -> Any:
        try:
            import onnxruntime
            from onnxruntime.capi.onnxruntime_pybind11_state import (
                Fail,
                InvalidArgument,
                InvalidGraph,
                InvalidProtobuf,
            )
        except ModuleNotFoundError:
            raise UserError(f"run={path} needs onnxruntime: pip install 'dfdc-lightning[export]'") from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # what a user can mend is said below
        try:
            session = onnxruntime.InferenceSession(str(path), options, onnxruntime.get_available_providers())
        except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf) as error:
            raise UserError(f"{path} cannot be read as an ONNX model ({error}): export it again") from None
        frames, size = card.preparation["frames"], card.preparation["size"]
        takes = {each.name: each.shape[1:] for each in session.get_inputs()}
        gives = {each.name for each in session.get_outputs()}
        if takes != {"faces": [frames, 3, size, size]} or not gives >= {"logits", "frame_logits", "maps"}:
            raise UserError(
                f"{path} is not the model that model.json describes ({frames} faces of {size} pixels): "
                "export it again"
            )
        return session

    def predict(self, faces: UInt8[np.ndarray, "b t 3 h w"], maps: bool) -> Prediction:
        """Predict with onnxruntime, which computes maps only where they are asked for."""
        session = self._session.result()
        given = {each.name for each in session.get_outputs()}
        wanted = [name for name in Prediction._fields if name in given and (maps or name != "maps")]
        outputs = session.run(wanted, {"faces": np.ascontiguousarray(faces)})
        return Prediction(**dict(zip(wanted, outputs, strict=True)))


def open_predictor(path: Path) -> Predictor:
    """Open what `run=` names: a run folder, an exported model.onnx, or the folder it was exported to.

    Raises:
        UserError: When it is none of these.
    """
    if (path / "model.onnx").is_file():
        path = path / "model.onnx"
    if path.suffix == ".onnx" and path.is_file():
        return OnnxPredictor(path)
    if path.is_dir():
        return TorchPredictor(Run(path))
    what = "is neither" if path.exists() else "does not exist"
    raise UserError(f"run={path} {what}: give a run folder, or the model.onnx of an export")


def _started(load: Callable[[], Loaded]) -> "Future[Loaded]":
    """Load a model beside the decoding of the first video; errors are raised where the model is needed."""
    executor = ThreadPoolExecutor(1)
    future = executor.submit(load)
    executor.shutdown(wait=False)
    return future


def _reference(path: Path) -> Reference | None:
    return Reference.read(path) if path.is_file() else None


def _identity(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path} does not exist: train the run again, or name another")
    status = path.stat()
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
