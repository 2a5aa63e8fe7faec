"""A frame detector stays one where a video has a single frame: in training, report, verdict and export."""

import json
import sys
from pathlib import Path

import pytest
from forgeries import Trained, train_run

from dfdc_lightning.explain.__main__ import main as explain
from dfdc_lightning.export import export
from dfdc_lightning.faces.cache import FaceCache
from dfdc_lightning.predict.session import Options, predict
from dfdc_lightning.report.write import write_report
from dfdc_lightning.runs import Run


def test_one_frame_per_video_is_enough_everywhere(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trained.below(tmp_path).videos.symlink_to(trained.videos)
    train_run(tmp_path, frames=1)
    folder, videos, cache = Trained.below(tmp_path)
    run = Run(folder)
    test = run.predictions.splits["test"]
    assert run.result.level == "frame" and "frame_auroc" in run.result.test
    assert test.frames is not None and test.frames[:, 0].tolist() == test.score.tolist()

    evidence, report = write_report(tmp_path / "multirun", ["tiny"], n_resamples=100)
    (measured,) = evidence.experiments[0].runs
    assert measured.frame_auroc == pytest.approx(run.result.test["frame_auroc"], abs=1e-6)
    assert "baseline" in (report / "tables" / "levels.md").read_text()

    monkeypatch.setattr(sys, "argv", ["explain", f"run={folder}", f"videos={test.video[0]}"])
    explain()
    assert (run.pictures / "clips" / f"{test.video[0]}.png").stat().st_size > 10_000

    parity = export(run, tmp_path / "exported", FaceCache(cache))
    assert parity.logit <= 1e-3
    assert json.loads((tmp_path / "exported" / "model.json").read_text())["level"] == "frame"

    video = next(videos.glob(f"*/{test.video[0]}.mp4"))
    for model in (folder, tmp_path / "exported"):
        predict([str(video)], model, Options(format="json", out=tmp_path / "verdict.json"))
        verdict = json.loads((tmp_path / "verdict.json").read_text())
        assert verdict["score"] == pytest.approx(test.score[0], abs=1e-4)
