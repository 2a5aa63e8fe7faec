"""TensorBoard: learning curves and test metrics, in the run folder's `tensorboard/`."""

from pathlib import Path

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FaceCache
from dfdc_lightning.loggers.mirror import Mirror
from dfdc_lightning.loggers.worst_videos import face_strip, worst
from dfdc_lightning.results.predictions import Scores


class TensorBoardMirror(Mirror):
    """Writes event files. A resumed run writes its curves anew and tells TensorBoard to forget the old ones.

    Args:
        worst_videos: How many of the worst-judged test videos to show.
    """

    def __init__(self, worst_videos: int = 16) -> None:
        super().__init__("TensorBoard")
        self.worst_videos = worst_videos
        self._shown = -1

    def open(self, folder: Path) -> None:
        """Begin a new event file.

        Raises:
            UserError: When the extra `tensorboard` is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError:
            raise UserError(
                "logger=tensorboard needs tensorboard: pip install 'dfdc-lightning[tensorboard]'"
            ) from None
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=0)

    def show_epoch(self, row: dict[str, float]) -> None:
        """Add one point to every curve."""
        epoch = int(row["epoch"])
        if epoch > self._shown:
            self._shown = epoch
            for name, value in row.items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, epoch + 1)  # files count from 0
            self._writer.flush()

    def show_test(self, metrics: dict[str, float], test: Scores, threshold: float, cache: FaceCache) -> None:
        """Write the test metrics as one point each, and the worst videos' faces."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, self._shown + 1)
        for rank, item in enumerate(worst(test, self.worst_videos)):
            title = f"worst/{rank:02d} {item.video} {item.label} {item.score:.2f}"
            self._writer.add_image(title, face_strip(cache, item.video), self._shown + 1, dataformats="HWC")

    def close(self, failed: bool) -> None:
        """Write what is left to the event file."""
        self._writer.close()
