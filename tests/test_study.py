"""The whole path on real deepfakes: videos, cache, training, report, through the commands a user types."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
pytestmark = pytest.mark.skipif(
    not (SHARED / "data").is_dir(), reason="the real samples (../shared/data) are absent"
)

TINY = (
    "scale=scratch",
    "model.backbone.name=test_resnet",
    "data.batch_size=2",
    "data.workers=0",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
)


def command(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run one of the project's commands as a user would, and see that it ends as expected."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ffpp_as_dfdc(folder: Path) -> Path:
    """FaceForensics++'s files seen as one DFDC part: a fake's original is the video whose body it shows."""
    part = folder / "dfdc_train_part_0"
    part.mkdir(parents=True)
    metadata = {}
    for video in sorted((SHARED / "data" / "ffpp_c40_sample").rglob("*.mp4")):
        fake = "manipulated_sequences" in video.parts
        method = video.parts[video.parts.index("manipulated_sequences") + 1] if fake else ""
        name = f"{method}{video.name}"
        (part / name).symlink_to(video)
        entry = {"label": "FAKE" if fake else "REAL", "split": "train"}
        metadata[name] = entry | ({"original": f"{video.stem.split('_')[0]}.mp4"} if fake else {})
    (part / "metadata.json").write_text(json.dumps(metadata))
    return folder


def test_the_dfdc_sample_becomes_five_clips(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    command(
        "prepare_faces.py",
        f"source.path={SHARED / 'data' / 'dfdc_sample'}",
        f"out={cache}",
        f"face_detector.model={SHARED / 'models' / 'face_detection_yunet_2023mar.onnx'}",
        "per_label=null",
        "size=96",
    )
    manifest = rows(cache / "manifest.csv")
    assert [row["status"] for row in manifest] == ["ok"] * 5
    assert all(int(row["n_found"]) == 10 for row in manifest)
    assert all((cache / "clips" / f"{row['video']}.npz").is_file() for row in manifest)


def test_real_deepfakes_go_from_videos_to_a_table(tmp_path: Path) -> None:
    """Prepare, sweep two experiments over two seeds, report; then the same sweep again does nothing."""
    cache, study = tmp_path / "cache", f"test_{tmp_path.name}"
    source = ffpp_as_dfdc(tmp_path / "videos")
    command(
        "prepare_faces.py",
        f"source.path={source}",
        f"out={cache}",
        f"face_detector.model={SHARED / 'models' / 'face_detection_yunet_2023mar.onnx'}",
        "per_label=null",
        "size=64",
        "split.fractions={train: 0.5, val: 0.25, test: 0.25}",
    )
    manifest = rows(cache / "manifest.csv")
    assert len(manifest) == 20
    splits: dict[str, set[str]] = {}
    for row in manifest:
        if row["split"]:
            splits.setdefault(row["group"], set()).add(row["split"])
    assert len(splits) == 4
    assert all(len(names) == 1 for names in splits.values()), "a group crosses splits"
    command("prepare_faces.py", f"check={cache}")

    sweep = (
        *("train.py", "-m", "experiment=baseline,lstm", "seed=0", *TINY),
        *(f"data.cache={cache}", f"study={study}", f"hydra.sweep.dir={tmp_path / 'multirun' / study}"),
    )
    command(*sweep)
    for experiment in ("baseline", "lstm"):
        run = tmp_path / "multirun" / study / experiment / "0"
        predictions = rows(run / "predictions.csv")
        assert {row["split"] for row in predictions} == {"val", "test"}
        assert all(0 <= float(row["score"]) <= 1 for row in predictions)
        assert ("score_frame_9" in predictions[0]) == (experiment == "baseline")
        result = json.loads((run / "result.json").read_text())
        assert result["threshold"] == 0.6
        assert result["experiment"] == experiment
        assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
        assert (run / ".hydra" / "config.yaml").is_file()
        assert len(rows(run / "metrics.csv")) == 1
    before = (tmp_path / "multirun" / study / "baseline" / "0" / "result.json").stat().st_mtime_ns
    command(*sweep)
    assert (tmp_path / "multirun" / study / "baseline" / "0" / "result.json").stat().st_mtime_ns == before

    done = command("report.py", f"study={study}", f"root={tmp_path / 'multirun'}")
    assert "baseline" in done.stdout
    assert "lstm" in done.stdout
    assert (tmp_path / "multirun" / study / "report" / "index.html").is_file()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("train.py", "experiment=basline"), "basline"),
        (("train.py", "experiment=baseline", "optimiser.lr=1"), "optimiser"),
        (("train.py", "data.cache=/nowhere/faces"), "/nowhere/faces"),
        (("prepare_faces.py", "source.path=/nowhere/videos", "out=/tmp/x"), "/nowhere/videos"),
        (("report.py", "study=nobody_made_this"), "nobody_made_this"),
        (("predict.py", "video=/nowhere/a.mp4", "run=/nowhere/run"), "/nowhere"),
    ],
)
def test_bad_input_is_one_sentence_that_names_it_and_exit_code_2(
    tmp_path: Path, words: tuple[str, ...], named: str
) -> None:
    folder = [f"hydra.run.dir={tmp_path}"] if words[0] == "train.py" else []
    done = command(*words, *folder, code=2)
    assert named in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
