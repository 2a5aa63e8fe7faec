"""`python -m dfdc_lightning.demo`: render a demo data set from the command line."""

import argparse
import signal
import sys
from pathlib import Path

from dfdc_lightning.demo.folder import Plan, render
from dfdc_lightning.errors import UserError


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text} is not of the form WxH: give 320x240 for example")
    return int(width), int(height)


def main() -> int:
    """Render what the command line asks for; exit code 2 and one sentence where that is impossible."""
    default = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m dfdc_lightning.demo",
        description="Render talking heads (REAL) and their face swaps (FAKE) in DFDC's own layout.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder that gets dfdc_train_part_N/ and swaps.json")
    add("--videos", type=int, default=default.videos, help="REAL and FAKE together")
    add("--fakes-per-real", type=int, default=default.fakes_per_real, help="1 gives half REAL, half FAKE")
    add("--seconds", type=float, default=default.seconds, help="length of a video")
    add("--fps", type=float, default=default.fps, help="frames a second")
    add(
        "--size",
        type=_size,
        default="320x240",
        metavar="WxH",
        help="resolution, 1920x1080 for benchmarks",
    )
    add("--gop", type=int, default=default.gop, help="distance of keyframes in frames")
    add("--crf", type=int, default=default.crf, help="x264's quality, 0 lossless to 51 worst")
    add("--preset", default=default.preset, help="x264's speed")
    add("--parts", type=int, default=default.parts, help="number of part folders")
    add("--seed", type=int, default=default.seed, help="same seed, same pixels; another seed, other people")
    add("--workers", type=int, default=None, help="threads; all cores unless given")
    wish = parser.parse_args()
    try:
        print(render(**vars(wish)))
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
