"""The last map of a backbone: the output in which features still have a place in the image, for Grad-CAM."""

from math import isqrt
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from dfdc_lightning.errors import UserError
from dfdc_lightning.models.forward_trace import ForwardTrace


class LastMap(NamedTuple):
    """A module whose output holds features by place.

    Attributes:
        module: What to hook.
        channels_last: Whether its output is (n h w c) instead of (n c h w).
        prefix: Of a vision transformer, whose output is (n prefix+h·w c): how many tokens are of no patch.
    """

    module: nn.Module
    channels_last: bool = False
    prefix: int | None = None

    def by_place(self, output: Tensor) -> Float[Tensor, "n c h w"]:
        """Bring the module's output for square images, or its gradient, into the order of a convolution's."""
        if self.prefix is not None:
            patches = output[:, self.prefix :].transpose(1, 2)
            side = isqrt(patches.shape[2])
            return patches.reshape(*patches.shape[:2], side, side)
        return output.permute(0, 3, 1, 2) if self.channels_last else output


def last_map(backbone: nn.Module, way: ForwardTrace) -> LastMap:
    """Find the last map by what a backbone's modules return for an image of its own size.

    A convolutional network's is what goes into the pooling. After it there may be more convolutions, of the
    pooled features, as in MobileNetV4. A vision transformer's is what goes into the last attention: behind it
    only the class token matters to the score, and the patches' own tokens have no gradient.

    Raises:
        UserError: When the backbone ends in tokens whose places are not known here.
    """
    prefix: Any = getattr(backbone, "num_prefix_tokens", None)
    if prefix is not None:
        blocks: Any = backbone.blocks
        return LastMap(blocks[-1].norm1, prefix=prefix)
    channels_last = getattr(backbone, "output_fmt", "NCHW") == "NHWC"
    for module, _, returned in reversed(way.ended):
        if returned is None or module is backbone:
            continue
        if returned.dim() == 3 and returned.shape[1] > 1:
            break  # tokens come after every map
        if returned.dim() == 4:
            height, width = returned.shape[1:3] if channels_last else returned.shape[2:]
            if height * width > 1:
                return LastMap(module, channels_last)
    raise UserError(
        f"{type(backbone).__name__} ends in tokens of unknown places, so Grad-CAM cannot be drawn: "
        "explain and export take convolutional networks and the usual vision transformers"
    )
