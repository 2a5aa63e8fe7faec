"""What a setting may be: every refusal names the key, what it must be and what was given, in one form."""

import math
from collections.abc import Collection
from typing import Any

from dfdc_lightning.errors import UserError

_SHOWN = 200  # characters of a refused value


def whole(
    key: str, value: Any, least: int = 0, most: float = math.inf, odd: bool = False, other: Any = ""
) -> int:
    """Return a whole number, or refuse anything else.

    Args:
        key: The setting's name on the command line, for the sentence.
        value: What was given.
        least: The least it may be.
        most: The most it may be.
        odd: Whether it must be odd.
        other: What else the key may be ("auto", say), for the sentence only.

    Raises:
        UserError: "workers must be a whole number of at least 1, or auto (got 0)".
    """
    if type(value) is not int or not least <= value <= most or (odd and value % 2 == 0):
        _refuse(key, f"{'an odd' if odd else 'a'} whole number {_reach(least, most)}", value, other)
    return int(value)


def number(
    key: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    above: float | None = None,
    below: float | None = None,
    unit: str = "",
    other: Any = "",
) -> float:
    """Return a finite number, or refuse what is outside its range.

    Args:
        key: The setting's name on the command line, for the sentence.
        value: What was given.
        least: The least it may be.
        most: The most it may be.
        above: What it must be above, where the least itself is not allowed.
        below: What it must be below, where the most itself is not allowed.
        unit: In the plural, for the sentence.
        other: What else the key may be ("null", say), for the sentence only.

    Raises:
        UserError: "timeout must be a number of seconds above 0 (got -1)".
    """
    finite = type(value) is int or (type(value) is float and math.isfinite(value))
    allowed = finite and least <= value <= most
    if not allowed or (above is not None and value <= above) or (below is not None and value >= below):
        reach = _reach(least, most) if above is None else f"above {above:g}"
        reach += "" if below is None else f" and below {below:g}"
        reach += f" and at most {most:g}" if above is not None and most < math.inf else ""
        _refuse(key, f"a number {f'of {unit} ' if unit else ''}{reach}".rstrip(), value, other)
    return value  # type: ignore[no-any-return]


def between(key: str, pair: Any, most: float = math.inf) -> tuple[float, float]:
    """Return the two ends of a range above 0, or refuse what cannot be one.

    Args:
        key: The setting's name on the command line, for the sentence.
        pair: What was given: the lower and the higher end.
        most: The most that the higher end may be.

    Raises:
        UserError: "sigma must be two numbers above 0, the lower one first (got [2, 1])".
    """
    match list(pair) if isinstance(pair, Collection) and not isinstance(pair, str) else []:
        case [int() | float() as low, int() | float() as high] if 0 < low <= high <= most:
            return float(low), float(high)
    limit = "" if most == math.inf else f" and at most {most:g}"
    given = list(pair) if isinstance(pair, Collection) and not isinstance(pair, str) else pair
    _refuse(key, f"two numbers above 0{limit}, the lower one first", given)
    raise AssertionError


def multiple(key: str, value: int, other_key: str, other: int) -> None:
    """Refuse a number that another one does not divide.

    Raises:
        UserError: "model.width must be a multiple of model.heads=3 (got 256)".
    """
    if value % other:
        _refuse(key, f"a multiple of {other_key}={other}", value)


def switch(key: str, value: Any) -> bool:
    """Return true or false, or refuse what is neither: the text "no" would count as true.

    Raises:
        UserError: "plan must be true or false (got no)".
    """
    if not isinstance(value, bool):
        _refuse(key, "true or false", value)
    return bool(value)


def one_of(key: str, value: Any, choices: Collection[str]) -> str:
    """Return one of several words, or refuse any other.

    Raises:
        UserError: "format must be one of text, json, csv (got xml)".
    """
    if value not in choices:
        _refuse(key, f"one of {', '.join(choices)}", value)
    return str(value)


def text(key: str, value: Any) -> str:
    """Return a text, or refuse anything else, the empty text included.

    Raises:
        UserError: "study must be a text (got 7)".
    """
    if not isinstance(value, str) or not value:
        _refuse(key, "a text", value)
    return str(value)


def mapping(key: str, value: Any) -> dict[str, Any]:
    """Return keys with values, or refuse anything else.

    Raises:
        UserError: "data must be keys with values (got null)".
    """
    if not isinstance(value, dict):
        _refuse(key, "keys with values", value)
    return dict(value)


def _reach(least: float, most: float) -> str:
    if most == math.inf:
        return "" if least == -math.inf else f"of at least {least}"
    return f"of at most {most}" if least == -math.inf else f"from {least} to {most}"


def _refuse(key: str, needed: str, value: Any, other: Any = "") -> None:
    alternative = f", or {other}" if other else ""
    raise UserError(f"{key} must be {needed}{alternative} (got {_short(value)})")


def _short(value: Any) -> str:
    """Show what was given; of what fills a screen only the beginning."""
    try:
        shown = "null" if value is None else str(value)
    except ValueError:  # Python refuses to write numbers of more than 4,300 digits
        return "a number of thousands of digits"
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
