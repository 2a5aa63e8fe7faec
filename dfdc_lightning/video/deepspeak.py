"""DeepSpeak (v1, v1.1, v2): people before their webcams and fakes by many engines, in annotated lists."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from dfdc_lightning.video.layout import Layout, listed, table
from dfdc_lightning.video.listing import Entry
from dfdc_lightning.video.sources import Video

_EXPECTED = "annotations-real.csv, annotations-fake.csv, annotations-split-def.csv and the archives unpacked"


@dataclass(frozen=True)
class DeepSpeak(Layout):
    """DeepSpeak: three annotation files, and videos in any folders below, as the archives were unpacked.

    A person's split is that of the videos in which the person is seen.
    """

    title: ClassVar[str] = "DeepSpeak"

    @override
    def videos(self, root: Path) -> list[Video]:
        real = table(root / "annotations-real.csv", ("video-file", "identity"), _EXPECTED)
        fake_columns = ("video-file", "engine", "identity-source", "identity-target")
        fake = table(root / "annotations-fake.csv", fake_columns, _EXPECTED)
        rows = table(root / "annotations-split-def.csv", ("identity", "split"), _EXPECTED)
        split = {row["identity"]: row["split"].lower() for row in rows}
        place = {
            name: (Path(folder) / name).relative_to(root).as_posix()
            for folder, _, files in os.walk(root)
            for name in files
            if name.lower().endswith(".mp4")
        }
        entries = [
            Entry(
                _of(place, row["video-file"]),
                "REAL",
                person=f"p{row['identity']}",
                split=split.get(row["identity"], ""),
            )
            for row in real
        ]
        for row in fake:
            source, target = row["identity-source"], row["identity-target"]
            persons = "/".join(f"p{person}" for person in dict.fromkeys((target, source)) if person)
            entries.append(
                Entry(
                    _of(place, row["video-file"]),
                    "FAKE",
                    self._original(place, row),
                    row["engine"],
                    persons,
                    split.get(target, ""),
                )
            )
        return listed(entries, root, str(root / "annotations-*.csv"))

    def _original(self, place: dict[str, str], row: dict[str, str]) -> tuple[str, ...]:
        name = f"{row['identity-target']}-{row.get('recording-target', '')}.mp4"
        return (place[name],) if name in place else ()


def _of(place: dict[str, str], file: str) -> str:
    name = Path(file).name
    name = name if name.lower().endswith(".mp4") else f"{name}.mp4"
    return place.get(name, name)
