"""The report takes up what the check of a face cache found."""

import json
from pathlib import Path
from typing import Any

from benchmarks.example_study import write_study
from dfdc_lightning.audit.check_file import write_check
from dfdc_lightning.report import cache_check
from dfdc_lightning.report.evidence import Evidence
from dfdc_lightning.report.sections import contents
from dfdc_lightning.report.write import read_evidence

DOUBT = {"video": "test000004", "label": "REAL", "scores": [0.9, 0.8]}
FOUND: dict[str, Any] = {
    "profile": "0123abcd",
    "claims": [
        {"text": "no group crosses splits", "faults": []},
        {"text": "half FAKE", "faults": ["x: 3 to 9"]},
    ],
    "shortcuts": {
        "auroc": 0.71,
        "low": 0.62,
        "high": 0.8,
        "found": True,
        "families": {"container": {"auroc": 0.7, "low": 0.6, "high": 0.79}},
    },
    "leaks": {"pairs": 5, "across": 2},
    "split": {"name": "by_group", "torn": 0, "groups": 40},
    "doubtful": [DOUBT] * 25,
}


def read(root: Path, found: dict[str, Any] | None) -> Evidence:
    write_study(root / "toy", {"baseline": 1.5}, seeds=(0,), videos=40, epochs=2)
    result = root / "toy/baseline/0/result.json"
    content = json.loads(result.read_text())
    content["data"]["cache"] = str(root / "faces")
    result.write_text(json.dumps(content))
    if found is not None:
        write_check(root / "faces", found)
    return read_evidence(root, ["toy"], n_resamples=100)


def test_the_findings_are_a_section_of_their_own_and_notes_before_it(tmp_path: Path) -> None:
    found = read(tmp_path, FOUND)
    (section,) = [section for section in contents(found) if section.anchor == "data_check"]
    rows = dict(section.tables[0].rows)
    assert rows["AUROC of shortcuts"] == "0.710 (0.620–0.800)"
    assert rows["of the file alone"] == "0.700 (0.600–0.790)"
    assert rows["of size, sharpness and light alone"] == "–"
    assert rows["claims that hold"] == "1 of 2; not: half FAKE: x: 3 to 9"
    assert rows["near-duplicates in different groups"] == "5 pairs, 2 of them between splits"
    assert rows["labels in doubt"] == "25"
    assert section.tables[1].rows[0] == ["test000004", "toy", "REAL", "2", "0.850"]
    assert section.tables[1].rows[-1][0] == "and 5 more"
    said = "\n".join(map(str, found.notes))
    for words in ("without looking at a face (AUROC 0.710", "2 pairs of near-duplicates", "(half FAKE)"):
        assert words in said


def test_a_check_of_other_clips_and_a_missing_one_say_nothing(tmp_path: Path) -> None:
    for root, found in ((tmp_path / "a", FOUND | {"profile": "of other clips"}), (tmp_path / "b", None)):
        evidence = read(root, found)
        assert not cache_check.findings(evidence).rows
        assert not cache_check.notes(evidence)
        assert "data_check" not in [section.anchor for section in contents(evidence)]


def test_what_a_check_did_not_look_at_is_said(tmp_path: Path) -> None:
    found = read(tmp_path, {"profile": "0123abcd", "shortcuts": {"reason": "3 groups are too few"}})
    rows = dict(cache_check.findings(found).rows)
    assert rows["AUROC of shortcuts"] == "3 groups are too few"
    assert rows["labels in doubt"] == "not looked at"
    assert not cache_check.doubts(found).rows
    assert not cache_check.notes(found)
