"""A scan finds where in a video somebody was swapped, and of what is REAL it raises little."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from forgeries import Trained

from dfdc_lightning.demo.spliced import render_spliced
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FAKE, REAL
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.predict.ahead import ahead
from dfdc_lightning.predict.conformal import INCONCLUSIVE
from dfdc_lightning.predict.level import PERIOD, level, spread_within
from dfdc_lightning.predict.predictors import open_predictor
from dfdc_lightning.predict.scan import Scan
from dfdc_lightning.predict.scan_answer import predict_scanned
from dfdc_lightning.predict.session import Options, predict
from dfdc_lightning.predict.text import as_text
from dfdc_lightning.predict.timeline import Scored, Timeline
from dfdc_lightning.predict.verdict import Rules
from dfdc_lightning.predict.verdict_page import body
from dfdc_lightning.predict.verify import verify
from dfdc_lightning.predict.windows import Sample, Windows
from dfdc_lightning.results.predictions import Scores

WINDOW, HOP = 4.0, 2.0


class Marked:
    """Finds faces where an image has them: a box as wide as its first pixel says, none where that is 0."""

    name, settings = "marked", {}

    def find(self, image: np.ndarray) -> np.ndarray:
        side = int(image[0, 0, 0])
        box = [20, 20, 20 + side, 20 + side, 1] if side else []
        return np.array(box, np.float32).reshape(-1, 5)


def image(side: int, colour: int = 90) -> np.ndarray:
    picture = np.full((100, 100, 3), colour, np.uint8)
    picture[0, 0] = side
    return picture


def cut(images: list[np.ndarray], hop: int) -> list[tuple[int, list[int], list[bool]]]:
    windows = Windows(FacePreparation(Marked(), frames=4, size=16), hop)
    made = []
    for frame, each in enumerate(images):
        windows.look(each)
        made += windows.add(Sample(10 * frame, each))
    made += windows.end()
    return [(each.person, each.clip.frames.tolist(), each.clip.found.tolist()) for each in made]


def test_windows_follow_each_other_and_the_last_ends_with_its_person() -> None:
    made = cut([image(40)] * 7, 2)
    assert [frames for _, frames, _ in made] == [[0, 10, 20, 30], [20, 30, 40, 50], [30, 40, 50, 60]]
    assert all(all(found) for _, _, found in made)


def test_a_missed_face_is_bridged_and_a_cut_is_not() -> None:
    ((_, frames, found),) = cut([image(40), image(40), image(0), image(40)], 4)
    assert (frames, found) == ([0, 10, 20, 30], [True, True, False, True])
    made = cut([image(40)] * 4 + [image(10, 200)] * 5, 4)
    assert [(person, frames[0]) for person, frames, _ in made] == [(0, 0), (1, 40), (1, 50)]
    assert cut([image(40), image(10, 200)] * 4, 4) == [], "persons who change with every cut"


def test_no_more_is_kept_of_a_long_video_than_of_a_short_one() -> None:
    windows = Windows(FacePreparation(Marked(), frames=4, size=16), 2)
    for frame in range(200):
        windows.look(image(40))
        windows.add(Sample(frame, image(40)))
    assert len(windows._kept) <= 8
    assert all(len(stretch.boxes) <= 8 for stretch in windows._stretches.values())


def drawn(rng: np.random.Generator, n: int, spread: float) -> np.ndarray:
    """Window logits of one REAL person: windows overlap by half, so neighbours share half of their frames."""
    halves = rng.normal(rng.normal(-1, 2), spread * np.sqrt(2), n + 1)
    return np.asarray((halves[1:] + halves[:-1]) / 2)


@pytest.mark.parametrize(("minutes", "prior"), [(1, 0.3), (1, None), (10, 0.3), (10, None)])
def test_chance_exceeds_the_level_about_once_in_ten_minutes(minutes: int, prior: float | None) -> None:
    rng = np.random.default_rng(0)
    n, parts, videos = int(minutes * 60 / HOP) - 1, 0, 400
    for _ in range(videos):
        scores = 1 / (1 + np.exp(-drawn(rng, n, 0.3)))
        windows = [Scored(1, HOP * k, HOP * k + WINDOW, float(s), 8) for k, s in enumerate(scores)]
        parts += len(Timeline.of(windows, WINDOW, prior).found)
    assert parts / (videos * minutes * 60) <= 1.3 / PERIOD
    assert parts > 0


def test_a_part_that_scores_higher_is_found_with_its_times() -> None:
    values = drawn(np.random.default_rng(1), 29, 0.2)
    values[10:13] += 3
    scores = 1 / (1 + np.exp(-values))
    windows = [Scored(1, HOP * k, HOP * k + WINDOW, float(s), 8) for k, s in enumerate(scores)]
    timeline = Timeline.of(windows, WINDOW, 0.2)
    assert [(each.start, each.end) for each in timeline.found] == [(20.0, 28.0)]
    strange = [each._replace(unlike="a drawing") if each.score > 0.5 else each for each in windows]
    assert Timeline.of(strange, WINDOW, 0.2).found == [], "who looks unlike the training is not judged"


def test_few_windows_have_no_level_and_the_remedy_is_named() -> None:
    assert level([0.5] * 7, HOP, 0.3) is None
    few = Timeline.of([Scored(1, 0.0, 4.0, 0.9, 8)], WINDOW, 0.3)
    assert few.note.endswith("set one against the others: give a smaller window=")
    assert "nobody is seen for as long as a window of 4.0 s" in Timeline.of([], WINDOW, 0.3).note


def test_the_spread_is_that_of_real_validation_frames() -> None:
    rng = np.random.default_rng(0)
    frames = 1 / (1 + np.exp(-rng.normal(0, 0.8, (60, 8))))
    label = np.arange(60) % 2 == 1
    frames[label] = rng.uniform(0, 1, (30, 8))
    names = [str(index) for index in range(60)]
    spread = spread_within(Scores(names, names, label, frames.mean(1), frames))
    assert spread == pytest.approx(0.8 / np.sqrt(8), rel=0.15)
    assert spread_within(Scores(names, names, label, frames.mean(1), None)) is None


def test_what_a_thread_gets_ready_comes_in_order_and_errors_come_through() -> None:
    def items() -> "list[int]":
        yield from range(5)  # type: ignore[misc]
        raise ValueError("broken")

    seen = []
    with pytest.raises(ValueError, match="broken"):
        for item in ahead(items(), 2):
            seen.append(item)
    assert seen == list(range(5))
    assert next(iter(ahead(range(10**9), 2))) == 0, "nobody waits for the rest"


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    regions = render_spliced(path, 3, (4.0, 6.0), seconds=12.0, size=(320, 240), fps=8.0)
    assert len(regions) == 16, "two seconds are forged"
    return path


def test_a_scanned_video_has_the_score_it_has_without_a_scan(trained: Trained, long_video: Path) -> None:
    predictor = open_predictor(trained.run)
    scanned = Scan(predictor.card.make_preparation(), predictor, 1.0)(long_video)
    verdict = predict_scanned(scanned, predictor, Rules(threshold=0.6), maps=True)
    plain = tmp_json(long_video, trained, Options())
    assert verdict.person.score == pytest.approx(plain["score"], abs=1e-6)
    assert verdict.scan is not None
    (line,) = verdict.scan.lines
    assert line.person == 1 and line.level is not None
    assert [window.start for window in line.windows[:3]] == [0.0, 0.5, 1.0]
    assert line.windows[-1].end == pytest.approx(12.0, abs=0.3)
    assert "scan: 23 windows of 1.0 s" in as_text(verdict)
    assert "window by window" in body(verdict) and "broken line" in body(verdict)


def tmp_json(video: Path, trained: Trained, options: Options) -> dict:  # type: ignore[type-arg]
    out = video.with_suffix(".json")
    predict([str(video)], trained.run, options._replace(format="json", out=out))
    return json.loads(out.read_text())  # type: ignore[no-any-return]


def test_a_scan_is_repeated_by_its_record(
    trained: Trained, long_video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = tmp_json(long_video, trained, Options(scan=True, window=1.0))
    assert len(outcome["scan"]["persons"][0]["windows"]) == 23
    assert "scan=true window=1.0" in outcome["record"]["command"]
    assert outcome["record"]["container"]["codec"] == "h264"
    verify(long_video.with_suffix(".json"))
    assert "the same comes out" in capsys.readouterr().out


def test_a_folder_is_scanned_and_a_short_video_is_told(
    trained: Trained, long_video: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").symlink_to(long_video)
    render_spliced(tmp_path / "short.mp4", 4, None, seconds=0.25, size=(320, 240), fps=8.0)
    options = Options(format="csv", out=tmp_path / "v.csv", scan=True, window=2.0, workers=1)
    predict([str(tmp_path)], trained.run, options)
    head, long, short = (tmp_path / "v.csv").read_text().splitlines()
    assert "stand_out" in head and "video_sha256" in head
    assert ",ok," in long and "too_short" in short and "has 2 frames, 4 are needed" in short
    with pytest.raises(UserError, match="holds verdicts of another model or of other settings"):
        predict([str(tmp_path)], trained.run, options._replace(window=1.0))


@pytest.mark.parametrize("window", [0, -1.0, float("nan")])
def test_an_impossible_window_is_a_sentence(window: float, trained: Trained, long_video: Path) -> None:
    with pytest.raises(UserError, match=r"window must be a number above 0 \(got "):
        predict([str(long_video)], trained.run, Options(scan=True, window=window))


def test_where_a_window_stands_out_a_video_is_not_called_real(trained: Trained, long_video: Path) -> None:
    predictor = open_predictor(trained.run)
    low = predictor.card._replace(
        validation={REAL: list(np.linspace(0, 0.9, 40)), FAKE: list(np.linspace(0.98, 1, 40))}
    )
    scanned = Scan(low.make_preparation(), predictor, 1.0)(long_video)
    predictor.card = low
    calm = [each._replace(score=0.1 + 0.001 * k) for k, each in enumerate(scanned.windows)]
    raised = [*calm[:-1], calm[-1]._replace(score=0.99)]
    one, other = (
        predict_scanned(scanned._replace(windows=windows), predictor, Rules(0.05))
        for windows in (calm, raised)
    )
    assert one.called == REAL
    assert other.called == INCONCLUSIVE
    assert "stands out from the rest of person 1" in other.answer.reason
    short = predict_scanned(scanned._replace(windows=[]), predictor, Rules(0.05))
    assert short.called == INCONCLUSIVE and "give a smaller window=" in short.answer.reason


def test_of_a_damaged_video_only_what_is_sound_is_judged_on_request(
    trained: Trained, long_video: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.mp4"
    content = bytearray(long_video.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    damaged.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged\.mp4"):
        predict([str(damaged)], trained.run, Options())
    for options in (Options(damaged="use"), Options(damaged="use", scan=True, window=1.0)):
        outcome = tmp_json(damaged, trained, options)
        told = re.match(r"the video is damaged: (\d+) of 96 frames are sound", outcome["damage"])
        assert told is not None and 20 <= int(told[1]) < 96
        assert outcome["warnings"][0] == outcome["damage"]
        assert "damaged=use" in outcome["record"]["command"]
    whole = tmp_json(long_video, trained, Options(damaged="use"))
    assert whole["damage"] == ""
    with pytest.raises(UserError, match=r"damaged must be one of refuse, use \(got mend\)"):
        predict([str(damaged)], trained.run, Options(damaged="mend"))
