"""A run folder is claimed by one process, for one configuration, and never mistaken for what it is not."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from sweeping import ROOT, environment, toy

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FaceCache
from dfdc_lightning.runs import Run, check_values, differences, one_sentence, result_settings
from dfdc_lightning.sweep import isolation
from dfdc_lightning.sweep.run_processes import Exit, RunProcesses


@contextmanager
def composed(*overrides: str) -> Iterator[DictConfig]:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("train", list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        yield config
    HydraConfig.instance().cfg = None


def settings(*overrides: str) -> dict[str, Any]:
    with composed(*overrides) as config:
        return result_settings(config)


def test_where_and_how_a_run_is_watched_does_not_count(tiny_cache: Path, tmp_path: Path) -> None:
    here = settings(f"data.cache={tiny_cache}")
    moved = tmp_path / "moved"
    moved.symlink_to(tiny_cache)
    assert here == settings(
        *(
            f"data.cache={moved}",
            "data.workers=3",
            "logger=wandb",
            "study=other",
            "name=other",
            "overwrite=true",
        ),
        *("plan=true", "print_config=true", "trainer.accelerator=gpu", "trainer.devices=2", "compute=slurm"),
        *("+trainer.profiler=simple", "~callbacks.progress"),
    )


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "model.optimizer.lr=1e-3",
        "data.batch_size=16",
        "loss=focal",
        "trainer.max_epochs=3",
        "augment=none",
    ],
)
def test_what_can_change_results_counts(tiny_cache: Path, override: str) -> None:
    assert settings(f"data.cache={tiny_cache}") != settings(f"data.cache={tiny_cache}", override)


def test_the_clips_of_the_cache_count_but_not_its_rejects(tiny_cache: Path, tmp_path: Path) -> None:
    cache = FaceCache(tmp_path)
    rows = FaceCache(tiny_cache).rows()
    cache.write_rows(rows)
    before = settings(f"data.cache={tmp_path}")
    cache.write_rows(
        [*rows, rows[0]._replace(video="zzz", status="unreadable", detail="no frames", split="")]
    )
    assert settings(f"data.cache={tmp_path}") == before
    cache.write_rows([rows[0]._replace(label="FAKE" if rows[0].label == "REAL" else "REAL"), *rows[1:]])
    assert settings(f"data.cache={tmp_path}") != before


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("seed=a", "seed must be a whole number from 0 to"),
        ("seed=-1", r"seed must be .* \(got -1\)"),
        ("seed=1.5", r"seed must be .* \(got 1.5\)"),
        (
            "trainer.max_epochs=three",
            r"max_epochs must be a whole number of at least 1 \(got three\)",
        ),
        ("trainer.max_epochs=0", r"trainer.max_epochs must be .* \(got 0\)"),
        ("data.batch_size=false", r"data.batch_size must be .* \(got False\)"),
        ("model.optimizer.lr=fast", r"model.optimizer.lr must be a number of at least 0 \(got fast\)"),
        ("model.threshold=2", r"model.threshold must be a number from 0 to 1 \(got 2\)"),
        ("overwrite=no", r"overwrite must be true or false \(got no\)"),
        ("name=a/b", "name=a/b is not the name of one folder"),
    ],
)
def test_a_value_that_cannot_be_is_refused(override: str, sentence: str) -> None:
    with composed() as config:
        check_values(config)
    with composed(override) as config, pytest.raises(UserError, match=sentence):
        check_values(config)


def test_a_wrong_value_changes_no_file(tmp_path: Path) -> None:
    assert toy(tmp_path, "seed=0").status == 0
    kept = {path: path.read_bytes() for path in (tmp_path / "multirun").rglob("*") if path.is_file()}
    for words in (["seed=0", "overwrite=no"], ["seed=a"], ["-m", "seed=0,a"]):
        said = toy(tmp_path, *words)
        assert said.status == 2 and said.err.startswith("error: ") and said.err.count("\n") == 1
    assert {path: path.read_bytes() for path in (tmp_path / "multirun").rglob("*") if path.is_file()} == kept
    assert not (tmp_path / "multirun" / "toy" / "toy" / "a").exists()


HOLD = """
import sys, time
from pathlib import Path
from dfdc_lightning.runs import Run
run = Run(Path(sys.argv[1]))
run.lock()
print("held", flush=True)
time.sleep(60)
"""


def test_a_run_that_another_sweep_took_first_has_not_failed(
    tmp_path: Path, tiny_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    others: list[subprocess.Popen[str]] = []

    class SlowStart(RunProcesses):
        def start(self, arguments: Sequence[str], label: str = "") -> Exit:
            others.append(subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True))
            assert others[0].stdout is not None and others[0].stdout.readline() == "held\n"
            return Exit(2, "error: the folder is being worked on\n")

    monkeypatch.setattr(isolation, "script_arguments", lambda folder: ())
    with composed(f"data.cache={tiny_cache}") as config:
        with read_write(HydraConfig.get()):
            HydraConfig.get().runtime.output_dir = str(tmp_path)
        auroc = isolation.Runs(SlowStart(Path("train.py"), ())).auroc(config)
    with others[0]:
        others[0].kill()
    assert math.isnan(auroc) and not (tmp_path / "error.txt").exists()
    assert "is being worked on by another process" in capsys.readouterr().err


def folder_with(root: Path, **files: str) -> Run:
    for name, text in files.items():
        path = (
            root
            / {"settings": ".hydra/settings.json", "result": "result.json", "ckpt": "checkpoints/last.ckpt"}[
                name
            ]
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Run(root)


def test_a_folder_that_a_killed_start_left_empty_is_free(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    folder_with(tmp_path).refuse_other({"lr": 1})


def test_a_start_that_came_to_nothing_binds_nobody(tmp_path: Path) -> None:
    folder_with(tmp_path, settings='{"lr": 2}').refuse_other({"lr": 1})


def test_a_run_of_unknown_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown settings.*overwrite=true"):
        folder_with(tmp_path, ckpt="weights").refuse_other({"lr": 1})


def test_half_written_settings_are_named(tmp_path: Path) -> None:
    for text in ("", '{"lr": ', "[]"):
        with pytest.raises(UserError, match="settings.json is damaged"):
            folder_with(tmp_path, ckpt="weights", settings=text).refuse_other({"lr": 1})


def test_a_refusal_names_the_keys_and_not_hundreds_of_them(tmp_path: Path) -> None:
    before = json.dumps({f"key{n:02d}": 0 for n in range(30)} | {"gone": 1})
    run = folder_with(tmp_path, ckpt="weights", settings=before)
    with pytest.raises(UserError) as refusal:
        run.refuse_other({f"key{n:02d}": 1 for n in range(30)})
    assert "gone: 1 there, None here; key00: 0 there, 1 here" in str(refusal.value)
    assert "and 23 more" in str(refusal.value) and len(str(refusal.value)) < 600


def test_a_finished_run_stays_finished_when_its_cache_has_been_moved_away(tmp_path: Path) -> None:
    run = folder_with(tmp_path, result="{}", settings='{"lr": 1, "data.cache content": "abc"}')
    run.refuse_other({"lr": 1})
    with pytest.raises(UserError, match="data.cache content: abc there, def here"):
        run.refuse_other({"lr": 1, "data.cache content": "def"})


def test_a_run_goes_on_in_the_precision_it_was_begun_in(tmp_path: Path) -> None:
    with composed("model.backbone.pretrained=false") as config:
        with read_write(HydraConfig.get()):
            HydraConfig.get().runtime.output_dir = str(tmp_path)
        run = Run.claim(config)
        run.agree_on_precision("bf16-mixed")
        run.agree_on_precision("32-true")  # nothing was trained yet
        folder_with(tmp_path, ckpt="weights")
        run.unlock()
        again = Run.claim(config)
        again.agree_on_precision("32-true")
        with pytest.raises(UserError, match=r"begun in precision 32-true, and here .* in bf16-mixed: go on"):
            again.agree_on_precision("bf16-mixed")
        again.unlock()
        config.overwrite = True
        redone = Run.claim(config)
        redone.agree_on_precision("bf16-mixed")
        redone.unlock()


@pytest.mark.parametrize("text", [None, "", "epoch,val/auroc,seconds\n", "epoch,val/auroc,seconds\n0,0.5\n"])
def test_a_run_without_its_history_cannot_go_on(tmp_path: Path, text: str | None) -> None:
    run = Run(tmp_path)
    assert run.resume_from() is None
    run.last.parent.mkdir()
    torch.save({"state_dict": {}}, run.last)
    run.metrics_file.write_text("epoch,val/auroc,seconds\n0,0.5,2\n")
    assert run.resume_from() == run.last
    run.metrics_file.unlink() if text is None else run.metrics_file.write_text(text)
    with pytest.raises(UserError, match="metrics.csv is (missing or empty|damaged).*overwrite=true"):
        run.resume_from()


@pytest.mark.parametrize("text", ["", "{", "{}", '{"test": {"auroc": 0.9}}', "null"])
def test_a_half_written_result_does_not_mean_finished(tmp_path: Path, text: str) -> None:
    run = folder_with(tmp_path, result=text)
    assert not run.finished
    with pytest.raises(UserError, match="result.json is damaged"):
        _ = run.result


def test_a_failure_leaves_its_traceback_and_a_stop_by_the_user_none(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with pytest.raises(RuntimeError), run.recording():
        raise RuntimeError("the loss is not finite")
    assert "RuntimeError: the loss is not finite" in run.error_file.read_text()
    with pytest.raises(KeyboardInterrupt), run.recording():
        raise KeyboardInterrupt
    assert not run.error_file.exists()


def test_a_full_disk_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, one_sentence(), Path("/dev/full").open("w") as file:
        file.write("a number")
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said == "error: No space left on device: make room and give the same command again\n"
    with pytest.raises(FileNotFoundError), one_sentence():
        Path("nowhere").read_text()


def test_differences_are_a_line_a_value_and_lists_tell_what_came_and_went() -> None:
    plain = {"lr": 1, "seed": 0, "logger": {}, "steps": [{"_target_": "a.Flip", "p": 0.5}], "betas": [1, 2]}
    jpeg = {"_target_": "b.Jpeg", "quality": [10, 50]}
    here = plain | {
        "lr": 2,
        "seed": 5,
        "logger": {"wandb": {}},
        "steps": [*plain["steps"], jpeg],
        "betas": [1, 3],
    }
    assert differences(plain, here) == [
        "lr: 1 → 2",
        "steps: + Jpeg(quality=[10, 50])",
        "betas: [1, 2] → [1, 3]",
    ]


def test_a_start_prints_what_differs_and_the_whole_on_request(tmp_path: Path) -> None:
    said = toy(tmp_path, "seed=4", "lr=0.5")
    title, change, *rest = said.out.splitlines()
    assert title == f"toy seed 4: starts in {tmp_path}/multirun/toy/toy/4"
    assert (
        change == "  lr: 0.1 → 0.5" and len(rest) == 1 and rest[0].startswith("toy seed 4: test auroc 0.900")
    )
    whole = toy(tmp_path, "seed=5", "print_config=true").out
    assert "max_epochs: 2" in whole and "workers: 0" in whole


def test_the_words_of_the_command_line_are_kept(tmp_path: Path) -> None:
    for words in (["seed=4"], ["-m", "seed=5"]):
        assert toy(tmp_path, *words, "lr=0.5").status == 0
    for seed in (4, 5):
        kept = tmp_path / f"multirun/toy/toy/{seed}/.hydra/overrides.yaml"
        assert kept.read_text() == f"- seed={seed}\n- lr=0.5\n"


def test_a_refused_start_leaves_the_folder_s_own_configuration(tmp_path: Path) -> None:
    toy(tmp_path, "seed=0")
    kept = {path: path.read_bytes() for path in (tmp_path / "multirun").rglob("*") if path.is_file()}
    refused = toy(tmp_path, "seed=0", "lr=7")
    assert refused.status == 2 and refused.out == ""
    assert {path: path.read_bytes() for path in (tmp_path / "multirun").rglob("*") if path.is_file()} == kept


@pytest.mark.parametrize(
    "target",
    ["os.system", "builtins.eval", "dfdc_lightning.atomic.write_text", "torch.load", "no.such"],
)
def test_a_run_folder_that_somebody_sent_builds_a_detector_and_nothing_else(
    tmp_path: Path, tiny_cache: Path, target: str
) -> None:
    with composed(f"data.cache={tiny_cache}", "model.backbone.name=test_resnet") as config:
        (tmp_path / ".hydra").mkdir()
        for strange in (config.model.loss, config.model.backbone, config.model.scheduler):
            was, strange._target_ = strange._target_, target
            OmegaConf.save(config, tmp_path / ".hydra" / "config.yaml", resolve=True)
            strange._target_ = was
            with pytest.raises(UserError, match=rf"config.yaml asks for {target}, but a run may"):
                Run(tmp_path).load_detector()
        OmegaConf.save(config, tmp_path / ".hydra" / "config.yaml", resolve=True)
        with pytest.raises(UserError, match=r"best\.ckpt does not exist"):  # the rest of it may be built
            Run(tmp_path).load_detector()


def test_loggers_hear_of_a_full_card_before_it_becomes_advice(tmp_path: Path, tiny_cache: Path) -> None:
    with composed(
        f"data.cache={tiny_cache}", "logger=tensorboard", "model.backbone.pretrained=false"
    ) as config:
        *_, trainer = Run(tmp_path).objects(config)
    names = [type(callback).__name__ for callback in trainer.callbacks]
    assert names.index("TensorBoardMirror") < names.index("MemoryAdvice")


def test_whoever_stops_reading_early_gets_no_traceback() -> None:
    talk = "command(lambda: [print('word' * 99) for _ in range(9999)])"
    words = [sys.executable, "-c", f"from dfdc_lightning.runs import command\n{talk}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, cwd=ROOT, text=True, **pipes) as talker:
        assert talker.stdout is not None and talker.stderr is not None
        talker.stdout.readline()
        talker.stdout.close()
        assert (talker.stderr.read(), talker.wait()) == ("", 141)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"model: [",
        b"seed: ${data",
        b"seed: 1\n",
        b"model: null\n",
        b"model: {}\n",
        b"model: {backbone: {}}\n",
        b"model: {_target_: dfdc_lightning.models.frame.FrameDetector, backbone: {}}\n",
        b"model: {_target_: dfdc_lightning.models.frame.FrameDetector, -1: 2, backbone: {}}\n",
    ],
)
def test_a_configuration_without_a_detector_or_a_cache_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.yaml (is damaged|does not describe a detector)"):
        Run(tmp_path).load_detector()
    with pytest.raises(UserError, match=r"config\.yaml is damaged"):
        _ = Run(tmp_path).cache
