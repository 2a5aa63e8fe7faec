"""Celeb-DF (v1 and v2) and FakeAVCeleb: fakes of celebrities, whose names say who is who."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from dfdc_lightning.video.layout import Layout, files_in, listed, table, unnamed
from dfdc_lightning.video.listing import Entry, SourceError
from dfdc_lightning.video.sources import Video

_TESTING = "List_of_testing_videos.txt"


@dataclass(frozen=True)
class CelebDF(Layout):
    """Celeb-DF v1 or v2: `Celeb-real`, `YouTube-real`, `Celeb-synthesis` and the list of testing videos.

    `Celeb-synthesis/id0_id1_0000.mp4` is `Celeb-real/id0_0000.mp4` with the face of id1: both persons bind
    the group. What the list does not name is for training.
    """

    title: ClassVar[str] = "Celeb-DF"

    @override
    def videos(self, root: Path) -> list[Video]:
        expected = f"Celeb-real, YouTube-real and Celeb-synthesis with *.mp4, and {_TESTING}"
        test = self._testing(root, expected)
        entries = {}
        for folder in ("Celeb-real", "YouTube-real", "Celeb-synthesis"):
            for path in files_in(root / folder, expected):
                name = f"{folder}/{path.name}"
                entries[name] = self._entry(path, name, "test" if name in test else "train")
        for name, label in test.items():
            if name not in entries:
                entries[name] = self._entry(root / name, name, "test")
            if entries[name].label != label:
                raise SourceError(
                    f"{root / _TESTING} calls {name} {label}, its folder {entries[name].label}: fetch the "
                    "list again"
                )
        return listed(list(entries.values()), root, str(root / _TESTING))

    def _entry(self, path: Path, name: str, split: str) -> Entry:
        folder = name.partition("/")[0]
        if folder == "YouTube-real":
            return Entry(name, "REAL", split=split)
        swapped = re.fullmatch(r"(id\d+)_(id\d+)_(\d+)", path.stem)
        plain = re.fullmatch(r"(id\d+)_(\d+)", path.stem)
        if folder == "Celeb-real" and plain:
            return Entry(name, "REAL", person=plain[1], split=split)
        if folder != "Celeb-synthesis" or not swapped:
            raise unnamed(
                path, "Celeb-real/id0_0000.mp4, Celeb-synthesis/id0_id1_0000.mp4, YouTube-real/00000.mp4"
            )
        original = f"Celeb-real/{swapped[1]}_{swapped[3]}.mp4"
        return Entry(name, "FAKE", (original,), "Celeb-synthesis", f"{swapped[1]}/{swapped[2]}", split)

    def _testing(self, root: Path, expected: str) -> dict[str, str]:
        """Read the testing videos with their labels; in the list 1 is REAL."""
        path = root / _TESTING
        if not path.is_file():
            raise SourceError(f"{path} is not there: expected {expected}")
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if wrong := [line for line in lines if len(line) != 2 or line[0] not in "01"]:
            raise SourceError(
                f"{path}: {' '.join(wrong[0])!r} must be 0 or 1 and a video: fetch the list again"
            )
        return {name: "REAL" if real == "1" else "FAKE" for real, name in lines}


@dataclass(frozen=True)
class FakeAVCeleb(Layout):
    """FakeAVCeleb v1.2: meta_data.csv and four folders of real and fake video and audio.

    FAKE is a video whose picture was manipulated.

    Args:
        path: The folder with meta_data.csv.
        fake_audio: Whether videos whose sound alone is fake are taken, as REAL.
    """

    fake_audio: bool = False
    title: ClassVar[str] = "FakeAVCeleb"

    @override
    def videos(self, root: Path) -> list[Video]:
        where = root / "meta_data.csv"
        columns = ("source", "target1", "target2", "method", "type", "race", "gender", "path")
        rows = table(where, columns, "FakeAVCeleb's meta_data.csv beside RealVideo-RealAudio and others")
        entries, left_out = [], 0
        for row in rows:
            if row["type"] == "RealVideo-FakeAudio" and not self.fake_audio:
                left_out += 1
                continue
            entries.append(self._entry(row))
        if left_out:
            print(
                f"{left_out} videos whose sound alone is fake are left out: source.fake_audio=true takes "
                "them as REAL",
                file=sys.stderr,
            )
        return listed(entries, root, str(where))

    def _entry(self, row: dict[str, str]) -> Entry:
        place = f"{row['race']}/{row['gender']}/{row['source']}"
        name = f"{row['type']}/{place}/{row['path'].rpartition('/')[2]}"
        persons = [row[column] for column in ("source", "target1", "target2") if row[column] not in ("", "-")]
        known = [person for person in persons if re.fullmatch(r"id\d+", person)]
        if row["type"].startswith("RealVideo"):
            return Entry(name, "REAL", person=row["source"])
        original = f"RealVideo-RealAudio/{place}/{Path(name).stem.partition('_')[0]}.mp4"
        return Entry(name, "FAKE", (original,), row["method"], "/".join(known))
