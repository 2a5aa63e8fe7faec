"""FaceForensics++, DFD and DeeperForensics-1.0, which share folders, names or originals.

`manipulated_sequences/METHOD/COMPRESSION/videos/TARGET_SOURCE.mp4` shows TARGET's video with SOURCE's face
(or expression): both originals are one group. The split files are lists of such pairs.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from dfdc_lightning.video.layout import Layout, files_in, folders_in, listed, unnamed, warn_absent
from dfdc_lightning.video.listing import SPLITS, Entry, SourceError
from dfdc_lightning.video.sources import Video

_TREE = "original_sequences/youtube/{0}/videos/*.mp4 and manipulated_sequences/METHOD/{0}/videos/*.mp4"


@dataclass(frozen=True)
class FaceForensics(Layout):
    """FaceForensics++: `original_sequences/youtube` and `manipulated_sequences`, with its split files.

    Args:
        path: The folder that the download script filled.
        compression: raw, c23 or c40; None takes the only one that is there.
        methods: Which manipulations; None takes all of FaceForensics++ that are there.
        splits: Folder with train.json, val.json and test.json; None looks in `path` and its `splits`.
    """

    compression: str | None = None
    methods: Sequence[str] | None = None
    splits: str | Path | None = None
    title: ClassVar[str] = "FaceForensics++"

    @override
    def videos(self, root: Path) -> list[Video]:
        compression = compression_in(root, self.compression)
        expected = _TREE.format(compression)
        real = files_in(root / "original_sequences" / "youtube" / compression / "videos", expected)
        originals = {path.stem: path for path in real}
        split = official_pairs(root, self.splits, originals)
        entries = [
            Entry(_relative(path, root), "REAL", split=split.get(path.stem, ""))
            for path in originals.values()
        ]
        for method in self._methods(root):
            folder = root / "manipulated_sequences" / method / compression / "videos"
            for path in files_in(folder, expected):
                target, _, source = path.stem.partition("_")
                if not (target.isdigit() and source.isdigit()):
                    raise unnamed(path, "TARGET_SOURCE.mp4, as 000_003.mp4")
                made_from = tuple(
                    _relative(real[0].with_name(f"{name}.mp4"), root) for name in (target, source)
                )
                entries.append(
                    Entry(_relative(path, root), "FAKE", made_from, method, split=split.get(target, ""))
                )
        return listed(entries, root, str(root))

    def _methods(self, root: Path) -> list[str]:
        there = [path.name for path in folders_in(root / "manipulated_sequences")]
        chosen = [name for name in there if name != "DeepFakeDetection"]
        if self.methods is not None:
            if absent := set(self.methods) - set(there):
                raise SourceError(f"source.methods names {min(absent)}, but {root} has {', '.join(there)}")
            chosen = list(self.methods)
        return chosen


@dataclass(frozen=True)
class DeepFakeDetection(Layout):
    """DFD (Google and Jigsaw): videos of actors, in FaceForensics++'s folders.

    `01__scene.mp4` is actor 01; `01_02__scene__CODE.mp4` shows that video with the face of actor 02.

    Args:
        path: The folder that the download script filled.
        compression: raw, c23 or c40; None takes the only one that is there.
    """

    compression: str | None = None
    title: ClassVar[str] = "DFD"

    @override
    def videos(self, root: Path) -> list[Video]:
        compression = compression_in(root, self.compression, "actors")
        expected = (
            f"original_sequences/actors/{compression}/videos/*.mp4 and "
            f"manipulated_sequences/DeepFakeDetection/{compression}/videos/*.mp4"
        )
        folder = root / "original_sequences" / "actors" / compression / "videos"
        entries = [
            Entry(_relative(path, root), "REAL", person=f"actor{path.stem.partition('__')[0]}")
            for path in files_in(folder, expected)
        ]
        for path in files_in(
            root / "manipulated_sequences/DeepFakeDetection" / compression / "videos", expected
        ):
            actors, *scene = path.stem.split("__")
            target, _, source = actors.partition("_")
            if not (target.isdigit() and source.isdigit() and scene):
                raise unnamed(path, "TARGET_SOURCE__SCENE__CODE.mp4, as 01_02__exit_phone_room__YVGY8LOK.mp4")
            original = _relative(folder / f"{target}__{scene[0]}.mp4", root)
            person = f"actor{target}/actor{source}"
            entries.append(Entry(_relative(path, root), "FAKE", (original,), "DeepFakeDetection", person))
        return listed(entries, root, str(root))


@dataclass(frozen=True)
class DeeperForensics(Layout):
    """DeeperForensics-1.0: `manipulated_videos/VARIANT/TARGET_ACTOR.mp4` and `lists/splits`.

    Its own `source_videos` are raw material, not REAL: its REAL are the originals of FaceForensics++ (c23).

    Args:
        path: The folder that unzip.sh filled.
        originals: The folder of FaceForensics++; None lists FAKE alone, for labels=any.
        variants: Which folders of `manipulated_videos`; None takes all that are there.
        compression: Of the originals.
    """

    originals: str | Path | None = None
    variants: Sequence[str] | None = ("end_to_end",)
    compression: str = "c23"
    title: ClassVar[str] = "DeeperForensics"

    @override
    def videos(self, root: Path) -> list[Video]:
        names = self.variants or [path.name for path in folders_in(root / "manipulated_videos")]
        expected = "manipulated_videos/VARIANT/TARGET_ACTOR.mp4"
        fakes = [path for name in names for path in files_in(root / "manipulated_videos" / name, expected)]
        split = dict(self._lists(root))
        warn_absent(root / "lists" / "splits", split, {path.name: 0 for path in fakes})
        entries, targets = [], {}
        real = f"original_sequences/youtube/{self.compression}/videos"
        for path in fakes:
            target, _, actor = path.stem.partition("_")
            if not (target.isdigit() and actor):
                raise unnamed(path, "TARGET_ACTOR.mp4, as 000_M101.mp4")
            official = split.get(path.name, "")
            targets[target] = official
            original = (f"{real}/{target}.mp4",)
            entries.append(Entry(_relative(path, root), "FAKE", original, path.parent.name, actor, official))
        videos = listed(entries, root, str(root))
        if self.originals is None:
            return videos
        ffpp = Path(self.originals)
        there = {path.stem for path in files_in(ffpp / real, f"source.originals with {real}/*.mp4")}
        return videos + listed(
            [
                Entry(f"{real}/{name}.mp4", "REAL", split=official)
                for name, official in sorted(targets.items())
                if name in there
            ],
            ffpp,
            str(ffpp),
        )

    def _lists(self, root: Path) -> Iterator[tuple[str, str]]:
        for split in SPLITS:
            path = root / "lists" / "splits" / f"{split}.txt"
            if path.is_file():
                yield from ((line.split("/")[-1], split) for line in path.read_text("utf-8").split())


def compression_in(root: Path, wanted: str | None, kind: str = "youtube") -> str:
    """Choose the compression to take: the one that is wanted, or the only one that is there.

    Raises:
        SourceError: When the folder has none or several; says which.
    """
    there = [path.name for path in folders_in(root / "original_sequences" / kind)]
    if wanted is not None and wanted in there:
        return wanted
    if wanted is None and len(there) == 1:
        return there[0]
    found = (
        f"original_sequences/{kind} has {', '.join(there)}"
        if there
        else f"original_sequences/{kind} is absent"
    )
    choice = "" if wanted is None else f", not {wanted}"
    raise SourceError(f"{root}: {found}{choice}: expected raw, c23 or c40; choose one by source.compression=")


def official_pairs(root: Path, folder: str | Path | None, there: dict[str, Path]) -> dict[str, str]:
    """Read each original's split from train.json, val.json and test.json; empty where these are missing.

    Raises:
        SourceError: When a file is not a list of pairs, or was named and is not there.
    """
    places = [Path(folder)] if folder is not None else [root, root / "splits", root / "dataset" / "splits"]
    place = next((place for place in places if (place / "train.json").is_file()), None)
    if place is None:
        if folder is not None:
            raise SourceError(f"source.splits={folder} has no train.json: give the folder of the split files")
        return {}
    split = {}
    for name in SPLITS:
        file = place / f"{name}.json"
        try:
            pairs = [(str(a), str(b)) for a, b in json.loads(file.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError) as error:
            raise SourceError(
                f'{file} must be a list of pairs of videos, as [["071", "054"], …] ({error}): fetch it again'
            ) from None
        split.update({video: name for pair in pairs for video in pair})
    warn_absent(place, split, there)
    return split


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
