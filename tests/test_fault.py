"""A sweep that is killed again and again ends as if it had never been disturbed."""

from pathlib import Path

from benchmarks.sweep import fault


def test_a_sweep_killed_at_random_moments_ends_with_the_same_predictions(tmp_path: Path) -> None:
    found = fault(tmp_path, kills=2)
    assert found.kills == 2
    assert (found.files, found.equal) == (6, 6), "predictions.csv differs after a SIGKILL"

    said = (tmp_path / "undisturbed.txt").read_bytes()
    assert b"\r" not in said and b"\x1b" not in said, "control codes in a file"
    epochs = [line for line in said.splitlines(keepends=True) if line.startswith(b"epoch ")]
    assert len(epochs) == 6 * 3, "one line an epoch"
    a_run = (len(said) - sum(map(len, epochs))) / 6 + 10 * max(map(len, epochs))
    assert 25 * a_run < 60_000, "25 runs of ten epochs print too much into a pipe"
