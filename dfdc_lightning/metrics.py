"""Numbers of one set of clips, from probabilities: AUROC, accuracy, F1 and EER of videos, AUROC of frames.

AUROC, accuracy and F1 are torchmetrics' own; all equal scikit-learn's. A video is called FAKE when its score
is above the threshold. EER is (FPR + FNR) / 2 at that point of the ROC curve where the two differ least; of
several such points, the one with the highest threshold.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC, BinaryEER, BinaryF1Score
from torchmetrics.utilities.data import dim_zero_cat

from dfdc_lightning.errors import UserError


class EqualErrorRate(BinaryEER):
    """EER in whole numbers: torchmetrics' own decides between equally good points by rounding errors."""

    def compute(self) -> Tensor:  # type: ignore[override]
        """Compute the EER of all scores seen."""
        score, label = dim_zero_cat(self.preds), dim_zero_cat(self.target)
        score, order = score.sort(descending=True)
        last_of_equals = torch.cat([score.diff() != 0, score.new_ones(1, dtype=torch.bool)])
        hits, alarms = (F.pad(x[order].cumsum(0)[last_of_equals], (1, 0)) for x in (label, 1 - label))
        misses, alarms = (hits[-1] - hits) * alarms[-1], alarms * hits[-1]  # both out of all REAL-FAKE pairs
        closest = (alarms - misses).abs().argmin()  # the first of equals
        return (alarms + misses)[closest] / (2 * misses[0])


class TwoLabels(MetricCollection):
    """Metrics of probabilities and labels; refuses sets with one label, of which AUROC and EER say nothing.

    Its metrics do not validate their input, because that waits for the device at every step.
    """

    def compute(self) -> dict[str, Tensor]:
        """Compute all numbers, by name.

        Raises:
            UserError: When every label is REAL or every label is FAKE, or a score is not finite.
        """
        predictions: Any = next(metric.preds for metric in self.children() if hasattr(metric, "preds"))
        if not torch.isfinite(dim_zero_cat(predictions)).all():
            where = (self.prefix or "").rstrip("/") or "the set"
            raise UserError(
                f"a score of {where} is not finite: train the run again, with a lower learning rate"
            )
        targets: Any = next(metric.target for metric in self.children() if hasattr(metric, "target"))
        labels: Tensor = torch.cat(targets) if isinstance(targets, list) else targets
        if labels.min() == labels.max():
            name = "FAKE" if labels[0] else "REAL"
            where = (self.prefix or "").rstrip("/") or "the set"
            raise UserError(f"all {len(labels)} labels of {where} are {name}: AUROC and EER need both labels")
        return super().compute()  # type: ignore[no-any-return]


def video_auroc() -> BinaryAUROC:
    """Build the AUROC of videos; validating its input would wait for the device at every step."""
    return BinaryAUROC(validate_args=False)


def video_metrics(threshold: float) -> TwoLabels:
    """Build the metrics of video scores; names without addition are video-level everywhere.

    Args:
        threshold: Scores above it are called FAKE.
    """
    return TwoLabels(
        {
            "auroc": video_auroc(),
            "accuracy": BinaryAccuracy(threshold, validate_args=False),
            "f1": BinaryF1Score(threshold, validate_args=False),
            "eer": EqualErrorRate(validate_args=False),
        }
    )


def frame_metrics() -> TwoLabels:
    """Build the metrics of single frames' probabilities, each against the label of its video."""
    return TwoLabels({"frame_auroc": BinaryAUROC(validate_args=False)})
