"""`python -m dfdc_lightning.export run=RUN out=DIR [cache=FOLDER]`: a trained run as files for elsewhere.

`model.safetensors` holds the weights, `model.onnx` the whole way from uint8 faces to logits, appearance and
Grad-CAM maps, `model.json` what must be known to use it (`predict/card.py`), `reference.npz` what its
training videos look like, `model_card.md` what people should know.
"""

import copy
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors.torch import save_file
from torch import Tensor
from torch._decomp import get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from dfdc_lightning import atomic
from dfdc_lightning.arguments import arguments
from dfdc_lightning.errors import UserError, writing
from dfdc_lightning.explain.gradcam import predict_with_maps
from dfdc_lightning.explain.prediction import Prediction
from dfdc_lightning.faces.cache import FaceCache
from dfdc_lightning.models.appearance import logits_and_appearance
from dfdc_lightning.models.detector import Detector
from dfdc_lightning.predict.card import Card
from dfdc_lightning.predict.model_card import model_card
from dfdc_lightning.predict.predictors import OnnxPredictor
from dfdc_lightning.results.reference import Reference
from dfdc_lightning.results.run_folder import REFERENCE
from dfdc_lightning.runs import Run, command

# Largest difference between the engines: of a logit; of appearance and maps, as a share of the largest.
TOLERANCE = 1e-3
_CLIPS = 16  # real clips the engines are compared on

_ATEN = torch.ops.aten


def _convolution_backward(
    grad: Tensor,
    given: Tensor,
    weight: Tensor,
    _bias_sizes: Any,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    _output_padding: list[int],
    groups: int,
    wanted: list[bool],
) -> tuple[Tensor, None, None]:
    """Compute the gradient with respect to a convolution's input as a transposed convolution."""
    if transposed or wanted[1:] != [False, False]:
        return NotImplemented  # type: ignore[no-any-return]
    reached = [
        (size - 1) * step - 2 * pad + wide * (kernel - 1) + 1
        for size, step, pad, wide, kernel in zip(
            grad.shape[2:], stride, padding, dilation, weight.shape[2:], strict=True
        )
    ]
    rest = [size - end for size, end in zip(given.shape[2:], reached, strict=True)]
    gradient: Tensor = _ATEN.convolution(grad, weight, None, stride, padding, dilation, True, rest, groups)
    return gradient, None, None


# ONNX has no such operators; torch, or the function above, writes them with simpler ones.
_BACKWARD: Any = get_decompositions(
    [
        _ATEN.silu_backward, _ATEN.gelu_backward, _ATEN.hardswish_backward, _ATEN.hardsigmoid_backward,
        _ATEN.elu_backward, _ATEN.leaky_relu_backward, _ATEN.sigmoid_backward, _ATEN.tanh_backward,
        _ATEN.threshold_backward, _ATEN.native_batch_norm_backward, _ATEN.native_layer_norm_backward,
        _ATEN.native_group_norm_backward, _ATEN._softmax_backward_data,
    ]
) | {_ATEN.convolution_backward.default: _convolution_backward}  # fmt: skip


class _PlainMean(TorchFunctionMode):
    """Averages whole maps by `mean`: torch's pooling sets strides by hand, for which ONNX has no operator."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is functional.adaptive_avg_pool2d and args[1] in (1, (1, 1), [1, 1]):
            return args[0].mean((2, 3), keepdim=True)
        return func(*args, **(kwargs or {}))


class Parity:
    """Compares onnxruntime with torch on the same clips.

    Args:
        torch_prediction: From torch, with maps.
        onnx_prediction: From onnxruntime, with maps.
    """

    def __init__(self, torch_prediction: Prediction, onnx_prediction: Prediction) -> None:
        assert torch_prediction.maps is not None and onnx_prediction.maps is not None
        self.clips = len(torch_prediction.logits)
        self.logit = _largest(torch_prediction.logits - onnx_prediction.logits)
        self.score = _largest(torch_prediction.scores - onnx_prediction.scores)
        assert torch_prediction.appearance is not None and onnx_prediction.appearance is not None
        self.appearance = _share(torch_prediction.appearance, onnx_prediction.appearance)
        self.maps = _share(torch_prediction.maps, onnx_prediction.maps)

    def __str__(self) -> str:
        return (
            f"torch and onnxruntime on {self.clips} clips: largest difference {self.logit:.2g} in a logit, "
            f"{self.score:.2g} in a score, {self.appearance:.2g} of the largest channel, {self.maps:.2g} of "
            "the strongest place in a map"
        )


def export(run: Run, out: Path, cache: FaceCache) -> Parity:
    """Write all files of a run's best checkpoint, the ONNX file only once it says what torch says.

    Args:
        run: A finished run.
        out: The folder to write to.
        cache: The cache the run was trained on: real clips to compare the engines on.

    Raises:
        UserError: When the run is unfinished, the cache is another one, or the engines differ.
    """
    card = Card.of_run(run)
    faces = _real_clips(cache, card)
    detector = run.load_detector().float()
    program = traced(detector, faces[:2])
    with atomic.replacing(out / "model.onnx") as temporary:
        program.save(temporary, external_data=False)
        parity = Parity(
            predict_with_maps(detector, faces), OnnxPredictor(temporary, card).predict(faces, maps=True)
        )
        if not max(parity.logit, parity.appearance, parity.maps) <= TOLERANCE:  # NaN is a difference too
            raise UserError(
                f"{out}/model.onnx was not written, it differs by more than {TOLERANCE}: {parity}"
            )
        for name in ("model.json", REFERENCE):  # a kill must not leave them beside another model
            (out / name).unlink(missing_ok=True)
    if run.reference_file.is_file():
        Reference.read(run.reference_file).write(out / REFERENCE)
    atomic.write_json(out / "model.json", card._asdict())
    with atomic.replacing(out / "model.safetensors") as temporary:
        weights = {name: value.contiguous() for name, value in detector.state_dict().items()}
        save_file(weights, temporary, {"format": "pt", "model": card.name})
    atomic.write_text(out / "model_card.md", model_card(card, str(parity)))
    return parity


def with_maps(detector: Detector, faces: UInt8[Tensor, "b t 3 h w"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute logits, appearance and signed maps in operations that can be traced, gradient included.

    It is what `explain/gradcam.py` computes with hooks of pytorch-grad-cam, which cannot be traced; the
    export compares the two on every model it writes.
    """
    kept: list[Tensor] = []

    def cut(_module: object, _inputs: object, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0]

    target = detector.last_map
    hook = target.module.register_forward_hook(cut)
    try:
        with torch.enable_grad():
            outputs = logits_and_appearance(detector, faces)
            (gradient,) = torch.autograd.grad(outputs[0].sum(), kept[0])
    finally:
        hook.remove()
    gradient, activation = target.by_place(gradient), target.by_place(kept[0].detach())
    maps = (gradient.mean((2, 3), keepdim=True) * activation).sum(1)
    logits, frame_logits, appearance = (output.detach() for output in outputs)
    return logits, frame_logits, appearance, maps.reshape(*faces.shape[:2], *maps.shape[1:])


def traced(detector: Detector, faces: UInt8[np.ndarray, "2 t 3 h w"]) -> "torch.onnx.ONNXProgram":
    """Trace a detector with two clips into an ONNX program for any number of them.

    Args:
        detector: On the CPU; it stays as it is.
        faces: Two clips of the length and size that every later clip must have.
    """
    frozen = copy.deepcopy(detector).eval().requires_grad_(requires_grad=False)
    example = torch.from_numpy(faces)

    def predict(faces: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return with_maps(frozen, faces)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own exporter about torch's own future
        with (
            _PlainMean(),
            sdpa_kernel(
                SDPBackend.MATH
            ),  # the fused kernels of attention have no gradient that can be traced
            torch.backends.mkldnn.flags(enabled=False),
        ):  # whose fused LSTM no other engine knows
            graph = make_fx(predict, _BACKWARD, tracing_mode="symbolic", _allow_non_fake_inputs=True)(example)
        program = torch.onnx.export(
            graph,
            (example,),
            input_names=["faces"],
            output_names=list(Prediction._fields),
            dynamic_shapes=({0: torch.export.Dim("clips")},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program


def _real_clips(cache: FaceCache, card: Card) -> UInt8[np.ndarray, "b t 3 h w"]:
    rows = [row for row in cache.rows() if row.status == "ok" and row.profile == card.profile]
    if len(rows) < 2:
        raise UserError(
            f"{cache.root} holds no clips of profile {card.profile}, on which the engines are compared: "
            f"give the cache "
            "the run was trained on (cache=FOLDER)"
        )
    chosen = sorted(rows, key=lambda row: (row.split != "test", row.video))[:_CLIPS]
    return np.stack([cache.read_faces(row.video) for row in chosen])


def _share(expected: np.ndarray, given: np.ndarray) -> float:
    """Compute the largest difference as a share of the largest expected value."""
    return _largest(expected - given) / max(_largest(expected), 1e-12)


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max())


def main() -> None:
    """Export what the command line names."""
    given = arguments(sys.argv[1:], {"run": None, "out": None, "cache": ""})
    run, out = Run(Path(given["run"])), Path(given["out"])
    with writing("out", out):
        out.mkdir(parents=True, exist_ok=True)  # before the work, so that it is not done in vain
        parity = export(run, out, FaceCache(Path(given["cache"] or run.cache)))
    for name in ("model.onnx", "model.json", REFERENCE, "model.safetensors", "model_card.md"):
        if (out / name).is_file():  # few training videos leave no reference
            print(out / name)
    print(parity)


if __name__ == "__main__":
    command(main, "starts anew")
