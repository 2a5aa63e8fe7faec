"""Figures of a made-up study: complete, labelled, told apart without colour, the same bytes each time."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from benchmarks.example_study import write_study
from dfdc_lightning.report import figures
from dfdc_lightning.report.evidence import Evidence, gather
from dfdc_lightning.report.sections import contents
from dfdc_lightning.report.study import read_study
from dfdc_lightning.report.style import COLOURS, Picture, canvas, line_style, slug


def evidence(root: Path, **options: object) -> Evidence:
    write_study(root / "toy", {"baseline": 1.4, "lstm": 2.2}, videos=60, **options)
    return gather([read_study(root, "toy", ["baseline"])], n_resamples=200)


def drawn(found: Evidence) -> list[Picture]:
    return [picture for section in contents(found) for picture in section.pictures]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Picture]:
    found = evidence(tmp_path_factory.mktemp("multirun"), seeds=(0, 1, 2))
    return {picture.name: picture for picture in drawn(found)}


def test_every_figure_of_the_study_is_there(pictures: dict[str, Picture]) -> None:
    expected = {"forest", "roc", "det", "confusion", "scores", "reliability", "learning", "uncertain"}
    assert set(pictures) == expected
    assert all(len(picture.caption) > 40 for picture in pictures.values())


def test_axes_are_labelled(pictures: dict[str, Picture]) -> None:
    for picture in pictures.values():
        figure = picture.figure
        text = [figure.get_supxlabel(), figure.get_supylabel()]
        text += [label for axes in figure.axes for label in (axes.get_xlabel(), axes.get_ylabel())]
        assert len([label for label in text if label]) >= 2, picture.name
    assert pictures["learning"].figure.axes[0].get_ylabel() == "loss (nats)"
    assert "%" in pictures["roc"].figure.axes[0].get_xlabel()


def test_each_experiment_has_a_confusion_matrix(pictures: dict[str, Picture]) -> None:
    axes = [axes for axes in pictures["confusion"].figure.axes if axes.images]
    assert len(axes) == 2
    for a in axes:
        assert sum(int(text.get_text().split()[0]) for text in a.texts) == 60


def test_the_best_epoch_of_each_seed_is_marked_and_epochs_count_from_1(pictures: dict[str, Picture]) -> None:
    lower = pictures["learning"].figure.axes[1]
    stars = [line for line in lower.lines if line.get_marker() == "*" and len(line.get_xdata())]
    assert len(stars) == 3
    assert min(lower.lines[0].get_xdata()) == 1


def test_the_forest_has_a_dot_per_seed_and_the_differences_beside(pictures: dict[str, Picture]) -> None:
    left, right = pictures["forest"].figure.axes
    dots = [line for line in left.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in dots] == [3, 3]
    assert "baseline" in right.get_xlabel()


def test_a_figure_of_many_experiments_stays_below_4000_pixels(tmp_path: Path) -> None:
    write_study(tmp_path / "toy", {"baseline": 1.4} | {f"e{i}": 1.5 for i in range(49)}, (0, 1), videos=40)
    found = gather([read_study(tmp_path, "toy", ["baseline"])], n_resamples=100)
    for picture in drawn(found):
        assert picture.figure.get_size_inches().max() * 200 <= 4000, picture.name
        if picture.name != "forest":
            assert len(picture.figure.axes) <= 24


def test_experiments_differ_in_line_style_and_marker_not_in_colour_alone() -> None:
    looks = [line_style(i) for i in range(20)]
    assert len({str(one) for one in looks}) == 20
    for part in zip(*looks[:7], strict=True):
        assert len(set(map(str, part))) == 7


def test_neighbouring_colours_differ_in_grey_print() -> None:
    grey = [float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114))) for colour in COLOURS]
    assert abs(grey[0] - grey[1]) > 0.1
    assert len({round(value, 2) for value in grey}) == 7


def test_no_text_is_smaller_than_seven_points(pictures: dict[str, Picture]) -> None:
    from matplotlib.text import Text

    for picture in pictures.values():
        small = [t.get_text() for t in picture.figure.findobj(Text) if t.get_text() and t.get_fontsize() < 7]
        assert not small, (picture.name, small)


def test_the_same_evidence_gives_the_same_bytes(tmp_path: Path) -> None:
    found = evidence(tmp_path, seeds=(0,))
    for folder in ("first", "second"):
        for picture in drawn(found):
            if picture.name in ("roc", "learning", "scores"):
                figures.save(picture, tmp_path / folder)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name
        if path.suffix == ".png":
            width, height = struct.unpack(">II", path.read_bytes()[16:24])
            assert width == 920
            assert height > 400
        else:
            text = path.read_text()
            assert text.startswith("<?xml")
            assert "dc:date" not in text
    assert len(list((tmp_path / "first").iterdir())) == 6


def test_a_drawing_has_a_palette_and_its_colours_and_a_photograph_keeps_all_of_its_own(
    tmp_path: Path,
) -> None:
    figure = canvas(2)
    figure.subplots().plot([0, 1], color=COLOURS[1], lw=9)
    figures.save(Picture("drawing", "", "", figure), tmp_path)
    figure = canvas(2)
    figure.subplots().imshow(np.random.default_rng(0).random((300, 300, 3)))
    figures.save(Picture("photograph", "", "", figure), tmp_path)
    with (
        Image.open(tmp_path / "drawing.png") as drawing,
        Image.open(tmp_path / "photograph.png") as photograph,
    ):
        assert drawing.mode == "P"
        colours = {colour for _, colour in drawing.convert("RGB").getcolors()}
        assert {(255, 255, 255), (0x00, 0x72, 0xB2)} <= colours
        assert photograph.mode != "P"


def test_figures_without_data_are_left_out(tmp_path: Path) -> None:
    found = evidence(tmp_path, seeds=(0,), clip_level=("baseline", "lstm"))
    found.studies[0].epochs = {run.name: [] for run in found.studies[0].runs}
    names = {picture.name for picture in drawn(found)}
    assert "uncertain" not in names
    assert not any(name.startswith("learning") for name in names)


def test_a_long_name_stays_inside_every_figure(tmp_path: Path) -> None:
    long = "an_experiment_that_says_all_it_does_in_its_name"
    write_study(tmp_path / "toy", {"baseline": 1.4, long: 2.2}, seeds=(0,), videos=60)
    found = gather([read_study(tmp_path, "toy", ["baseline"])], n_resamples=200)
    for picture in drawn(found):
        picture.figure.draw_without_rendering()
        box = picture.figure.get_tightbbox()
        width, height = picture.figure.get_size_inches()
        assert box.x0 > -0.05 and box.x1 < width + 0.05 and box.y0 > -0.05, picture.name
    assert any(long in picture.caption for picture in drawn(found))


def test_labels_become_safe_file_names() -> None:
    assert slug("celeb_df-2") == "celeb_df-2"
    assert re.fullmatch(r"a-x-y-[0-9a-f]{8}", slug("a: x/y ü"))
    names = ["a b", "a-b", "基线", "增强", "-", ""]
    assert len({slug(name) for name in names}) == len(names)


def test_names_that_a_font_or_a_formula_would_lose_are_drawn_apart(tmp_path: Path) -> None:
    names = ["a$^$b", "$\\frac$", "基线", "增强", "a b", "a-b"]
    write_study(tmp_path / "toy", dict.fromkeys(names, 1.5), seeds=(0, 1), videos=40, epochs=2)
    found = gather([read_study(tmp_path, "toy", [])], n_resamples=100)
    made = drawn(found)
    for picture in made:  # a glyph that is missing is a warning, and warnings are errors here
        figures.save(picture, tmp_path)
    forest = next(picture for picture in made if picture.name == "forest")
    ticks = [text.get_text() for text in forest.figure.axes[0].get_yticklabels()]
    assert {*ticks} == {"a$^$b", "$\\frac$", "U+57FAU+7EBF", "U+589EU+5F3A", "a b", "a-b"}
