"""One person is followed, the crop keeps the face and does not jitter."""

import cv2
import numpy as np
import pytest

from dfdc_lightning.faces.crop import crop_boxes, crops
from dfdc_lightning.faces.tracks import follow

NOBODY = np.zeros((0, 5), np.float32)


def boxes_at(*places: tuple[float, float, float]) -> np.ndarray:
    """Detections with centre x, y and side."""
    return np.array([[x - s / 2, y - s / 2, x + s / 2, y + s / 2, 0.9] for x, y, s in places], np.float32)


def scene(colour: tuple[int, int, int], size: tuple[int, int] = (240, 320)) -> np.ndarray:
    rng = np.random.default_rng(sum(colour))
    return np.clip(rng.normal(colour, 8, (*size, 3)), 0, 255).astype(np.uint8)


def test_the_person_found_longest_comes_first() -> None:
    images = [scene((120, 100, 90))] * 10
    faces = [
        boxes_at((80, 100, 40), (240, 100, 60)) if t < 3 else boxes_at((80 + t, 100, 40)) for t in range(10)
    ]
    first, second = follow(images, faces)
    assert first.found.all()
    assert second.found.sum() == 3
    assert first.boxes[9] == pytest.approx([69, 80, 109, 120])


def test_of_persons_found_nearly_as_long_the_largest_comes_first() -> None:
    images = [scene((120, 100, 90))] * 10
    faces = [boxes_at((80, 100, 30), (230, 120, 80)) if t else boxes_at((80, 100, 30)) for t in range(10)]
    first, _ = follow(images, faces)
    assert first.found.tolist() == [False] + 9 * [True]
    assert first.boxes[0] == pytest.approx(first.boxes[1])


def test_a_frame_without_a_face_gets_a_box_between_its_neighbours() -> None:
    images = [scene((120, 100, 90))] * 5
    faces = [boxes_at((100 + 10 * t, 100, 50)) for t in range(5)]
    faces[2] = NOBODY
    (person,) = follow(images, faces)
    assert person.found.tolist() == [True, True, False, True, True]
    assert person.boxes[2] == pytest.approx([95, 75, 145, 125])


def test_no_face_anywhere_is_nobody() -> None:
    assert follow([scene((10, 20, 30))] * 3, [NOBODY] * 3) == []


def test_a_cut_to_another_person_in_the_same_place_is_not_followed() -> None:
    here, there = scene((60, 90, 140)), scene((200, 150, 90))
    images = [here] * 4 + [there] * 3 + [here] * 3
    faces = [boxes_at((160, 120, 60))] * 10
    first, second = follow(images, faces)
    assert first.found.tolist() == 4 * [True] + 3 * [False] + 3 * [True]
    assert second.found.tolist() == 4 * [False] + 3 * [True] + 3 * [False]


def test_the_crop_is_square_and_has_the_margin() -> None:
    boxes = np.tile(np.array([100, 90, 160, 180], np.float32), (10, 1))
    squares = crop_boxes(boxes, margin=1 / 3, smoothing=0.7)
    assert (squares == [55, 60, 205, 210]).all() or (squares[:, 2] - squares[:, 0] == 150).all()
    assert (squares[:, 3] - squares[:, 1] == 150).all()
    assert np.abs(squares[:, :2] + squares[:, 2:] - [260, 270]).max() <= 1


def test_the_crop_does_not_jitter_with_the_detector() -> None:
    rng = np.random.default_rng(0)
    still = np.array([100, 100, 200, 200], np.float32)
    shaky = (still + rng.normal(0, 5, (50, 4))).astype(np.float32)
    smooth, rough = (crop_boxes(shaky, 1 / 3, smoothing) for smoothing in (0.7, 0.0))
    for motion in (lambda b: b[:, 0] + b[:, 2], lambda b: b[:, 2] - b[:, 0]):  # centre, side
        assert np.abs(np.diff(motion(smooth))).mean() < 0.5 * np.abs(np.diff(motion(rough))).mean()


@pytest.mark.parametrize("smoothing", [0.0, 0.7, 3.0])
def test_the_crop_never_loses_the_face(smoothing: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        middle, sides = rng.uniform(0, 900, (10, 2)), rng.uniform(20, 200, (10, 2))
        boxes = np.concatenate([middle - sides / 2, middle + sides / 2], axis=1).astype(np.float32)
        squares = crop_boxes(boxes, 1 / 3, smoothing)
        assert (squares[:, :2] <= boxes[:, :2] + 1).all()
        assert (squares[:, 2:] >= boxes[:, 2:] - 1).all()


def test_pixels_outside_the_image_repeat_its_border() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, :40], image[:, 40:] = (10, 20, 30), (200, 100, 50)
    (crop,) = crops([image], np.array([[40, 20, 120, 100]]), size=40)
    assert (crop.transpose(1, 2, 0) == (200, 100, 50)).all()


def test_a_square_wholly_outside_still_gives_a_crop() -> None:
    crop = crops([np.full((16, 16, 3), 7, np.uint8)], np.array([[100, -90, 150, -40]]), size=32)
    assert crop.shape == (1, 3, 32, 32)
    assert (crop == 7).all()


def test_shrinking_does_not_alias() -> None:
    checkers = ((np.add.outer(np.arange(512), np.arange(512)) % 2) * 255).astype(np.uint8)
    (crop,) = crops([np.repeat(checkers[..., None], 3, axis=2)], np.array([[0, 0, 512, 512]]), size=64)
    assert np.abs(crop.astype(float) - 127.5).max() < 2


def test_a_crop_of_its_own_size_is_untouched_and_in_channel_order() -> None:
    image = np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8)
    (crop,) = crops([image], np.array([[10, 5, 42, 37]]), size=32)
    assert (crop == image[5:37, 10:42].transpose(2, 0, 1)).all()
    assert crop.flags.c_contiguous


def test_growing_is_smooth() -> None:
    ramp = np.repeat(np.arange(0, 64, 4, dtype=np.uint8)[None], 16, axis=0)
    (crop,) = crops([cv2.merge([ramp] * 3)], np.array([[0, 0, 16, 16]]), size=64)
    assert np.abs(np.diff(crop[0].astype(int), axis=1)).max() <= 2
