"""The W&B workspace of a study in code: `python -m dfdc_lightning.dashboard study=dfdc entity=TEAM`."""

import sys
from typing import Any

import wandb

from dfdc_lightning.arguments import arguments
from dfdc_lightning.errors import UserError
from dfdc_lightning.loggers.wandb import CHARTS
from dfdc_lightning.runs import command

_CURVES = {
    "AUROC": ("val/auroc", "train/auroc", "val/frame_auroc"),
    "Loss": ("val/loss", "train/loss"),
    "F1": ("val/f1",),
    "Accuracy": ("val/accuracy",),
    "Equal error rate": ("val/eer",),
    "Learning rate": ("lr",),
    "Trainable parameters": ("trainable_parameters",),
    "Clips a second": ("clips_per_second",),
}
_FINAL = {
    "Test AUROC": "test/auroc",
    "Test accuracy": "test/accuracy",
    "Test F1": "test/f1",
    "Test EER": "test/eer",
}


def workspace(study: str, entity: str, project: str) -> Any:
    """Build learning curves with bands over seeds, final metrics, confusion matrices and worst videos.

    Args:
        study: The group of the W&B runs to show.
        entity: W&B user or team.
        project: W&B project.

    Raises:
        UserError: When the extra `dashboard` is not installed.
    """
    try:
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    except ModuleNotFoundError:
        raise UserError(
            "the workspace needs wandb-workspaces: pip install 'dfdc-lightning[dashboard]'"
        ) from None
    over_seeds: Any = {
        "groupby": wr.Config("name"),
        "groupby_aggfunc": "mean",
        "groupby_rangefunc": "stddev",
    }
    curves = [
        wr.LinePlot(
            title=title,
            x="epoch",
            y=list(metrics),
            title_x="epoch",
            **over_seeds,
        )
        for title, metrics in _CURVES.items()
    ]
    finals = [
        wr.BarPlot(
            title=title,
            metrics=[wr.SummaryMetric(metric)],
            **over_seeds,
        )
        for title, metric in _FINAL.items()
    ]
    charts = [
        wr.CustomChart(
            query={"summaryTable": {"tableKey": f"{key}_table"}}, chart_name=preset, chart_fields=fields
        )
        for key, (preset, fields) in CHARTS.items()
    ]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"Study {study}",
        sections=[
            ws.Section(name="Learning curves, mean and deviation over seeds", panels=curves, is_open=True),
            ws.Section(name="Test, mean and deviation over seeds", panels=finals, is_open=True),
            ws.Section(name="Confusion matrices and ROC curves", panels=charts, is_open=True),
            ws.Section(
                name="Worst-judged test videos",
                panels=[wr.WeavePanelSummaryTable(table_name="test/worst_videos")],
            ),
        ],
        runset_settings=ws.RunsetSettings(
            filters=ws.And(ws.Metric("Group") == study),
            groupby=[ws.Config("name")],
            pinned_columns=[f"summary:{metric}" for metric in _FINAL.values()],  # the test table
        ),
    )


def main() -> None:
    """Build the workspace that the command line names and save it in W&B.

    Raises:
        UserError: When W&B does not take it.
    """
    given = arguments(sys.argv[1:], {"study": "dfdc", "entity": None, "project": "dfdc-lightning"})
    built = workspace(**given)
    try:
        built.save()
    except (wandb.errors.Error, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"W&B did not take the workspace of study={given['study']} ({reason}): log in with "
            "`wandb login`, and give an entity and a project that exist"
        ) from error
    print(built.url)


if __name__ == "__main__":
    command(main)
