"""What a worker does with one video: its faces into the cache, its row back."""

from dataclasses import dataclass
from pathlib import Path

import cv2

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FaceCache, Row
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.pool import Loss
from dfdc_lightning.video.frames import FrameError
from dfdc_lightning.video.sources import Source, Video


@dataclass(frozen=True)
class Look:
    """What a worker does with one video: its faces into the cache, its row back.

    Args:
        source: Opens the video.
        preparation: Turns it into a clip.
        root: The cache's folder.
        profile: The preparation's profile.
    """

    source: Source
    preparation: FacePreparation
    root: Path
    profile: str

    def __call__(self, video: Video) -> Row:
        """Prepare one video.

        Raises:
            OSError: When the clip cannot be written: no video's fault, so it ends the run.
            UserError: When no video can be had or looked at for now.
        """
        cv2.setNumThreads(1)  # the workers are the parallelism
        row, place = self.blank(video), ""
        try:
            with self.source.open(video) as path:
                place = str(path)
                frames = self.preparation.read(path)
                row = row._replace(
                    width=frames.width,
                    height=frames.height,
                    fps=round(frames.fps, 3),
                    n_frames=frames.n_frames,
                    seconds=round(frames.seconds, 3),
                )
                clip = self.preparation.clip(frames, self.preparation.persons(frames, path)[0])
        except FrameError as error:
            return row._replace(status=error.status, detail=_detail(error, place, video))
        except UserError:  # not the video's fault: the detector's model or the network, say
            raise
        except Exception as error:  # whatever one video does, 119,000 others go on; its row says what it was
            return row._replace(
                status="failed", detail=_detail(error, place, video, f"{type(error).__name__}: ")
            )
        FaceCache(self.root).write_clip(video.name, clip)
        return row._replace(n_found=int(clip.found.sum()))

    def blank(self, video: Video) -> Row:
        """The row of a video nobody has looked at."""
        return Row(
            video.name,
            video.label,
            video.original,
            face_detector=self.preparation.face_detector.name,
            profile=self.profile,
            method=video.method,
            person=video.person,
        )

    def lost(self, video: Video, loss: Loss, timeout: float) -> Row:
        """The row of a video that took its worker with it."""
        said = {
            Loss.TIMEOUT: f"it was not done after {timeout:g} seconds",
            Loss.CRASHED: "its decoder crashed three times",
        }
        return self.blank(video)._replace(status=loss.value, detail=said[loss])


def _detail(error: Exception, place: str, video: Video, prefix: str = "") -> str:
    """The sentence of an error on one line; without the folder, so that it is the same on every machine."""
    text = str(error).replace(place, Path(video.member or video.path).name) if place else str(error)
    return " ".join((prefix + text).split())
