"""The W&B workspace of a study, examined as the JSON that would be sent."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import pytest

pytest.importorskip("wandb_workspaces", reason="needs the extra [dashboard]")

from dfdc_lightning.dashboard import workspace
from dfdc_lightning.errors import UserError
from dfdc_lightning.loggers.wandb import CHARTS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def sent() -> dict[str, Any]:
    return json.loads(workspace("night", "team", "deepfakes")._to_model().model_dump_json(by_alias=True))


def panels(sent: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    sections = sent["spec"]["section"]["panelBankConfig"]["sections"]
    return [
        panel["config"] for section in sections for panel in section["panels"] if panel["viewType"] == kind
    ]


def test_it_belongs_to_the_study(sent: dict[str, Any]) -> None:
    assert (sent["entity"], sent["project"], sent["displayName"]) == ("team", "deepfakes", "Study night")
    (runset,) = sent["spec"]["section"]["runSets"]
    assert '"group"' in json.dumps(runset["filters"]) and '"night"' in json.dumps(runset["filters"])
    assert "name" in json.dumps(runset["grouping"])


def test_learning_curves_are_grouped_by_experiment_with_bands_over_seeds(sent: dict[str, Any]) -> None:
    curves = panels(sent, "Run History Line Plot")
    shown = {metric for curve in curves for metric in curve["metrics"]}
    assert {"train/loss", "val/loss", "val/auroc", "val/f1", "val/accuracy", "val/eer", "lr"} <= shown
    assert {"trainable_parameters", "clips_per_second"} <= shown
    for curve in curves:
        assert (curve["xAxis"], curve["groupBy"]) == ("epoch", "name.value")
        assert (curve["groupAgg"], curve["groupArea"], curve["aggregate"]) == ("mean", "stddev", True)


def test_final_metrics_are_the_test_s(sent: dict[str, Any]) -> None:
    finals = {metric for bar in panels(sent, "Bar Chart") for metric in bar["metrics"]}
    assert finals == {f"summary_metrics.test/{name}" for name in ("auroc", "accuracy", "f1", "eer")}


def test_confusion_matrices_come_from_the_tables_that_runs_log(sent: dict[str, Any]) -> None:
    charts = panels(sent, "Vega2")
    assert {chart["panelDefId"] for chart in charts} == {preset for preset, _ in CHARTS.values()}
    for key in CHARTS:
        assert f"{key}_table" in json.dumps(charts)
    assert "test/worst_videos" in json.dumps(sent["spec"])


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    monkeypatch.delitem(sys.modules, "wandb_workspaces.reports.v2", raising=False)
    with pytest.raises(UserError, match=r"pip install 'dfdc-lightning\[dashboard\]'"):
        workspace("night", "team", "deepfakes")


def test_without_a_key_it_says_what_to_do(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    said = subprocess.run(
        [sys.executable, "-m", "dfdc_lightning.dashboard", "study=night", "entity=team"],
        cwd=ROOT,
        env=clean | {"HOME": str(tmp_path), "MPLCONFIGDIR": matplotlib.get_cachedir()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2
    assert said.stderr.startswith("error: ") and said.stderr.count("\n") == 1
    assert "wandb login" in said.stderr and "Traceback" not in said.stderr
