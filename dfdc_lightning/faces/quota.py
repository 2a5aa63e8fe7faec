"""Which videos to try until the quota is full, and which of them are used: as many REAL as FAKE, mostly."""

from collections.abc import Iterable, Mapping

from dfdc_lightning.faces.cache import SPLITS, Row
from dfdc_lightning.faces.split import LABELS, Candidate, Splitter, group_of, order, shares


class Quota:
    """Decides which videos are tried, and from the outcomes which are used.

    Each split and label has a queue in the order of hashes. Its videos are tried from the front until the
    wanted number is good. So the choice depends on the videos alone, not on the number of machines or their
    order.

    Args:
        candidates: All videos with a label, in any order.
        splitter: Gives each group its split.
        per_label: Good clips wanted of each label over all splits; None tries every video.
        balanced: Whether each split gets as many REAL as FAKE; otherwise one label alone is enough.
        joined: Pairs of videos that are of one group whatever the listing says.
    """

    def __init__(
        self,
        candidates: Iterable[Candidate],
        splitter: Splitter,
        per_label: int | None,
        balanced: bool = True,
        joined: Iterable[tuple[str, str]] = (),
    ) -> None:
        videos = [video for video in candidates if video.label in LABELS]
        self.group = group_of(videos, joined)
        members: dict[str, list[Candidate]] = {}
        for video in videos:
            members.setdefault(self.group[video.name], []).append(video)
        self.split = splitter.assign(members)
        self.queues: dict[tuple[str, str], list[str]] = {(s, label): [] for s in SPLITS for label in LABELS}
        for video in sorted(videos, key=lambda video: order(splitter.seed, video.name)):
            if split := self.split.get(video.name):
                self.queues[split, video.label].append(video.name)
        quota = None if per_label is None else shares(per_label, splitter.fractions)
        self.wanted = {
            cell: len(queue) if quota is None else min(len(queue), quota.get(cell[0], 0))
            for cell, queue in self.queues.items()
        }
        self.per_label, self.balanced = per_label, balanced

    def pending(self, good: Mapping[str, bool]) -> list[str]:
        """List the videos still to be tried, given which of those that were tried are good."""
        waiting: list[str] = []
        for cell, queue in self.queues.items():
            hopeful = 0
            for name in queue:
                if hopeful == self.wanted[cell]:
                    break
                hopeful += good.get(name, True)
                if name not in good:
                    waiting.append(name)
        return waiting

    def used(self, good: Mapping[str, bool]) -> dict[str, str]:
        """Say in which split every video lies that is used."""
        result = {}
        for split in SPLITS:
            usable = [
                [name for name in self.queues[split, label] if good.get(name, False)] for label in LABELS
            ]
            most = [
                min(len(names), self.wanted[split, label])
                for names, label in zip(usable, LABELS, strict=True)
            ]
            if self.balanced:
                most = [min(most)] * len(most)
            result.update({name: split for names, n in zip(usable, most, strict=True) for name in names[:n]})
        return result

    def rows(self, outcomes: Mapping[str, Row]) -> list[Row]:
        """Make the manifest's rows: every video that was tried, its group and, if it is used, its split."""
        used = self.used({name: row.status == "ok" for name, row in outcomes.items()})
        return [
            row._replace(group=self.group.get(name, ""), split=used.get(name, ""))
            for name, row in sorted(outcomes.items())
        ]


def shard_of(video: str, n: int) -> int:
    """Number of the shard, of `n`, that prepares a video."""
    return int.from_bytes(order(0, video)) % n
