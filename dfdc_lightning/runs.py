"""One run folder, and the only place of the package that knows Hydra and OmegaConf."""

import os
import sys
from collections.abc import Callable

from dfdc_lightning.errors import UserError


def command(main: Callable[[], object]) -> None:
    """Run an entry script: what the user can mend becomes one sentence on stderr and exit code 2.

    Args:
        main: The function decorated with `hydra.main`.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let exceptions through instead of Hydra's exit code 1
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        main()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
