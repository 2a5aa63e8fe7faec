"""`python -m dfdc_lightning.explain run=RUN [videos=a,b] [cache=FOLDER] [out=FOLDER]`: where a run looks."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dfdc_lightning.arguments import arguments
from dfdc_lightning.errors import UserError, writing
from dfdc_lightning.runs import Run, command

if TYPE_CHECKING:
    from dfdc_lightning.faces.cache import FaceCache


def main() -> None:
    """Draw strips of the named clips, or without names the gallery and the mean map of the test videos."""
    given = arguments(sys.argv[1:], {"run": None, "videos": "", "cache": "", "out": ""})
    run = Run(Path(given["run"]))
    result = run.result
    import torch

    from dfdc_lightning.explain.explanation import Explanation
    from dfdc_lightning.faces.cache import FaceCache
    from dfdc_lightning.faces.profile import read_profile

    splits, faults = run.predictions
    if "test" not in splits:
        raise UserError(f"{run.folder} cannot be explained: {faults['test']}")
    cache = FaceCache(Path(given["cache"] or run.cache))
    _refuse_other(cache, str(result.data["profile"]))
    detector = run.load_detector().to("cuda" if torch.cuda.is_available() else "cpu")
    margin = float(read_profile(cache.root)["margin"])
    explanation = Explanation(detector, cache, splits["test"], result.threshold, margin)
    folder = Path(given["out"] or run.pictures)
    with writing("out", folder):
        folder.mkdir(parents=True, exist_ok=True)  # before the work, so that it is not done in vain
        if given["videos"]:
            written = explanation.write_strips(given["videos"].split(","), folder / "clips")
        else:
            written = explanation.write(folder)
    print(*written, sep="\n")


def _refuse_other(cache: "FaceCache", profile: str) -> None:
    there = {row.profile for row in cache.rows() if row.status == "ok"}
    if there != {profile}:
        raise UserError(
            f"{cache.root} holds clips of profile {', '.join(sorted(there)) or 'none'}, the run was "
            f"trained on {profile}: "
            "give the cache it was trained on (cache=FOLDER)"
        )


if __name__ == "__main__":
    command(main, "starts anew")
