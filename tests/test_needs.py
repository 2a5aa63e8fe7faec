"""What a preparation says of network and disk before it starts."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from face_detectors import Middle

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.needs import needs
from dfdc_lightning.video.sources import Video

FACES = FacePreparation(Middle(), frames=10, size=100)


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def videos(n: int, size: int) -> list[Video]:
    return [Video(f"v{number}", "REAL", "", "", "x", bytes=size) for number in range(n)]


def test_bytes_time_and_disk_are_said_of_what_must_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 5_000_000_000))
    assert needs(videos(1000, 4_000_000), 2, FACES, tmp_path) == (
        "fetching 1000 videos: 4.0 GB over the network, about 7 min at 10 MB/s; on disk at once 8 MB of "
        "videos, in the end 300 MB of clips (5.0 GB free)\n"
    )
    assert needs(videos(1000, 0), 2, FACES, tmp_path) == ""


def test_a_disk_without_room_for_the_clips_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 200_000_000))
    with pytest.raises(UserError, match="has 200 MB free, but 1000 clips take 300 MB: make room"):
        needs(videos(1000, 0), 2, FACES, tmp_path)
