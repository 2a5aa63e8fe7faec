"""Grad-CAM of any detector, the recurrent one included: one signed map per frame (see `prediction.py`)."""

import numpy as np
import torch
from jaxtyping import UInt8
from pytorch_grad_cam import GradCAM
from torch import Tensor, nn

from dfdc_lightning.explain.prediction import Prediction, array
from dfdc_lightning.models.appearance import logits_and_appearance
from dfdc_lightning.models.detector import Detector


class _Frames(nn.Module):
    """Gives Grad-CAM what it expects: a batch of images in, a batch of logits out."""

    def __init__(self, detector: Detector, clips: int) -> None:
        super().__init__()
        self.detector, self.clips = detector, clips

    def forward(self, frames: UInt8[Tensor, "n 3 h w"]) -> Tensor:
        clips = frames.reshape(self.clips, -1, *frames.shape[1:])
        self.outputs = logits_and_appearance(self.detector, clips)
        logits: Tensor = self.outputs[0].flatten()
        return logits


class _SignedGradCAM(GradCAM):  # type: ignore[misc]
    """Grad-CAM without its ReLU, and not scaled to each map's own maximum, which makes all look alike."""

    def compute_cam_per_layer(
        self, input_tensor: Tensor, targets: list[nn.Module], eigen_smooth: bool
    ) -> list[np.ndarray]:
        kept = self.activations_and_grads
        (activations,), (gradients,) = kept.activations, kept.gradients
        maps = self.get_cam_image(
            input_tensor,
            self.target_layers[0],
            targets,
            activations.float().numpy(),
            gradients.float().numpy(),
        )
        return [maps[:, None]]

    def aggregate_multi_layers(self, cam_per_target_layer: list[np.ndarray]) -> np.ndarray:
        return cam_per_target_layer[0][:, 0]


def predict_with_maps(detector: Detector, faces: UInt8[np.ndarray, "b t 3 h w"]) -> Prediction:
    """Score clips and compute one map per frame.

    The target is the sum of the clips' logits; as no clip and, in a frame detector, no frame takes part in
    another's logit, that is each frame's own logit, or the logit of the clip that a sequence detector's frame
    belongs to.

    Args:
        detector: On any device; it is put into evaluation mode.
        faces: Crops as the cache holds them.
    """
    clips = len(faces)
    frames = torch.from_numpy(np.ascontiguousarray(faces)).flatten(0, 1)
    model = _Frames(detector.eval(), clips)
    # The gradient ends at the map: nothing before it is needed, and frozen layers before it do no harm.
    target = detector.last_map
    cut = target.module.register_forward_hook(lambda *call: call[2].detach().requires_grad_())
    try:
        # cuDNN refuses to go back through an LSTM in evaluation mode.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            cam = _SignedGradCAM(model, [target.module], reshape_transform=target.by_place)
            maps = cam(frames, [nn.Identity()] * clips * faces.shape[1])
            cam.activations_and_grads.release()
    finally:
        cut.remove()
    shape = (clips, faces.shape[1], *maps.shape[1:])
    logits, frame_logits, appearance = map(array, model.outputs)
    return Prediction(logits, frame_logits, appearance, np.asarray(maps, np.float32).reshape(shape))
