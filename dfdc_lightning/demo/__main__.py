"""`python -m dfdc_lightning.demo`: render a demo data set from the command line."""

import argparse
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from dfdc_lightning.demo.cues import read_cues
from dfdc_lightning.demo.encode import ENCODERS
from dfdc_lightning.demo.folder import STRENGTHS, render
from dfdc_lightning.errors import UserError


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text} is not of the form WxH: give 320x240 for example")
    return int(width), int(height)


def _words(cues: Mapping[str, float]) -> str:
    return ",".join(f"{name}={strength:g}" for name, strength in cues.items())


def main() -> int:
    """Render what the command line asks for; exit code 2 and one sentence where that is impossible."""
    parser = argparse.ArgumentParser(
        prog="python -m dfdc_lightning.demo",
        description="Render talking heads (REAL) and forgeries with known cues (FAKE) in DFDC's own layout. "
        "What has no default varies from video to video, equally for both labels.",
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder that gets dfdc_train_part_N/ and swaps.json")
    add("--videos", type=int, default=240, help="REAL and FAKE together (default: 240)")
    add("--fakes-per-real", type=int, default=1, help="1, the default, gives half REAL, half FAKE")
    add(
        "--cues",
        default=_words(STRENGTHS),
        help=f"as {_words(STRENGTHS)} (the default), or with none",
    )
    add("--placebo-parts", type=int, help="how many of the last parts have the cue none (default: all)")
    add("--seconds", type=float, help="length of a video")
    add("--fps", type=float, help="frames per second")
    add("--size", type=_size, metavar="WxH", help="resolution, 1920x1080 for benchmarks")
    add("--gop", type=int, help="distance of keyframes in frames")
    add("--qp", type=int, help="quantizer, 0 lossless to 51 worst")
    add("--codec", help=f"one of {', '.join(ENCODERS)}")
    add("--preset", default="ultrafast", help="x264's speed (default: ultrafast)")
    add("--parts", type=int, default=1, help="number of part folders (default: 1)")
    add("--seed", type=int, default=0, help="same seed, same pixels; another seed, other people (default: 0)")
    add("--workers", type=int, help="threads (default: one per core)")
    try:
        wish = parser.parse_args()
        print(render(**vars(wish) | {"cues": read_cues(wish.cues)}))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"error: --out {wish.out} cannot be written ({error.strerror}): choose another", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        print("stopped: the same command begins anew", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
