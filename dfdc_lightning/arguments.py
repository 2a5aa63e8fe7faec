"""`key=value` words of a command line: read for `python -m`, their paths quoted for Hydra in `predict.py`."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from dfdc_lightning.errors import UserError


def arguments(words: Sequence[str], known: Mapping[str, str | None]) -> dict[str, str]:
    """Read `key=value` words into a dictionary that has every known key.

    Args:
        words: The command line without the program's name.
        known: Every key with its default; None means that it must be given.

    Raises:
        UserError: When a word is not a pair, its key is unknown or repeated, or a needed key is missing.
    """
    usage = " ".join(
        f"{key}=…" if default is None else f"[{key}={default}]" for key, default in known.items()
    )
    given: dict[str, str] = {}
    for word in words:
        key, separator, value = word.partition("=")
        if not separator or not value:
            raise UserError(f"{word!r} is not of the form key=value: give {usage}")
        if key not in known:
            raise UserError(f"{key}={value}: {key} must be one of the keys of this command: give {usage}")
        if key in given:
            raise UserError(f"{key} is given twice: give {usage}")
        given[key] = value
    missing = [key for key, default in known.items() if default is None and key not in given]
    if missing:
        raise UserError(f"{missing[0]}= is missing: give {usage}")
    return {key: default for key, default in known.items() if default is not None} | given


def refuse_former(words: Sequence[str], former: Mapping[str, str]) -> None:
    """Tell whoever uses a key by its former name what it is called now.

    Args:
        words: The command line without the program's name.
        former: Each former name with the present one; `a` stands for `a=`, `+a=` and `a.b=` too.

    Raises:
        UserError: When a word has a former name.
    """
    for word in words:
        key = word.partition("=")[0].lstrip("+~")
        name, dot, rest = key.partition(".")
        if name in former:
            present = f"{former[name]}{dot}{rest}"
            raise UserError(f"the key {key} is now called {present}: give {present}=VALUE")


def as_it_is(word: str, paths: Collection[str]) -> str:
    """Quote a path for Hydra's grammar, which refuses `clip (1).mp4` and `é.mp4` and splits `a,b.mp4`.

    Args:
        word: A word of the command line.
        paths: The keys whose values are paths.

    Returns:
        The word, its value in quotes where it names what is there or has a character that means something to
        Hydra. A list (`[a.mp4,b.mp4]`) and what is quoted already stay as they are.
    """
    key, separator, value = word.partition("=")
    if key not in paths or not separator:
        return word
    there = bool(value) and Path(value).exists()
    written_for_hydra = value[:1] in ("[", "'", '"')
    if not there and (written_for_hydra or not re.search(r"[^\w./:%+@?|*\\-]", value, re.ASCII)):
        return word
    escaped = re.sub(r"(\\*)('|\Z)", _doubled, value.replace("${", "\\${"))
    return f"{key}='{escaped}'"


def _doubled(found: re.Match[str]) -> str:
    """Double the backslashes before a quote, the only ones that count."""
    return found[1] * 2 + ("\\'" if found[2] else "")
