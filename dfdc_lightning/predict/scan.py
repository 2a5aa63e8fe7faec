"""Looks at a whole video, window after window, and scores every person in each."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from dfdc_lightning import checks
from dfdc_lightning.faces.cache import FaceClip
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.tracks import Track
from dfdc_lightning.predict.ahead import ahead
from dfdc_lightning.predict.likeness import likeness
from dfdc_lightning.predict.predictors import Predictor, open_predictor
from dfdc_lightning.predict.timeline import Scored
from dfdc_lightning.predict.verdict import Prepared, prepared_of
from dfdc_lightning.predict.windows import Box, Sample, Window, Windows
from dfdc_lightning.video.frames import Footage, FrameError, evenly_spaced

SECONDS = 4.0  # length of a window: longer ones pass over short swaps, shorter ones score less surely
_BATCH = 4  # windows that the model is given at once
_AHEAD = 8  # frames that are decoded while others are looked at


class Scanned(NamedTuple):
    """A video that was looked at from one end to the other, and the same as a single verdict sees it."""

    prepared: Prepared
    windows: list[Scored]
    window: float  # seconds


class _Seen(NamedTuple):
    """A frame of the whole video's clip, and the boxes of the persons in it."""

    image: np.ndarray
    boxes: dict[int, Box]


class _Strip(NamedTuple):
    """What a model says of one window, frame by frame."""

    window: Window
    score: float
    frame_scores: Float32[np.ndarray, " t"]
    unlike: str


class Scan:
    """Scores a video's windows.

    Args:
        preparation: From `Card.make_preparation`.
        predictor: The model.
        seconds: Length of a window.
        damaged: Whether a damaged video is looked at up to the damage.

    Raises:
        UserError: When `seconds` is not a length.
    """

    def __init__(
        self,
        preparation: FacePreparation,
        predictor: Predictor,
        seconds: float = SECONDS,
        damaged: bool = False,
    ) -> None:
        self.preparation, self.predictor, self.damaged = preparation, predictor, damaged
        self.seconds = checks.number("window", seconds, above=0)

    def __call__(self, path: Path) -> Scanned:
        """Look at one video.

        Raises:
            FrameError: When the video is damaged, shows no face, or is shorter than a window.
        """
        footage = Footage(path, self.damaged)
        t = self.preparation.frames
        if footage.n_frames < t:
            raise FrameError("too_short", f"{path} has {footage.n_frames} frames, {t} are needed")
        if footage.seconds <= 0:
            raise FrameError("unreadable", f"{path} has no time stamps, without which it cannot be scanned")
        step = max(self.seconds / t * footage.fps, 1.0)
        grid = {round(k * step) for k in range(int((footage.n_frames - 1) / step) + 1)}
        whole = evenly_spaced(footage.n_frames, t)
        strips, seen = self._watch(footage, grid, whole)
        if footage.whole and len(seen) == len(whole):
            frames = footage.facts([seen[number].image for number in whole], whole)
        else:
            frames = self.preparation.read(path, self.damaged)
        prepared, tracks = prepared_of(frames, self.preparation, path)
        numbers = _numbers(tracks, [seen[int(i)].boxes if int(i) in seen else {} for i in frames.indices])
        scored = []
        for strip in halves(strips) if self._by_frame else strips:
            person = numbers.setdefault(strip.window.person, max(numbers.values(), default=0) + 1)
            scored.append(_timed(strip, person, footage.fps, step))
        return Scanned(prepared, scored, step * t / footage.fps)

    @property
    def _by_frame(self) -> bool:
        return self.predictor.card.level == "frame"

    def _watch(
        self, footage: Footage, grid: set[int], whole: Sequence[int]
    ) -> tuple[list[_Strip], dict[int, _Seen]]:
        """Score the windows of the frames in `grid`, and keep the frames in `whole`."""
        t = self.preparation.frames
        windows = Windows(self.preparation, t if self._by_frame else max(t // 2, 1))
        strips: list[_Strip] = []
        waiting: list[Window] = []
        seen: dict[int, _Seen] = {}
        for number, image in ahead(footage.frames(grid | set(whole)), _AHEAD):
            windows.look(image)
            if number in whole:
                seen[number] = _Seen(image, windows.boxes)
            if number in grid:
                waiting += windows.add(Sample(number, image))
            if len(waiting) >= _BATCH:
                strips += self._scored(waiting)
                waiting = []
        return strips + self._scored(waiting + windows.end()), seen

    def _scored(self, windows: list[Window]) -> list[_Strip]:
        strips = []
        for start in range(0, len(windows), _BATCH):
            batch = windows[start : start + _BATCH]
            prediction = self.predictor.predict(np.stack([window.clip.faces for window in batch]), False)
            for index, window in enumerate(batch):
                appearance = None if prediction.appearance is None else prediction.appearance[index]
                like = likeness(window.clip, appearance, self.predictor.reference, self.predictor.remedy)
                strips.append(
                    _Strip(
                        window._replace(clip=_without_faces(window.clip)),
                        float(prediction.scores[index]),
                        prediction.frame_scores[index],
                        like.reason,
                    )
                )
        return strips


def _timed(strip: _Strip, person: int, fps: float, step: float) -> Scored:
    clip = strip.window.clip
    start, end = float(clip.frames[0]) / fps, (float(clip.frames[-1]) + step) / fps
    return Scored(person, start, end, strip.score, int(clip.found.sum()), strip.unlike)


def _numbers(tracks: Sequence[Track], boxes: Sequence[dict[int, Box]]) -> dict[int, int]:
    """Give the persons of the windows the numbers they have in the verdict: who has the same boxes."""
    numbers: dict[int, int] = {}
    for number, track in enumerate(tracks, start=1):
        for time, seen in enumerate(boxes):
            for person, box in seen.items():
                if track.found[time] and np.allclose(track.boxes[time], box, atol=0.01):
                    numbers.setdefault(person, number)
    return numbers


def _without_faces(clip: FaceClip) -> FaceClip:
    return clip._replace(faces=clip.faces[:, :, :0, :0])


def halves(strips: list[_Strip]) -> list[_Strip]:
    """Add the windows half way between two successive ones, from the scores of their frames.

    A model that scores frames each for itself says the same of a frame in both windows, so that nothing has
    to be computed twice.
    """
    of_person: dict[int, list[_Strip]] = {}
    for strip in strips:
        of_person.setdefault(strip.window.person, []).append(strip)
    every = []
    for own in of_person.values():
        own.sort(key=lambda strip: strip.window.first)
        for one, other in zip(own, [*own[1:], None], strict=True):
            every.append(one)
            t = len(one.frame_scores)
            if other is not None and other.window.first == one.window.first + t > t // 2:
                every.append(_between(one, other, t // 2))
    return every


def _between(one: _Strip, other: _Strip, cut: int) -> _Strip:
    scores = np.concatenate([one.frame_scores[cut:], other.frame_scores[:cut]])
    ours, others = one.window.clip.arrays, other.window.clip.arrays
    clip = FaceClip(**{name: np.concatenate([ours[name][cut:], others[name][:cut]]) for name in ours})
    window = Window(one.window.person, one.window.first + cut, clip)
    return _Strip(window, float(scores.mean()), scores, one.unlike or other.unlike)


class ScanTask:
    """Scans videos in a worker process, which loads the model itself: only scores have to travel.

    Args:
        run: What `run=` named.
        face_model: The face detector's file, where the user gave one.
        seconds: Length of a window.
        damaged: Whether a damaged video is looked at up to the damage.
    """

    def __init__(self, run: Path, face_model: str | None, seconds: float, damaged: bool = False) -> None:
        self.run, self.face_model, self.seconds, self.damaged = run, face_model, seconds, damaged
        self._scan: Scan | None = None

    def __call__(self, path: Path) -> Scanned:
        """Scan one video.

        Raises:
            FrameError: As `Scan` does.
        """
        if self._scan is None:
            predictor = open_predictor(self.run)
            self._scan = Scan(
                predictor.card.make_preparation(self.face_model), predictor, self.seconds, self.damaged
            )
        return self._scan(path)
