"""What a run folder remembers of its W&B run: .hydra/wandb.json."""

import json
from pathlib import Path
from typing import NamedTuple

from dfdc_lightning import atomic
from dfdc_lightning.errors import UserError
from dfdc_lightning.results.run_folder import RunFolder


class WandbMemo(NamedTuple):
    """The W&B run that shows a run.

    Attributes:
        id: Of the W&B run.
        mode: Whether it is online or offline.
        part: 1, or more where a run was resumed offline.
        epochs: How many epochs it has been sent.
        entity: User or team it belongs to; empty offline.
        project: The project it belongs to.
    """

    id: str
    mode: str
    part: int
    epochs: int
    entity: str = ""
    project: str = ""

    def write(self, folder: Path) -> None:
        """Write it into a run folder."""
        atomic.write_json(RunFolder(folder).wandb_file, self._asdict())


def read_memo(folder: Path) -> WandbMemo | None:
    """Read what a run folder remembers; None where it was never shown.

    Raises:
        UserError: When the file is damaged.
    """
    path = RunFolder(folder).wandb_file
    if not path.is_file():
        return None
    try:
        return WandbMemo(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): delete it, and the run is shown anew") from None
