"""Videos → groups → splits: by hash of group and seed, exact shares; two ways that leak, and say so."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from dfdc_lightning import checks
from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FAKE, REAL, SPLITS

LABELS = (REAL, FAKE)
FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}


class Candidate(NamedTuple):
    """What the listing says of a video; see `video.sources.Video`."""

    name: str
    label: str
    original: str = ""
    part: str = ""
    person: str = ""
    official: str = ""


@runtime_checkable
class Splitter(Protocol):
    """Gives videos their splits, knowing only what the listing says.

    `name` is that of its file in conf/split.
    """

    seed: int
    name: ClassVar[str]

    @property
    def fractions(self) -> Mapping[str, float]:
        """How a quota is divided over the splits."""

    def assign(self, groups: Mapping[str, Sequence[Candidate]]) -> dict[str, str]:
        """Choose the split of each video that may be used, from the groups: name → members."""


@dataclass(frozen=True)
class ByGroup:
    """Deals whole groups, in the order of their hashes, to the split that lacks them most: exact shares.

    Args:
        seed: Another seed gives another choice.
        fractions: Share of each split.
    """

    seed: int = 0
    fractions: Mapping[str, float] = field(default_factory=lambda: dict(FRACTIONS))
    name: ClassVar[str] = "by_group"

    def assign(self, groups: Mapping[str, Sequence[Candidate]]) -> dict[str, str]:
        """Give each group, in the order of the hashes, to the split whose shares it completes best."""
        totals = {label: sum(_count(members, label) for members in groups.values()) for label in LABELS}
        kinds = [label for label in LABELS if totals[label]]
        whole = min((totals[label] for label in kinds), default=0)
        if whole == 0:
            return {}
        wanted = {split: n / whole for split, n in shares(whole, self.fractions).items()}
        lacking = {(split, label): 0.0 for split in wanted for label in kinds}
        chosen = {}
        for name in sorted(groups, key=lambda name: order(self.seed, name)):
            gains = {label: _count(groups[name], label) / totals[label] for label in kinds}
            for (split, label), lack in lacking.items():
                lacking[split, label] = lack + wanted[split] * gains[label]
            # Least sum of squared lacks afterwards: only the chosen split's change.
            best = max(
                wanted,
                key=lambda split: sum(
                    gain * (2 * lacking[split, label] - gain) for label, gain in gains.items()
                ),
            )
            chosen.update({video.name: best for video in groups[name]})
            for label, gain in gains.items():
                lacking[best, label] -= gain
        return chosen


@dataclass(frozen=True)
class ByVideo(ByGroup):
    """Deals single videos, as if a FAKE had nothing to do with its original: a split that leaks.

    Studies that say nothing of groups were probably split so. It shows what a leak is worth.
    """

    name: ClassVar[str] = "by_video"

    def assign(self, groups: Mapping[str, Sequence[Candidate]]) -> dict[str, str]:
        """Deal every video as a group of its own."""
        return super().assign({video.name: [video] for members in groups.values() for video in members})


@dataclass(frozen=True)
class ByOfficial:
    """Takes the data set's own split, which may put videos of one group into two splits.

    Where it has no videos for validation, whole groups of its training videos become them.

    Args:
        val: Share of the training videos for validation where the data set has none.
        seed: Another seed chooses other videos.
    """

    val: float = 0.1
    seed: int = 0
    name: ClassVar[str] = "by_official"

    @property
    def fractions(self) -> Mapping[str, float]:
        """How a quota is divided; without one the data set's own sizes count."""
        return FRACTIONS

    def assign(self, groups: Mapping[str, Sequence[Candidate]]) -> dict[str, str]:
        """Repeat what the data set says; its training videos give the validation videos that it lacks.

        Raises:
            UserError: When the data set says nothing of splits.
        """
        chosen = {
            video.name: video.official for members in groups.values() for video in members if video.official
        }
        if not chosen:
            raise UserError(
                "split=by_official needs a source that knows the data set's own split, and this one does "
                "not: use split=by_group"
            )
        if "val" in chosen.values():
            return chosen
        share = {"train": 1 - checks.number("split.val", self.val, 0, below=1), "val": self.val}
        training = {
            name: inside
            for name, members in groups.items()
            if (inside := [video for video in members if chosen.get(video.name) == "train"])
        }
        return chosen | ByGroup(self.seed, share).assign(training)


@dataclass(frozen=True)
class ByPart:
    """Splits by DFDC's own folders, the one published comparison without a leak (parts 0–34, 35–39, 40–49).

    A group with members in two splits is left out whole.

    Args:
        train: First and last part, as "0-34".
        val: The same for validation.
        test: The same for test.
        seed: Another seed chooses other videos.
    """

    train: str = "0-34"
    val: str = "35-39"
    test: str = "40-49"
    seed: int = 0
    name: ClassVar[str] = "by_part"

    @property
    def fractions(self) -> Mapping[str, float]:
        """How a quota is divided: in proportion to the number of parts."""
        sizes = {split: len(parts) for split, parts in self._ranges().items()}
        return {split: size / sum(sizes.values()) for split, size in sizes.items()}

    def assign(self, groups: Mapping[str, Sequence[Candidate]]) -> dict[str, str]:
        """Give each group the split in whose parts all its members lie.

        Raises:
            UserError: When a video lies in no numbered part.
        """
        ranges = self._ranges()
        chosen = {}
        for members in groups.values():
            for video in members:
                if not video.part.isdigit():
                    raise UserError(
                        f"split=by_part needs folders that end in a number, but {video.name} lies in none: "
                        "use split=by_group"
                    )
            splits = {
                split for video in members for split, parts in ranges.items() if int(video.part) in parts
            }
            inside = all(any(int(video.part) in parts for parts in ranges.values()) for video in members)
            if len(splits) == 1 and inside:
                split = splits.pop()
                chosen.update({video.name: split for video in members})
        return chosen

    def _ranges(self) -> dict[str, range]:
        ranges = {}
        for split in SPLITS:
            first, _, last = str(getattr(self, split)).partition("-")
            last = last or first
            if not (first.isdigit() and last.isdigit() and int(first) <= int(last)):
                raise UserError(
                    f"split.{split} must be a range of parts, as 0-34 (got {getattr(self, split)})"
                )
            ranges[split] = range(int(first), int(last) + 1)
        seen: set[int] = set()
        for split, parts in ranges.items():
            if seen & set(parts):
                raise UserError(
                    f"split.{split}={getattr(self, split)} overlaps another split: give each part to one"
                )
            seen |= set(parts)
        return ranges


def group_of(videos: Iterable[Candidate], joined: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """Find each video's group: what `original` and `person` connect, called after its first source.

    Sources need not be listed themselves: two fakes of one absent video are still one group.

    Args:
        videos: What is listed.
        joined: Pairs of listed videos that are of one group whatever the listing says.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    made = set()
    for video in videos:
        root(video.name)
        if video.original:
            made.add(video.name)
        for name in (*names(video.original), *(f"/{person}" for person in names(video.person))):
            parent[root(video.name)] = root(name)  # no video's name has a slash
    for one, other in joined:
        if one in parent and other in parent:
            parent[root(one)] = root(other)
    members: dict[str, list[str]] = {}
    for name in list(parent):
        members.setdefault(root(name), []).extend([name] * (name[0] != "/"))
    titles = {top: min(together, key=lambda name: (name in made, name)) for top, together in members.items()}
    return {video.name: titles[root(video.name)] for video in videos}


def torn(groups: Mapping[str, str], splits: Mapping[str, str]) -> dict[str, set[str]]:
    """List the groups that lie in several splits, with these: a test on them meets what was trained on.

    Args:
        groups: The group of each video.
        splits: The split of each video that is used.
    """
    where: dict[str, set[str]] = {}
    for video, split in splits.items():
        where.setdefault(groups[video], set()).add(split)
    return {group: inside for group, inside in sorted(where.items()) if len(inside) > 1}


def names(several: str) -> list[str]:
    """Split "a/b" into its names; it may hold one or none."""
    return several.split("/") if several else []


def order(seed: int, name: str) -> bytes:
    """Compute a place in a queue, which follows from the name and the seed alone."""
    return hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=16).digest()


def shares(n: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """Divide n by largest remainder; where n allows, no split with a fraction stays empty.

    1,568 by 80/10/10 gives 1,254, 157 and 157.

    Raises:
        UserError: When they are not shares of the three splits.
    """
    sound = all(isinstance(value, int | float) and 0 <= value < math.inf for value in fractions.values())
    if not sound or set(fractions) - set(SPLITS) or not sum(fractions.values()):
        raise UserError(
            f"split.fractions must give shares of at least 0 to {', '.join(SPLITS)} (got {dict(fractions)})"
        )
    total = sum(fractions.values())
    exact = {split: n * fraction / total for split, fraction in fractions.items()}
    whole = {split: int(value + 1e-9) for split, value in exact.items()}
    by_remainder = sorted(
        exact, key=lambda split: (round(whole[split] - exact[split], 9), SPLITS.index(split))
    )
    for split in by_remainder[: n - sum(whole.values())]:
        whole[split] += 1
    needed = [split for split in whole if fractions[split] > 0 and whole[split] == 0]
    if n >= sum(fraction > 0 for fraction in fractions.values()):
        for split in needed:
            whole[max(whole, key=lambda name: whole[name])] -= 1
            whole[split] += 1
    return whole


def _count(members: Iterable[Candidate], label: str) -> int:
    return sum(video.label == label for video in members)
