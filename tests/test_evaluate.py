"""Runs on other videos: scored as in their own test, never on what they learned from, whatever is killed."""

import csv
import json
import os
import resource
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from forgeries import ROOT, Trained
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from dfdc_lightning.errors import UserError
from dfdc_lightning.evaluate import scoring
from dfdc_lightning.evaluate.corrupting import CorruptedFaces, Job
from dfdc_lightning.evaluate.corruptions import Condition
from dfdc_lightning.evaluate.evaluation import Evaluations, Options, finished_runs
from dfdc_lightning.evaluate.record import Record
from dfdc_lightning.evaluate.subject import preparing
from dfdc_lightning.export import export
from dfdc_lightning.faces.cache import FAKE, FaceCache
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.face_detector import Haar
from dfdc_lightning.results.elsewhere import read_about, read_evaluation
from dfdc_lightning.runs import Run
from dfdc_lightning.video.sources import FolderSource, Video

CHANGED = "changed_"
PLAINLY = Options()


def renamed(trained: Trained, root: Path, keep: int = 0) -> FaceCache:
    """The run's clips under other names, but for the first ones, as if of another data set."""
    source, cache = FaceCache(trained.cache), FaceCache(root)
    cache.clip_path("x").parent.mkdir(parents=True)
    shutil.copy(source.root / "profile.json", root)
    rows = []
    for index, row in enumerate(source.rows()):
        video = row.video if index < keep else CHANGED + row.video
        clip = source.read_clip(row.video)
        if video != row.video and row.split != "test":  # what it learned from must not be there once more
            clip = clip._replace(faces=np.ascontiguousarray(255 - clip.faces[:, :, ::-1]))
        cache.write_clip(video, clip)
        original = CHANGED + row.original if row.original else ""
        rows.append(row._replace(video=video, original=original, split="test"))
    cache.write_rows(rows)
    return cache


def scores_of(folder: Path) -> dict[str, list[str]]:
    with (folder / "predictions.csv").open() as file:
        return {row[1].removeprefix(CHANGED): row[3:] for row in csv.reader(file) if row[0] == "test"}


def evaluated(run: Path, *on: Path, options: Options = PLAINLY) -> Evaluations:
    evaluations = Evaluations(options)
    evaluations.run([run], on)
    return evaluations


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the run, to write into."""
    return Path(shutil.copytree(trained.run, tmp_path / "study" / "baseline" / "0"))


def test_another_cache_is_scored_as_the_runs_own_test(trained: Trained, run: Path, tmp_path: Path) -> None:
    cache = renamed(trained, tmp_path / "other")
    assert evaluated(run, cache.root).problems == 0
    own, other = scores_of(run), scores_of(run / "elsewhere" / "other")
    assert len(own) == 4 and len(other) == 16
    for video, (label, *scores) in own.items():
        assert other[video][0] == label
        assert [float(score) for score in other[video][1:]] == pytest.approx(
            [float(score) for score in scores], abs=1e-5
        )


def test_videos_a_run_was_trained_on_are_left_out_and_named(
    trained: Trained, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = renamed(trained, tmp_path / "other", keep=16)
    rows = FaceCache(trained.cache).rows()
    seen = {row.video for row in rows if row.split != "test"}
    evaluated(run, cache.root)
    about = read_about(run / "elsewhere" / "other")
    assert about is not None
    assert set(about.trained_on) == seen
    assert set(scores_of(run / "elsewhere" / "other")) == {row.video for row in rows} - seen
    assert f"was trained on {len(seen)} of the videos" in capsys.readouterr().out


def test_what_was_made_from_a_training_video_is_left_out(trained: Trained, run: Path, tmp_path: Path) -> None:
    cache = renamed(trained, tmp_path / "other")
    trained_on = next(row.video for row in FaceCache(trained.cache).rows() if row.split == "train")
    rows = cache.rows()
    made = next(row for row in rows if row.label == FAKE)
    cache.write_rows([row._replace(original=trained_on) if row is made else row for row in rows])
    evaluated(run, cache.root)
    about = read_about(run / "elsewhere" / "other")
    assert about is not None and about.trained_on == [made.video]


def test_a_training_video_under_another_name_is_left_out(trained: Trained, run: Path, tmp_path: Path) -> None:
    cache, source = renamed(trained, tmp_path / "other"), FaceCache(trained.cache)
    copied = next(row.video for row in source.rows() if row.split == "train")
    shutil.copy(source.clip_path(copied), cache.clip_path(CHANGED + copied))
    evaluated(run, cache.root)
    about = read_about(run / "elsewhere" / "other")
    assert about is not None and CHANGED + copied in about.trained_on and len(about.trained_on) <= 2


def test_a_finished_evaluation_is_skipped_until_the_run_changes(
    trained: Trained, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = renamed(trained, tmp_path / "other")
    evaluated(run, cache.root)
    calls = Counter[str]()
    monkeypatch.setattr(Record, "score", lambda self, *_: calls.update([self.subject.name]))
    evaluated(run, cache.root)
    assert not calls
    text = (run / "predictions.csv").read_text()
    (run / "predictions.csv").write_text(text.replace("0.5", "0.6"))  # as if it had been trained again
    evaluated(run, cache.root)
    assert calls


def test_a_killed_evaluation_goes_on_and_ends_with_the_same_bytes(
    trained: Trained, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = renamed(trained, tmp_path / "other")
    monkeypatch.setattr(scoring, "BLOCK", 3)
    evaluated(run, cache.root)
    folder = run / "elsewhere" / "other"
    undisturbed = (folder / "predictions.csv").read_bytes()
    shutil.rmtree(folder)

    plain, seen = Record.score, Counter[str]()

    def killed(self: Record, condition: str, videos: list[str], faces: object) -> None:
        seen.update(videos)
        if len(seen) > 7:
            raise KeyboardInterrupt
        plain(self, condition, videos, faces)  # type: ignore[arg-type]

    monkeypatch.setattr(Record, "score", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluated(run, cache.root)
    assert not (folder / "evaluation.json").exists()
    with (folder / "journal.jsonl").open("a") as file:
        file.write('{"condition": "", "vid')  # a line that was cut off
    seen.clear()
    monkeypatch.setattr(Record, "score", lambda self, *words: (seen.update(words[1]), plain(self, *words)))
    evaluated(run, cache.root)
    assert len(seen) == 16 - 6  # two blocks were noted
    assert (folder / "predictions.csv").read_bytes() == undisturbed
    assert not (folder / "journal.jsonl").exists()


KILLED_AT_FILES = """
import hashlib, os, random, shutil, signal, sys
from pathlib import Path

from dfdc_lightning.evaluate import scoring
from dfdc_lightning.evaluate.evaluation import Evaluations, Options

here, run, cache = map(Path, sys.argv[1:])
scoring.BLOCK = 3
draw = random.Random(0)


def evaluate(kill_at):
    files = 0

    def count(event, arguments):
        nonlocal files
        if event in ("open", "os.rename", "os.remove", "os.mkdir") and str(here) in str(arguments[0]):
            files += 1
            if files == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if kill_at:
        sys.addaudithook(count)
    evaluations = Evaluations(Options())
    evaluations.run([run], [cache])
    return evaluations.problems


def ends(kill_at):
    pid = os.fork()
    if not pid:
        os._exit(evaluate(kill_at))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def made():
    folder = run / "elsewhere" / cache.name
    paths = sorted(path for path in folder.iterdir() if path.name != ".lock")
    content = b"".join(path.name.encode() + path.read_bytes() for path in paths)
    shutil.rmtree(folder)
    return hashlib.sha256(content).hexdigest()


assert evaluate(0) == 0  # here, so that what is forked has imported all and opened the network
undisturbed, kills = made(), 0
while kills < 20:
    while (status := ends(draw.randint(5, 45))) == -signal.SIGKILL:
        kills += 1
    assert status == 0, status
    assert made() == undisturbed, kills
print(kills)
"""


def test_kill_9_at_twenty_moments_leaves_nothing_that_the_next_call_does_not_mend(
    trained: Trained, run: Path, tmp_path: Path
) -> None:
    cache = renamed(trained, tmp_path / "other")
    script = tmp_path / "killed.py"
    script.write_text(KILLED_AT_FILES)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(script), str(tmp_path), str(run), str(cache.root)]
    said = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert int(said.stdout.splitlines()[-1]) >= 20


def test_an_exported_model_is_scored_as_its_run_and_cannot_say_what_it_learned_from(
    trained: Trained, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = renamed(trained, tmp_path / "other")
    export(Run(trained.run), tmp_path / "exported", FaceCache(trained.cache))
    evaluations = Evaluations(Options())
    evaluations.run([run, tmp_path / "exported" / "model.onnx"], [cache.root])
    assert evaluations.problems == 0
    own, exported = (scores_of(path / "elsewhere" / "other") for path in (run, tmp_path / "exported"))
    assert own.keys() == exported.keys()
    for video, (label, *scores) in own.items():
        assert exported[video][0] == label
        assert [float(score) for score in exported[video][1:]] == pytest.approx(
            [float(score) for score in scores], abs=1e-5
        )
    assert "an export does not say which videos it was trained on" in capsys.readouterr().err


def test_a_clip_is_read_once_for_all_runs(
    trained: Trained, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = Path(shutil.copytree(run, run.parent / "1"))
    cache = renamed(trained, tmp_path / "other")
    read, plain = Counter[str](), FaceCache.read_faces
    monkeypatch.setattr(
        FaceCache, "read_faces", lambda self, video: (read.update([video]), plain(self, video))[1]
    )
    evaluations = Evaluations(Options())
    evaluations.run(finished_runs(tmp_path, "study"), [cache.root])
    assert len(read) == 16 and set(read.values()) == {1}
    assert scores_of(run / "elsewhere" / "other") == scores_of(second / "elsewhere" / "other")


def test_a_damaged_clip_is_named_and_the_others_are_scored(
    trained: Trained, run: Path, tmp_path: Path
) -> None:
    cache = renamed(trained, tmp_path / "other")
    broken = cache.rows()[3].video
    cache.clip_path(broken).write_bytes(b"no clip")
    evaluated(run, cache.root)
    evaluation = read_evaluation(run / "elsewhere" / "other")
    assert evaluation is not None and evaluation.scores is not None
    assert list(evaluation.about.without_score) == [broken]
    assert "is damaged" in evaluation.about.without_score[broken]
    assert len(evaluation.scores.video) == 15


def test_another_profile_is_refused_with_the_command_that_makes_the_right_one(
    trained: Trained, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = renamed(trained, tmp_path / "other")
    cache.write_rows([row._replace(profile="elsewise") for row in cache.rows()])
    assert evaluated(run, cache.root).problems == 1
    said = capsys.readouterr().err
    assert "has faces of profile elsewise" in said and "python prepare_faces.py source.path=VIDEOS" in said
    assert "frames=4 size=48" in said and not (run / "elsewhere").exists()


def test_the_command_for_a_profile_gives_that_profile() -> None:
    preparation = FacePreparation(Haar(long_side=320), frames=4, size=48)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("prepare_faces", ["out=x", "source.path=y", *preparing(preparation).split()])
    detector = instantiate(config.face_detector)
    made = FacePreparation(detector, config.frames, config.size, config.margin, config.smoothing)
    assert made.profile == preparation.profile


@pytest.mark.parametrize("what", ["absent", "one label", "unfinished", "checkpoint", "damaged"])
def test_what_cannot_be_evaluated_is_a_sentence_and_the_rest_goes_on(
    what: str, trained: Trained, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, good, other = renamed(trained, tmp_path / "other"), renamed(trained, tmp_path / "good"), run
    if what == "absent":
        shutil.rmtree(cache.root)
        sentence = "manifest.csv does not exist"
    elif what == "one label":
        cache.write_rows([row for row in cache.rows() if row.label == FAKE])
        sentence = "has no usable REAL clip"
    else:
        other = Path(shutil.copytree(run, run.parent / "1"))
        file = {"unfinished": "result.json", "checkpoint": "checkpoints/best.ckpt"}.get(what)
        if file:
            (other / file).unlink()
            sentence = "holds no finished run" if what == "unfinished" else "best.ckpt does not exist"
        else:
            (other / "checkpoints" / "best.ckpt").write_bytes(b"nothing")
            sentence = "best.ckpt"
    evaluations = Evaluations(Options())
    evaluations.run([other, run] if other != run else [run], [cache.root, good.root])
    said = capsys.readouterr().err
    assert evaluations.problems and sentence in said and "Traceback" not in said
    assert len(scores_of(run / "elsewhere" / "good")) == 16


def test_a_name_that_is_taken_by_another_cache_is_refused(
    trained: Trained, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(run, renamed(trained, tmp_path / "a" / "other").root)
    second = renamed(trained, tmp_path / "b" / "other")
    second.write_rows(second.rows()[2:])
    assert evaluated(run, second.root).problems == 1
    assert "holds an evaluation on" in capsys.readouterr().err
    with pytest.raises(UserError, match="two folders called other"):
        evaluated(run, tmp_path / "a" / "other", second.root)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (Options(), "on= is missing"),
        (Options(corrupt=["fog"]), "corrupt=fog: the corruption must be one of"),
        (Options(corrupt=["jpeg"], workers=0), "workers must be a whole number of at least 1"),
        (Options(overwrite="no"), "overwrite must be true or false"),  # type: ignore[arg-type]
    ],
)
def test_options_that_cannot_be_are_a_sentence(options: Options, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        evaluated(Path("anywhere"), options=options)


def test_a_run_whose_cache_is_gone_is_scored_with_a_warning(
    trained: Trained, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = run / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace(str(trained.cache), str(tmp_path / "gone")))
    evaluated(run, renamed(trained, tmp_path / "other").root)
    about = read_about(run / "elsewhere" / "other")
    assert about is not None and "is gone" in about.doubt
    assert "warning: baseline/0: its cache" in capsys.readouterr().err


def test_corruptions_are_scored_on_the_runs_own_test_videos(trained: Trained, run: Path) -> None:
    options = Options(["jpeg-1", "jpeg-5", "h264-4"], FolderSource(trained.videos), workers=2)
    assert evaluated(run, options=options).problems == 0
    own, folder = scores_of(run), run / "elsewhere" / trained.cache.name
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"jpeg-1", "jpeg-5", "h264-4"}
    harm = {}
    for condition in ("jpeg-1", "jpeg-5", "h264-4"):
        scores = scores_of(folder / condition)
        assert {video: values[0] for video, values in scores.items()} == {v: s[0] for v, s in own.items()}
        harm[condition] = sum(abs(float(scores[video][1]) - float(own[video][1])) for video in own)
        about = read_about(folder / condition)
        assert about is not None and about.own and about.condition == condition
    assert 0 < harm["jpeg-1"] < harm["jpeg-5"]
    assert harm["h264-4"] > 0


def test_videos_that_are_missing_or_show_no_face_any_more_are_named(trained: Trained, tmp_path: Path) -> None:
    source, preparation = FolderSource(trained.videos), FacePreparation(Haar(), frames=4, size=48)
    task = CorruptedFaces(source, preparation)
    video = next(video for stage in source.stages() for video in stage.videos)
    faces = dict(task(Job(video, tuple(Condition("noise", level) for level in (1, 5)))))
    assert not isinstance(faces[Condition("noise", 1)], str)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(Path(video.path).read_bytes()[:2000])
    lost = task(Job(Video("broken", FAKE, "", "", str(broken)), (Condition("social", 2),)))
    assert "unreadable: " in str(lost[0][1]) and "broken" in str(lost[0][1])


def test_an_encoder_that_fails_is_named_and_the_other_corruptions_go_on(trained: Trained) -> None:
    source, preparation = FolderSource(trained.videos), FacePreparation(Haar(), frames=4, size=48)
    task = CorruptedFaces(source, preparation)
    video = next(video for stage in source.stages() for video in stage.videos)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limit[1]))  # the encoder cannot write its file
    try:
        encoded = task(Job(video, (Condition("h264", 1), Condition("h264", 2))))
        blurred = task(Job(video, (Condition("blur", 1),)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    for _, reason in encoded:
        assert isinstance(reason, str) and "File too large" in reason and "\n" not in reason
    assert not isinstance(blurred[0][1], str)


def test_source_videos_of_other_names_are_refused(
    trained: Trained, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = next(trained.videos.glob("*/*.mp4"))
    shutil.copy(first, tmp_path / "a.mp4")
    (tmp_path / "labels.csv").write_text("video,label\na.mp4,REAL\n")
    evaluations = evaluated(run, options=Options(["jpeg-1"], FolderSource(tmp_path)))
    assert evaluations.problems == 1
    assert "none of the 4 that are wanted" in capsys.readouterr().err


@pytest.fixture
def command(trained: Trained, run: Path, tmp_path: Path) -> Iterator[list[str]]:
    cache = renamed(trained, tmp_path / "other")
    yield [
        sys.executable,
        "evaluate.py",
        "study=study",
        f"root={tmp_path}",
        f"on={cache.root},{tmp_path}/none",
    ]


def test_the_command_prints_a_table_and_a_sentence_for_what_is_wrong(
    command: list[str], tmp_path: Path
) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[0].startswith("| run ")
    assert "| baseline/0 | other | 16 " in done.stdout
    assert done.stderr.startswith("error: ") and "none/manifest.csv does not exist" in done.stderr
    about = json.loads((tmp_path / "study/baseline/0/elsewhere/other/evaluation.json").read_text())
    assert about["data"] == "other"
