"""The W&B workspace of a study, examined as the JSON that would be sent."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import matplotlib
import pytest

pytest.importorskip("wandb_workspaces", reason="needs the extra [dashboard]")

from dfdc_lightning.dashboard import workspace
from dfdc_lightning.errors import UserError
from dfdc_lightning.loggers.wandb import CHARTS
from dfdc_lightning.loggers.wandb_memo import WandbMemo
from dfdc_lightning.sweep import workspace as end_of_sweep
from dfdc_lightning.sweep.plan import Plan, PlannedRun, State

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


def test_the_table_of_runs_begins_with_the_test_metrics(sent: dict[str, Any]) -> None:
    (runset,) = sent["spec"]["section"]["runSets"]
    columns = json.dumps(runset)
    assert all(f'"summary:test/{name}"' in columns for name in ("auroc", "accuracy", "f1", "eer"))


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


class StandIn(BaseHTTPRequestHandler):
    """What W&B's client asks for when a workspace is saved."""

    saved: list[dict[str, Any]]

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        variables = json.loads(body).get("variables") if body[:1] == b"{" else None
        if variables:
            self.saved.append(variables)
        viewer = {"id": "u", "entity": "team", "username": "me", "flags": "{}", "teams": {"edges": []}}
        view = {"view": {"id": "id", "name": "nw-night-v"}, "inserted": True}
        answer = json.dumps({"data": {"viewer": viewer, "upsertView": view}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def wandb_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[dict[str, Any]]]:
    """A stand-in for W&B on this machine; what it was told to save."""
    saved: list[dict[str, Any]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (StandIn,), {"saved": saved}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("HOME", str(tmp_path))
    yield saved
    server.shutdown()
    server.server_close()


def plan_of(study: Path, mode: str) -> Plan:
    """A sweep of one run that W&B shows."""
    folder = study / "jpeg" / "0"
    (folder / ".hydra").mkdir(parents=True, exist_ok=True)
    WandbMemo("id", mode, 1, 3, "team" * (mode == "online"), "deepfakes").write(folder)
    return Plan(study, (PlannedRun("jpeg", 0, folder, State.START, 3),))


def test_a_sweep_that_is_online_builds_the_workspace_once(
    tmp_path: Path, wandb_here: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(tmp_path / "night", "online")
    for _ in range(2):
        end_of_sweep.build_workspace(plan)
        assert capsys.readouterr().out.startswith("W&B workspace of the study: http://127.0.0.1:")
    (view,) = wandb_here
    assert (view["entityName"], view["projectName"], view["displayName"]) == (
        "team",
        "deepfakes",
        "Study night",
    )


def test_no_sweep_fails_or_waits_for_a_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def late(command: list[str], **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(subprocess, "run", late)
    end_of_sweep.build_workspace(plan_of(tmp_path / "offline", "offline"))
    assert capsys.readouterr().out == ""
    end_of_sweep.build_workspace(plan_of(tmp_path / "night", "online"))
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "no workspace of this study yet (no answer within 60 seconds)" in said
    assert "python -m dfdc_lightning.dashboard study=night entity=team project=deepfakes" in said
