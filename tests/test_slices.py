"""Where a method is strong and weak, by what the face cache knows of the test videos."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.example_study import write_run
from dfdc_lightning.faces.cache import FAKE, FaceCache
from dfdc_lightning.report.evidence import Evidence, gather
from dfdc_lightning.report.sections import contents
from dfdc_lightning.report.slices import slices
from dfdc_lightning.report.study import read_study
from dfdc_lightning.results.result import read_result, write_result
from dfdc_lightning.results.run_folder import RunFolder
from tests.drawn import draw_cache

PAIRS = 36


def known(cache: FaceCache) -> None:
    """Every third FAKE is of the method "hard" and three are "rare"; parts, persons and sizes by halves."""
    rows = []
    for place, row in enumerate(cache.rows()):
        pair = place // 2
        method = "" if row.label != FAKE else "rare" if pair < 3 else "hard" if pair % 3 == 0 else "easy"
        half = pair % 2
        rows.append(
            row._replace(
                method=method,
                part=str(half),
                person=("a", "a/b")[half],
                width=(640, 1920)[half],
                height=(360, 1080)[half],
            )
        )
    cache.write_rows(rows)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    root = tmp_path_factory.mktemp("slices")
    cache = draw_cache(root / "cache", {"val": PAIRS, "test": PAIRS})
    known(cache)
    data = {}
    for split in ("val", "test"):
        rows = [row for row in cache.rows() if row.split == split]
        data[split] = {
            "video": np.array([row.video for row in rows]),
            "group": np.array([row.group for row in rows]),
            "label": np.array([row.label == FAKE for row in rows]),
        }
    for seed in (0, 1, 2):
        run = RunFolder(root / "toy" / "baseline" / str(seed))
        write_run(run, data, np.random.default_rng(seed), 1.5, 2, "clip")
        result = read_result(run.result_file)
        write_result(run.result_file, result._replace(data=result.data | {"cache": str(cache.root)}))
    return gather([read_study(root, "toy", ["baseline"])], n_resamples=50)


def test_every_fact_of_the_manifest_and_of_the_clips_has_its_slices(evidence: Evidence) -> None:
    table = slices(evidence)
    there = {(row[0], row[1]) for row in table.rows}
    assert {("method", "easy"), ("method", "hard"), ("part", "0"), ("part", "1")} <= there
    assert {("persons", "1"), ("persons", "2")} <= there
    assert {("short side (pixels)", "below 480"), ("short side (pixels)", "1080 and more")} <= there
    assert {"sharpness", "brightness"} & {of for of, _ in there}


def test_thin_slices_are_left_out_and_the_number_looked_at_is_stated(evidence: Evidence) -> None:
    table = slices(evidence)
    assert ("method", "rare") not in {(row[0], row[1]) for row in table.rows}
    assert all(int(row[2]) >= 10 and int(row[3]) >= 10 for row in table.rows)
    said = table.caption
    looked_at, left_out = int(said.split(" slices were")[0].split()[-1]), said.split("looked at and ")[1]
    assert looked_at == len(table.rows) + int(left_out.split()[0])
    assert int(left_out.split()[0]) >= 1


def test_the_numbers_of_a_slice_are_those_of_its_videos(evidence: Evidence) -> None:
    row = {tuple(row[:2]): row for row in slices(evidence).rows}["part", "1"]
    runs = evidence.experiments[0].runs
    test = runs[0].test
    inside = np.array([int(video[4:7]) % 2 == 1 for video in test.video])
    expected = np.mean([roc_auc_score(test.label[inside], run.test.score[inside]) for run in runs])
    assert row[4] == f"{expected:.3f}"
    called = [run.test.score > run.threshold for run in runs]
    accused = np.mean([c[inside & ~test.label].mean() for c in called])
    missed = np.mean([1 - c[inside & test.label].mean() for c in called])
    assert (row[6], row[8]) == (f"{accused:.3f}", f"{missed:.3f}")
    assert "–" in row[5], "18 groups are enough for an interval"


def test_without_the_cache_the_report_has_no_slices(evidence: Evidence, tmp_path: Path) -> None:
    assert "slices" in [section.anchor for section in contents(evidence)]
    run = evidence.experiments[0].runs[0].run
    target = RunFolder(tmp_path / "toy" / "baseline" / "0")
    target.folder.mkdir(parents=True)
    for path in run.folder.iterdir():
        if path.is_file():
            (target.folder / path.name).write_bytes(path.read_bytes())
    result = read_result(target.result_file)
    write_result(target.result_file, result._replace(data=result.data | {"cache": str(tmp_path / "gone")}))
    found = gather([read_study(tmp_path, "toy", ["baseline"])], n_resamples=50)
    assert not slices(found).rows
