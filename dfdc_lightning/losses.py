"""What training minimises: logits against labels, for one logit per frame or one per clip."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss


class SmoothedBCE(nn.Module):
    """Binary cross-entropy with softened labels: FAKE counts as 1 - smoothing, REAL as smoothing.

    Args:
        smoothing: 0.005 makes the targets 0.995 and 0.005. (Keras, y·(1-s) + s/2, calls that 0.01.)
    """

    def __init__(self, smoothing: float) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, logits: Float[Tensor, "b k"], label: Float[Tensor, " b"]) -> Float[Tensor, ""]:
        """Average over all logits; each of a clip's k logits is compared with the clip's label."""
        target = label * (1 - 2 * self.smoothing) + self.smoothing
        return F.binary_cross_entropy_with_logits(logits.float(), target[:, None].expand_as(logits))


class FocalLoss(nn.Module):
    """Focal loss (Lin et al. 2017, eq. 5) as torchvision computes it: confident logits count little.

    Args:
        alpha: Weight of FAKE; REAL weighs 1 - alpha.
        gamma: How strongly confident logits are played down; 0 leaves weighted cross-entropy.
    """

    def __init__(self, alpha: float, gamma: float) -> None:
        super().__init__()
        self.alpha, self.gamma = alpha, gamma

    def forward(self, logits: Float[Tensor, "b k"], label: Float[Tensor, " b"]) -> Float[Tensor, ""]:
        """Average the focal loss over the k logits of every clip."""
        target = label[:, None].expand_as(logits)
        loss: Tensor = sigmoid_focal_loss(logits.float(), target, self.alpha, self.gamma, reduction="mean")
        return loss


def alignment(features: Float[Tensor, "n f"], label: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Average the squared distance of two features of one label (Wang and Isola, 2020, eq. 3 with α = 2).

    Args:
        features: On the unit sphere.
        label: The class of each; pairs of one class are positive pairs. Without any the result is 0.
    """
    first, second = torch.triu_indices(len(label), len(label), 1, device=label.device)
    same = label[first] == label[second]
    distances = (features[first[same]] - features[second[same]]).square().sum(-1)
    return distances.sum() / max(len(distances), 1)


def uniformity(features: Float[Tensor, "n f"], t: float = 2.0) -> Float[Tensor, ""]:
    """Compute the logarithm of the mean Gaussian potential of all pairs (Wang and Isola, 2020, eq. 5).

    Args:
        features: On the unit sphere, at least two.
        t: Of the potential exp(-t · squared distance).
    """
    return (-t * F.pdist(features).square()).exp().mean().log()
