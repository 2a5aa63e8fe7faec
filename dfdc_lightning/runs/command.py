"""How every command ends: what the user can mend becomes one sentence and exit code 2."""

import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

from dfdc_lightning.arguments import refuse_former
from dfdc_lightning.errors import UserError


def command(
    main: Callable[[], object],
    again: str = "goes on from here",
    former: Mapping[str, str] = MappingProxyType({}),
    lists: Sequence[str] = (),
) -> None:
    """Run an entry script: what the user can mend becomes one sentence on stderr and exit code 2.

    Args:
        main: The function decorated with `hydra.main`.
        again: What the same command does after Ctrl-C.
        former: Keys that have another name now, with that name.
        lists: Keys whose values may be written with a bare comma, which Hydra takes for a sweep.
    """
    if lists and not {"-m", "--multirun"} & {*sys.argv}:
        several = re.compile(rf"^({'|'.join(lists)})=([^\[\"']*,.*)$")
        sys.argv = [several.sub(r"\1=[\2]", word) for word in sys.argv]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let exceptions through instead of Hydra's exit code 1
    try:
        with one_sentence():
            refuse_former(sys.argv[1:], former)
            main()
            sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"stopped: the same command {again}", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    except BrokenPipeError:  # whoever read along, `| head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None


def words(value: object) -> list[str]:
    """Take one value of a configuration, or each one of a list, as text; None gives an empty list."""
    several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return list(dict.fromkeys(str(each) for each in several if each is not None))


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn what the user can mend into one sentence on stderr and exit code 2."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (UserError, HydraException, OmegaConfBaseException) as error:
        if isinstance(error.__cause__, UserError):  # Hydra's words about our own sentence add nothing
            error = error.__cause__
        cause = (
            f" ({_said(error.__cause__)})"
            if error.__cause__ and str(error.__cause__) not in str(error)
            else ""
        )
        print(f"error: {' '.join(f'{_said(error)}{cause}'.split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"error: {error.strerror}: make room and give the same command again", file=sys.stderr)
        raise SystemExit(2) from None


def _said(error: BaseException) -> str:
    """Keep an error's own words without what Hydra and OmegaConf add for programmers, and add what to do."""
    from hydra.errors import OverrideParseException
    from omegaconf.errors import MissingMandatoryValue

    if isinstance(error, OverrideParseException):
        return (
            f"{error.override!r} cannot be read as key=value: where the value has a space, a comma or a "
            "bracket, put it in quotes, as in 'key=\"value\"'"
        )
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key}= is missing: give {error.full_key}=VALUE"
    return re.split(r"\s*(?:full_key:|Config search path:)", str(error))[0]
