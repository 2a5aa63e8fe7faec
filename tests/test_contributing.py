"""CONTRIBUTING.md's recipe from nothing works as it is written there."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn import draw_clip
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

import dfdc_lightning

ROOT = Path(__file__).parents[1]


def test_a_recipe_from_nothing_is_added_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## A recipe from nothing")[2]
    page = page.partition("\n## ")[0]
    blocks = re.findall(r"```(?:python|yaml)\n(.*?)```", page, re.S)
    named = re.findall(r"`((?:dfdc_lightning|conf)/[\w/]+\.(?:py|yaml))`", page)
    assert len(blocks) == len(named) == 3
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "dfdc_lightning").mkdir()
    for name, text in zip(named, blocks, strict=True):
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(
        dfdc_lightning, "__path__", [*dfdc_lightning.__path__, str(tmp_path / "dfdc_lightning")]
    )
    with initialize_config_dir(str(tmp_path / "conf"), version_base="1.3"):
        config = compose("train", ["experiment=grey", "data.augment.grey.p=1.0"])
        baseline = compose("train", ["experiment=baseline"])
    assert list(config.data.augment) == [*baseline.data.augment, "grey"]
    clip = instantiate(config.data.augment)(draw_clip("somebody", False, 2, 64).faces, [0, 0, 0])
    assert np.array_equal(clip[:, 0], clip[:, 1]) and np.array_equal(clip[:, 0], clip[:, 2])
    plain = instantiate(baseline.data.augment)(draw_clip("somebody", False, 2, 64).faces, [0, 0, 0])
    assert not np.array_equal(plain[:, 0], plain[:, 1])
