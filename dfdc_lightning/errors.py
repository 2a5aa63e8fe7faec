"""The one kind of error that is meant for the user: a sentence, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(ValueError):
    """One sentence naming the file or key, the value and the remedy; entry scripts print it and exit 2."""


@contextmanager
def writing(key: str, path: Path | str) -> Iterator[None]:
    """Make a sentence of a full disk and of a place that cannot be written to.

    Args:
        key: The word of the command line that names the place.
        path: The place.

    Raises:
        UserError: Instead of any OSError of the block.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"{key}={path} cannot be written ({reason}): make room and give the same command again, or name "
            "another place"
        ) from None
