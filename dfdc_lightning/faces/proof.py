"""Prove that a face cache is sound: no leak, no imbalance, no missing or damaged clip, one profile."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FAKE, REAL, SPLITS, CacheError, FaceCache, Row, counts
from dfdc_lightning.faces.profile import profile_of, read_profile
from dfdc_lightning.faces.shard import journals
from dfdc_lightning.faces.split import Candidate, group_of
from dfdc_lightning.faces.split_record import read_split

_SHOWN = 3  # faults named for each claim
_KINDS = {
    "faces": np.uint8,
    "boxes": np.float32,
    "frames": np.int64,
    "found": np.bool_,
    "landmarks": np.float32,
}


class Claim(NamedTuple):
    """A statement that holds of every sound cache, and what contradicts it in this one."""

    text: str
    faults: list[str]


def stated(root: Path, claims: Sequence[Claim]) -> str:
    """Write each claim on a line, what contradicts it below, and in the end whether the cache is sound."""
    lines = []
    for claim in claims:
        lines.append(f"{'ok   ' if not claim.faults else 'WRONG'}  {claim.text}")
        lines += [f"         {fault}" for fault in claim.faults[:_SHOWN]]
        if len(claim.faults) > _SHOWN:
            lines.append(f"         … and {len(claim.faults) - _SHOWN} more")
    wrong = sum(bool(claim.faults) for claim in claims)
    return "\n".join(
        [*lines, f"{root}: " + ("sound" if not wrong else f"{wrong} of {len(claims)} claims do not hold")]
    )


def prove(cache: FaceCache) -> Iterator[Claim]:
    """Yield every claim about a cache with its faults."""
    rows = cache.rows()
    settings, faults = _profile(cache, rows)
    table = counts(rows)
    n = {split: table[split][REAL] + table[split][FAKE] for split in SPLITS}
    good = [row for row in rows if row.status == "ok"]
    yield Claim("preparation is finished: no journal is left", _unfinished(cache))
    yield Claim(f"one row per video, sorted: {len(rows)} rows", _order(rows))
    yield Claim(f"one profile: {rows[0].profile if rows else '-'}", faults)
    name = read_split(cache.root).get("split", "by_group")
    leaky = "" if name in ("by_group", "by_part") else f" (split={name} does not keep groups together)"
    yield Claim(
        f"every group in one split: {len({row.group for row in rows if row.split})} groups{leaky}",
        _leaks(rows),
    )
    yield Claim(
        "as many REAL as FAKE: " + ", ".join(f"{split} {n[split]}" for split in SPLITS),
        _imbalance(table) if read_split(cache.root).get("labels") != "any" else [],
    )
    yield Claim("only good clips are used, in train, val or test", _misused(rows))
    yield Claim(
        f"every clip is there, readable and of the right shape: {len(good)} clips",
        [fault for row in good for fault in _clip(cache, row, settings)],
    )


def _imbalance(table: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [
        f"{split}: {table[split][REAL]} REAL, {table[split][FAKE]} FAKE"
        for split in SPLITS
        if len(set(table[split].values())) > 1
    ] + [f"{split} is empty" for split in SPLITS if not sum(table[split].values())]


def _unfinished(cache: FaceCache) -> list[str]:
    return [f"{path}: run prepare_faces.py once more, without shard" for path in journals(cache.root)]


def _order(rows: Sequence[Row]) -> list[str]:
    names = [row.video for row in rows]
    return [f"{b} comes after {a}" for a, b in zip(names, names[1:], strict=False) if a >= b]


def _profile(cache: FaceCache, rows: Sequence[Row]) -> tuple[dict[str, Any], list[str]]:
    try:
        settings = read_profile(cache.root)
    except CacheError as error:
        return {}, [str(error)]
    profile = profile_of(settings)
    return settings, [
        f"{row.video} is of profile {row.profile}, profile.json gives {profile}"
        for row in rows
        if row.profile != profile
    ]


def _leaks(rows: Sequence[Row]) -> list[str]:
    """Find groups in two splits: by the recorded group, and by `original` itself."""
    connected = group_of([Candidate(row.video, row.label, row.original, person=row.person) for row in rows])
    faults = []
    for what, group in (
        ("group", lambda row: row.group),
        ("videos made from", lambda row: connected[row.video]),
    ):
        splits: dict[str, set[str]] = {}
        for row in rows:
            if row.split:
                splits.setdefault(group(row), set()).add(row.split)
        faults += [
            f"{what} {name}: in {' and '.join(sorted(where))}"
            for name, where in sorted(splits.items())
            if len(where) > 1
        ]
    return faults + [f"{row.video} is used and has no group" for row in rows if row.split and not row.group]


def _misused(rows: Sequence[Row]) -> list[str]:
    used = [row for row in rows if row.split]
    faults = [f"{row.video} is in {row.split}, but {row.status}" for row in used if row.status != "ok"]
    faults += [f"{row.video} is in split {row.split!r}" for row in used if row.split not in SPLITS]
    return faults + [
        f"{row.video} has the label {row.label!r}" for row in used if row.label not in (REAL, FAKE)
    ]


def _clip(cache: FaceCache, row: Row, settings: dict[str, Any]) -> Iterator[str]:
    try:
        clip = cache.read_clip(row.video)
    except UserError as error:
        yield str(error)
        return
    t, size = settings.get("frames", len(clip.faces)), settings.get("size", clip.faces.shape[-1])
    shapes = {
        "faces": (t, 3, size, size),
        "boxes": (t, 4),
        "frames": (t,),
        "found": (t,),
        "landmarks": (t, 5, 2),
    }
    for name, array in clip.arrays.items():
        if array.dtype != _KINDS[name] or array.shape != shapes[name]:
            yield f"{row.video}: {name} is {array.dtype} {array.shape}, expected {shapes[name]}"
            return
    sides = clip.boxes[:, 2:] - clip.boxes[:, :2]
    if not (np.all(sides[:, 0] == sides[:, 1]) and np.all(sides > 0)):
        yield f"{row.video}: its boxes are not squares"
    if np.any(np.diff(clip.frames) < 0) or clip.frames[0] < 0 or clip.frames[-1] >= row.n_frames:
        yield f"{row.video}: its frames are not in order or beyond the video's {row.n_frames}"
    if not 0 < row.n_found == clip.found.sum():
        yield f"{row.video}: n_found is {row.n_found}, but the clip has {clip.found.sum()} found faces"
