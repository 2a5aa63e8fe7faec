"""Training and evaluation shared by every detector; a subclass gives the way from features to frame logits.

The one rule for scores: a clip's score is the mean of the sigmoid over its k logits, and a clip whose score
is above the threshold is called FAKE. It holds in training, validation, test, report and prediction.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import lightning as L
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from typing_extensions import override

from dfdc_lightning import checks
from dfdc_lightning.clips import Clip
from dfdc_lightning.errors import UserError
from dfdc_lightning.metrics import frame_metrics, video_auroc, video_metrics
from dfdc_lightning.models.folding import Folding
from dfdc_lightning.models.forward_trace import input_size, trace_forward
from dfdc_lightning.models.last_map import LastMap, last_map
from dfdc_lightning.models.layers import fix_statistics, layers, open_last
from dfdc_lightning.results.result import Level

_TOO_SMALL = "Kernel size can't be greater than actual input size"  # torch's words


def probabilities(logits: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
    """Apply the sigmoid in single precision; half precision would make large logits all 1."""
    return torch.sigmoid(logits.float())


def scores(logits: Float[Tensor, "b k"]) -> Float[Tensor, " b"]:
    """Average the sigmoid over a clip's k logits."""
    return probabilities(logits).mean(1)


class Detector(L.LightningModule):
    """A backbone, partly frozen, and what training needs.

    A subclass states its `level` and defines `head_logits`; everything else is the same for every detector.

    Attributes:
        level: What one logit judges: a single "frame" or the whole "clip".
        n_features: How many features the backbone gives for a frame.

    Args:
        backbone: A timm network without classifier: images (n, 3, h, w) → features (n, f).
        loss: Logits (b k) and labels (b) → a number.
        optimizer: Parameters, or groups of them → optimiser.
        scheduler: Optimiser → schedule, stepped once per epoch.
        trainable_layers: How many of the backbone's last layers ever train; None means all.
        threshold: Clips with scores above it are called FAKE.
        mean: What is subtracted from each channel, in units of full intensity; None takes the backbone's own.
        std: What each channel is then divided by; None takes the backbone's own.
        head_lr: Learning rate of everything behind the backbone; None takes the optimiser's own for all.
        compile: Whether to compile the backbone before training (worth its minutes on a GPU only).
    """

    level: ClassVar[Level]
    _mean: Tensor
    _std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[list[Any]], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler],
        trainable_layers: int | None,
        threshold: float,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        compile: bool = False,  # noqa: A002
        head_lr: float | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss, self.optimizer, self.scheduler = loss, optimizer, scheduler
        self.threshold, self.compile_backbone = threshold, compile
        self.head_lr = None if head_lr is None else checks.number("model.head_lr", head_lr, above=0)
        self._compiled: Callable[[Tensor], Tensor] | None = None
        for name, values in (("mean", mean), ("std", std)):
            configuration: Any = backbone.pretrained_cfg
            per_channel = torch.tensor(list(values or configuration[name]))
            self.register_buffer(f"_{name}", 255 * per_channel.view(1, 3, 1, 1), persistent=False)

        way = trace_forward(backbone)
        self.n_features, self.layers = way.features, layers(backbone, way)
        self.folding = Folding(way)
        wanted = len(self.layers) if trainable_layers is None else trainable_layers
        self.trainable_layers = checks.whole(
            "model.trainable_layers", wanted, 0, len(self.layers), other="null"
        )
        self.open_layers(self.trainable_layers)

        self.train_auroc = video_auroc()
        self.val_metrics, self.test_metrics = (
            video_metrics(threshold).clone(f"{split}/") for split in ("val", "test")
        )
        self.val_frame_metrics, self.test_frame_metrics = (
            frame_metrics().clone(f"{split}/") for split in ("val", "test")
        )

    def forward(self, faces: UInt8[Tensor, "b t 3 h w"]) -> Float[Tensor, "b k"]:
        """Compute the logits that training and scores use: one per frame (k = t) or one per clip (k = 1)."""
        return self.pooled(self.frame_logits(faces))

    def frame_logits(self, faces: UInt8[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t"]:
        """Compute what each frame says by itself or, in a detector of clips, adds to the clip's logit."""
        return self.head_logits(self.features(faces))

    def head_logits(self, features: Float[Tensor, "b t f"]) -> Float[Tensor, "b t"]:
        """Compute the frame logits from the backbone's features; each subclass defines it."""
        raise NotImplementedError

    def pooled(self, frame_logits: Float[Tensor, "b t"]) -> Float[Tensor, "b k"]:
        """Turn frame logits into what `forward` returns: themselves, or for whole clips their mean."""
        return frame_logits if self.level == "frame" else frame_logits.mean(1, keepdim=True)

    def features(self, faces: UInt8[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t f"]:
        """Normalise the faces and send each through the backbone.

        Raises:
            UserError: When the backbone takes images of another size only, or larger ones.
        """
        self._check_size(faces)
        images = faces.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        backbone = self._compiled if self.training and self._compiled else self.backbone
        try:
            features: Tensor = backbone((images - self._mean) / self._std)
        except RuntimeError as error:
            if _TOO_SMALL not in str(error):
                raise
            raise UserError(
                f"faces of {faces.shape[3]} × {faces.shape[4]} pixels are too small for the backbone, which "
                "halves them more often than they allow: prepare larger ones (size=), or take another model"
            ) from error
        return features.view(*faces.shape[:2], -1)

    def _check_size(self, faces: Tensor) -> None:
        embedding: Any = getattr(self.backbone, "patch_embed", None)
        expected = input_size(self.backbone)
        if getattr(embedding, "strict_img_size", False) and tuple(faces.shape[3:]) != expected:
            raise UserError(
                f"the backbone takes images of {expected[0]} × {expected[1]} pixels only, the faces have "
                f"{faces.shape[3]} × {faces.shape[4]}: set +model.backbone.img_size={faces.shape[3]}, "
                "or prepare faces of that size"
            )
        patch = (1, 1) if getattr(embedding, "dynamic_img_pad", True) else embedding.patch_size
        if any(side % part for side, part in zip(faces.shape[3:], patch, strict=True)):
            raise UserError(
                f"the backbone takes images whose sides are multiples of {patch[0]} pixels only, the faces "
                f"have {faces.shape[3]} × {faces.shape[4]}: prepare faces with "
                f"size={faces.shape[3] // patch[0] * patch[0]}"
            )

    @property
    def last_map(self) -> LastMap:
        """Where Grad-CAM looks: the last output in which features have a place in the image."""
        return last_map(self.backbone, trace_forward(self.backbone))

    def open_layers(self, n: int) -> None:
        """Let the last n layers of the backbone train and put the others into inference mode."""
        self.n_open = n
        open_last(self.layers, n)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Detector":
        """Switch between training and inference mode; frozen layers stay in inference mode."""
        super().train(mode)
        fix_statistics(self.backbone)
        return self

    def setup(self, stage: str) -> None:
        """Fold frozen BatchNorms, or compile where asked to, which fuses them in its own way.

        Compiled is training alone, since evaluation would cost as many minutes again.
        """
        if stage == "fit" and self.compile_backbone:  # for two sizes of batches: full ones and the last
            self._compiled = torch.compile(self.backbone.__call__, dynamic=False)
        else:
            self.folding.begin()

    def teardown(self, stage: str) -> None:
        """Leave a network whose every layer computes by itself, as exports and explanations need it."""
        self.folding.end()

    def configure_optimizers(self) -> Any:
        """Give the optimiser every parameter that will ever train: opening layers changes nothing in it."""
        frozen = {
            parameter
            for layer in self.layers[: len(self.layers) - self.trainable_layers]
            for parameter in layer.parameters
        }
        trained: list[Any] = [parameter for parameter in self.parameters() if parameter not in frozen]
        if self.head_lr is not None:
            in_backbone = set(self.backbone.parameters())
            head = [parameter for parameter in trained if parameter not in in_backbone]
            rest = [parameter for parameter in trained if parameter in in_backbone]
            trained = [{"params": rest}, {"params": head, "lr": self.head_lr}]
        optimizer = self.optimizer(trained)
        return {"optimizer": optimizer, "lr_scheduler": self.scheduler(optimizer)}

    def training_step(self, batch: Clip, batch_idx: int) -> dict[str, Tensor]:
        """Compute the loss of one batch, and the logits for whoever watches."""
        loss, logits = self._step(batch, "train")
        self.train_auroc.update(scores(logits.detach()), batch.label.round().long())
        self.log("train/auroc", self.train_auroc, on_step=False, on_epoch=True)
        return {"loss": loss * self._weight(batch_idx), "logits": logits.detach()}

    def _weight(self, batch_idx: int) -> float:
        """What Lightning's mean over accumulated batches leaves out: how many clips each of them has."""
        accumulated = self.trainer.accumulate_grad_batches
        if accumulated == 1 and self.trainer.world_size == 1:
            return 1.0
        loader: Any = self.trainer.train_dataloader
        weight: float = loader.batch_sampler.weight(batch_idx, accumulated, self.trainer.num_training_batches)
        return weight

    @override
    def validation_step(self, batch: Clip, batch_idx: int) -> Tensor:
        return self._evaluate(batch, "val")

    @override
    def test_step(self, batch: Clip, batch_idx: int) -> Tensor:
        return self._evaluate(batch, "test")

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's metrics and start anew."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics."""
        self._log_metrics("test")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another network, naming the difference.

        Raises:
            UserError: When names or shapes differ.
        """
        own, other = self.state_dict(), checkpoint["state_dict"]
        wrong = sorted(own.keys() ^ other.keys()) or [
            key for key in own if own[key].shape != other[key].shape
        ]
        if wrong:
            raise UserError(
                f"the checkpoint is of another network than the configuration's: {len(wrong)} entries "
                f"differ, {wrong[0]} first; give the model it was trained with"
            )

    def _step(self, batch: Clip, split: str) -> tuple[Tensor, Float[Tensor, "b k"]]:
        logits = self(batch.faces)
        loss: Tensor = self.loss(logits, batch.label)
        n, of_all = len(batch.label), self.trainer.world_size > 1
        self.log(f"{split}/loss", loss.detach(), on_step=False, on_epoch=True, batch_size=n, sync_dist=of_all)
        return loss, logits

    def _evaluate(self, batch: Clip, split: str) -> Float[Tensor, "b k"]:
        _, logits = self._step(batch, split)
        label = batch.label.long()
        getattr(self, f"{split}_metrics").update(scores(logits), label)
        if self.level == "frame":
            getattr(self, f"{split}_frame_metrics").update(
                probabilities(logits), label[:, None].expand_as(logits)
            )
        return logits

    def _log_metrics(self, split: str) -> None:
        for metrics in (getattr(self, f"{split}_metrics"), getattr(self, f"{split}_frame_metrics")):
            if any(metric.update_called for metric in metrics.children()):
                self.log_dict(metrics.compute(), sync_dist=self.trainer.world_size > 1)
                metrics.reset()
