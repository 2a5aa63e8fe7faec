"""Shows each run in Weights & Biases: online where a key is set, offline otherwise; never fails the run."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import wandb

from dfdc_lightning.faces.cache import FAKE, REAL, FaceCache
from dfdc_lightning.loggers.login import Mode, wandb_address, wandb_mode
from dfdc_lightning.loggers.mirror import Mirror
from dfdc_lightning.loggers.wandb_memo import WandbMemo, read_memo
from dfdc_lightning.loggers.worst_videos import face_strip, worst
from dfdc_lightning.models.hub import no_answer_from
from dfdc_lightning.results import measures
from dfdc_lightning.results.epochs import MONITORS
from dfdc_lightning.results.predictions import Scores
from dfdc_lightning.results.run_folder import RunFolder

_ANSWER = 2.0  # seconds within which W&B must say anything; its client would try for much longer
_ROC_POINTS = 200  # more cannot be told apart in a chart
# The charts of a tested run: W&B's own preset, and which column of its table is what in it.
CHARTS = {
    "test/confusion_matrix": (
        "wandb/confusion_matrix/v1",
        {"Actual": "Actual", "Predicted": "Predicted", "nPredictions": "nPredictions"},
    ),
    "test/roc": ("wandb/area-under-curve/v0", {"x": "fpr", "y": "tpr", "class": "class"}),
}


class WandbMirror(Mirror):
    """Shows a run in W&B.

    A run that is resumed online goes on in its own W&B run. Offline that is impossible: the resumed part
    becomes a W&B run of its own, called part 2, which holds the whole learning curve.

    Args:
        project: W&B project.
        group: Study; the workspace groups by it.
        name: Of the W&B run.
        tags: To filter by.
        worst_videos: How many of the worst-judged test videos to show with their faces.
        patience: Seconds to wait for W&B at the start, where it answers at all, and twice that at the end.
    """

    def __init__(
        self,
        project: str,
        group: str,
        name: str,
        tags: Sequence[str] = (),
        worst_videos: int = 16,
        patience: float = 30.0,
    ) -> None:
        super().__init__("W&B")
        self.project, self.group, self.name, self.tags = project, group, name, list(tags)
        self.worst_videos, self.patience = worst_videos, patience
        self._run: Any = None
        self._shown = -1

    def open(self, folder: Path) -> None:
        """Start or continue the W&B run; fall back to offline where W&B does not answer."""
        mode = wandb_mode()
        if mode == "online" and (reason := no_answer_from(wandb_address(), min(_ANSWER, self.patience))):
            mode = self._offline(reason)
        try:
            self._start(folder, mode)
        except Exception as error:  # a wrong key, a service that is down: all mean offline
            if mode != "online":
                raise
            self._start(folder, self._offline(" ".join(str(error).split())[:200]))

    @staticmethod
    def _offline(reason: str) -> Mode:
        print(f"W&B does not answer ({reason})", flush=True)
        return "offline"

    def _start(self, folder: Path, mode: Mode) -> None:
        files, before = RunFolder(folder), read_memo(folder)
        goes_on = before is not None and mode == before.mode == "online"
        part = (before.part if before else 0) + (not goes_on)
        os.environ["WANDB_DATA_DIR"] = str(
            folder / "wandb"
        )  # tables' images wait for a sync here, not at home
        self._run = run = wandb.init(
            project=self.project,
            group=self.group,
            name=self.name if part == 1 else f"{self.name} part {part}",
            id=before.id if before and goes_on else None,
            resume="allow" if goes_on else None,
            tags=self.tags,
            config=files.configuration | {"part": part},
            dir=folder,
            mode=mode,
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=self.patience,
                finish_timeout=2 * self.patience,
                login_timeout=1,
            ),
        )
        self._shown = before.epochs - 1 if before and goes_on else -1
        owner = run.entity or "" if mode == "online" else ""
        self._folder, self._memo = folder, WandbMemo(run.id, mode, part, 0, owner, self.project)
        self._remember()
        run.define_metric("epoch", hidden=True)
        for name in ("train/*", "val/*", "lr", "trainable_parameters", "clips_per_second", "seconds"):
            run.define_metric(name, step_metric="epoch")
        monitor = files.configuration.get("monitor", "val/auroc")
        run.define_metric(monitor, step_metric="epoch", summary=MONITORS[monitor].__name__)
        if mode == "offline":
            which = self.name if part == 1 else f"part {part} of {self.name}, with its whole learning curve"
            print(f"W&B offline, {which}: send it with  wandb sync {run.settings.sync_dir}", flush=True)
        elif part > 1 and not goes_on:
            print(f"W&B: part {part} of {self.name}, with its whole learning curve", flush=True)

    def show_epoch(self, row: dict[str, float]) -> None:
        """Send one point of every curve, unless W&B has it."""
        if row["epoch"] > self._shown:
            self._run.log(row | {"epoch": row["epoch"] + 1})  # files count from 0
            self._shown = int(row["epoch"])
            self._remember()

    def show_test(self, metrics: dict[str, float], test: Scores, threshold: float, cache: FaceCache) -> None:
        """Send the test metrics as summary, a confusion matrix, the ROC curve and the worst videos."""
        self._run.summary.update(metrics)
        counts = measures.confusion(test.score, test.label, threshold)
        curve = measures.roc(test.score, test.label).thinned(_ROC_POINTS)
        tables = {
            "test/confusion_matrix": wandb.Table(
                columns=["Actual", "Predicted", "nPredictions"],
                data=[
                    [REAL, REAL, counts.real_right],
                    [REAL, FAKE, counts.real_wrong],
                    [FAKE, REAL, counts.fake_wrong],
                    [FAKE, FAKE, counts.fake_right],
                ],
            ),
            "test/roc": wandb.Table(
                columns=["class", "fpr", "tpr"],
                data=[[FAKE, x, y] for x, y in zip(curve.fpr.tolist(), curve.tpr.tolist(), strict=True)],
            ),
        }
        titles = {
            "test/confusion_matrix": {"title": f"Test videos at threshold {threshold}"},
            "test/roc": {
                "title": "ROC, test videos",
                "x-axis-title": "False positive rate",
                "y-axis-title": "True positive rate",
            },
        }
        charts = {
            key: wandb.plot_table(preset, tables[key], fields, titles[key])
            for key, (preset, fields) in CHARTS.items()
        }
        columns: list[str | int] = ["video", "label", "score", "error", "faces"]
        rows = [
            [item.video, item.label, item.score, item.error, wandb.Image(face_strip(cache, item.video))]
            for item in worst(test, self.worst_videos)
            if cache.clip_path(item.video).is_file()  # what the loader blended has no clip of its own
        ]
        self._run.log(charts | {"test/worst_videos": wandb.Table(columns=columns, data=rows)})

    def close(self, failed: bool) -> None:
        """Send what is left, within the patience, and wait until the offline file is whole."""
        if self._run is not None:
            self._run.finish(exit_code=int(failed))
            # W&B's service still writes after finish() has returned; once it has ended, all is written.
            wandb.teardown(exit_code=int(failed))

    def let_go(self) -> None:
        """End the client's service process and its own complaints at exit."""
        with suppress(Exception):  # it is broken already
            wandb.teardown(exit_code=0)

    def _remember(self) -> None:
        self._memo._replace(epochs=self._shown + 1).write(self._folder)
