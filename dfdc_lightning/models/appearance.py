"""What a clip looks like to a backbone: by this, videos unlike the training videos are recognised.

The last features serve the answer alone: training makes all clips of a label alike there, whatever they
show. Halfway through the network texture, colours and shapes are still told apart, so a frame is described by
the mean and the logarithm of the standard deviation of each channel of two convolutions (Lee et al., 2018,
use such layers; Huang and Belongie, 2017, call these two numbers per channel an image's style).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dfdc_lightning.models.detector import Detector

_PLACES = (0.25, 0.55)  # of all convolutions, in the order in which the image passes them
_LEAST = 1e-3


@contextmanager
def watched(detector: Detector) -> Iterator[list[Float[Tensor, "n c"]]]:
    """Describe every frame that passes the backbone inside the block, one tensor per watched convolution."""
    convolutions = [layer.module for layer in detector.layers if isinstance(layer.module, nn.Conv2d)]
    chosen = dict.fromkeys(convolutions[int(place * len(convolutions))] for place in _PLACES)
    kept: list[Float[Tensor, "n c"]] = []

    def describe(_module: object, _inputs: object, output: Float[Tensor, "n c h w"]) -> None:
        maps = output.detach().float()
        mean = maps.mean((2, 3))
        variance = (maps - mean[..., None, None]).square().mean((2, 3))
        kept.append(torch.cat([mean, (variance.sqrt() + _LEAST).log()], 1))

    hooks = [convolution.register_forward_hook(describe) for convolution in chosen]
    try:
        with detector.folding.suspended():  # which would hide what the convolutions return
            yield kept
    finally:
        for hook in hooks:
            hook.remove()


def logits_and_appearance(
    detector: Detector, faces: UInt8[Tensor, "b t 3 h w"]
) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b t"], Float[Tensor, "b t a"]]:
    """Compute logits of clips and frames and what the frames look like, by one pass of the backbone."""
    with watched(detector) as kept:
        frame_logits = detector.frame_logits(faces)
    return detector.pooled(frame_logits), frame_logits, torch.cat(kept, 1).view(*faces.shape[:2], -1)
