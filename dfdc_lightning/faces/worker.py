"""The task of a worker process: one video's faces into the cache, its row back, whatever is wrong with it."""

from dataclasses import dataclass
from pathlib import Path

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FaceCache, Row
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.pool import WorkerFailure
from dfdc_lightning.video.frames import FrameError
from dfdc_lightning.video.sources import Source, Video


@dataclass(frozen=True)
class VideoTask:
    """Prepares one video per call.

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
        """Write the video's clip and return its row.

        Raises:
            OSError: When the clip cannot be written: no video's fault, so it ends the run.
            UserError: When no video can be opened or searched for faces for now.
        """
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
                    codec=frames.codec,
                    bytes=frames.bytes,
                    keyframes=frames.keyframes,
                )
                clip = self.preparation.clip(frames, self.preparation.persons(frames, path)[0])
        except Exception as error:  # one video's fault must not end the work on the others: its row says it
            status, sentence = fault_of(error)
            # Without the folder, so that the row is the same on every machine, and on one line.
            name = Path(video.member or video.path).name
            detail = " ".join((sentence.replace(place, name) if place else sentence).split())
            return row._replace(status=status, detail=detail)
        FaceCache(self.root).write_clip(video.name, clip)
        return row._replace(n_found=int(clip.found.sum()))

    def blank(self, video: Video) -> Row:
        """Make the row of a video that nobody has opened yet."""
        return Row(
            video.name,
            video.label,
            video.original,
            face_detector=self.preparation.face_detector.name,
            profile=self.profile,
            method=video.method,
            person=video.person,
            part=video.part,
        )

    def failed(self, video: Video, failure: WorkerFailure, timeout: float) -> Row:
        """Make the row of a video whose worker gave no answer."""
        return self.blank(video)._replace(status=failure.value, detail=failure.sentence(timeout))


def fault_of(error: Exception) -> tuple[str, str]:
    """Say what an error in the preparation of one video means for that video.

    What a damaged or hostile file makes of FFmpeg and OpenCV has no common type, so any error but a
    `UserError` counts as the video's own.

    Returns:
        The status for its row and a sentence.

    Raises:
        UserError: The error itself, where the cause is not the video: a missing face detector, say.
    """
    if isinstance(error, FrameError):
        return error.status, str(error)
    if isinstance(error, UserError):
        raise error
    return "failed", f"{type(error).__name__}: {error}"
