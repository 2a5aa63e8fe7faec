"""Every refusal of a setting has one form: the key, what it must be, what was given."""

import math
from collections.abc import Callable

import pytest

from dfdc_lightning import checks
from dfdc_lightning.errors import UserError


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (lambda: checks.whole("n", 1.0), "n must be a whole number of at least 0 (got 1.0)"),
        (lambda: checks.whole("n", True), "n must be a whole number of at least 0 (got True)"),
        (lambda: checks.whole("n", 9, 1, 8), "n must be a whole number from 1 to 8 (got 9)"),
        (lambda: checks.whole("n", 4, 1, odd=True), "n must be an odd whole number of at least 1 (got 4)"),
        (lambda: checks.whole("n", "x", other="a"), "n must be a whole number of at least 0, or a (got x)"),
        (lambda: checks.number("x", math.nan), "x must be a number (got nan)"),
        (lambda: checks.number("x", math.inf, 0), "x must be a number of at least 0 (got inf)"),
        (lambda: checks.number("x", 2, most=1), "x must be a number of at most 1 (got 2)"),
        (lambda: checks.number("x", 0, above=0, unit="s"), "x must be a number of s above 0 (got 0)"),
        (lambda: checks.number("x", 1, above=0, below=1), "x must be a number above 0 and below 1 (got 1)"),
        (lambda: checks.between("r", [2, 1]), "r must be two numbers above 0, the lower one first (got [2, 1])"),  # noqa: E501
        (lambda: checks.between("r", 7), "r must be two numbers above 0, the lower one first (got 7)"),
        (lambda: checks.switch("s", "no"), "s must be true or false (got no)"),
        (lambda: checks.one_of("w", "c", ("a", "b")), "w must be one of a, b (got c)"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_must_be(check: Callable[[], object], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        check()
    assert str(error.value) == sentence


def test_what_is_allowed_comes_back_as_it_is() -> None:
    assert checks.whole("n", 8, 1, 8) == 8
    assert checks.number("x", 1, 0, 1) == 1
    assert checks.number("x", -2.5) == -2.5
    assert checks.between("r", (0.5, 2), 2) == (0.5, 2.0)
    assert checks.switch("s", False) is False
    assert checks.one_of("w", "a", ("a", "b")) == "a"
