"""`key=value` words of a command line, spelt as for the entry scripts, for the `python -m` commands."""

from collections.abc import Mapping, Sequence

from dfdc_lightning.errors import UserError


def arguments(words: Sequence[str], known: Mapping[str, str | None]) -> dict[str, str]:
    """Read `key=value` words.

    Args:
        words: The command line without the program's name.
        known: Every key with its default; None means that it must be given.

    Raises:
        UserError: When a word is no pair, its key is unknown or repeated, or a needed key is missing.
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
            raise UserError(f"{key}={value}: there is no {key} here: give {usage}")
        if key in given:
            raise UserError(f"{key} is given twice: give {usage}")
        given[key] = value
    missing = [key for key, default in known.items() if default is None and key not in given]
    if missing:
        raise UserError(f"{missing[0]}= is missing: give {usage}")
    return {key: default for key, default in known.items() if default is not None} | given
