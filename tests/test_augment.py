"""Every transform equals torchvision v2 with the same parameters, and draws as it does."""

from collections.abc import Callable
from itertools import permutations

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, kstest
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from dfdc_lightning.augment import (
    Augment,
    Box,
    Colour,
    ColourJitter,
    GaussianBlur,
    HorizontalFlip,
    Jpeg,
    RandomErasing,
    RandomResizedCrop,
    Transform,
    generator,
)
from dfdc_lightning.errors import UserError

SIZE = 224
N = 400


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    """Something like a face: smooth regions, edges, grain, and pixels at both ends of the scale."""
    rng = np.random.default_rng(0)
    image = np.full((SIZE, SIZE, 3), (60, 90, 140), np.uint8)
    cv2.ellipse(image, (112, 112), (70, 90), 0, 0, 360, (210, 160, 130), -1)
    cv2.ellipse(image, (112, 160), (30, 10), 0, 0, 360, (255, 255, 255), -1)
    cv2.circle(image, (85, 90), 10, (0, 0, 0), -1)
    noise = cv2.GaussianBlur(rng.normal(0, 25, image.shape), (0, 0), 1.5)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def planes(frame: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)))


def assert_close(ours: np.ndarray, theirs: torch.Tensor, most: float = 2.0) -> None:
    difference = (planes(ours).float() - theirs.float()).abs().mean().item()
    assert difference <= most, f"mean difference {difference:.2f} of 255"


def test_flip_equals_torchvision(frame: np.ndarray) -> None:
    assert_close(HorizontalFlip(0.5).apply(frame, True), reference.horizontal_flip(planes(frame)), 0)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 0.8, 1.5])
def test_blur_equals_torchvision(frame: np.ndarray, sigma: float) -> None:
    ours = GaussianBlur(3, (0.1, 1.5)).apply(frame, sigma)
    assert_close(ours, reference.gaussian_blur(planes(frame), [3, 3], [sigma, sigma]), 0.1)


@pytest.mark.parametrize("factors", [(0.9, 1.1, 0.9), (1.1, 1.1, 1.1), (1.1, 0.9, 1.1), (0.9, 0.9, 0.9)])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_colour_jitter_equals_torchvision_in_every_order(
    frame: np.ndarray, factors: tuple[float, float, float], order: tuple[int, ...]
) -> None:
    theirs = planes(frame)
    steps = (reference.adjust_brightness, reference.adjust_contrast, reference.adjust_saturation)
    for index in order:
        theirs = steps[index](theirs, factors[index])
    assert_close(ColourJitter(0.1, 0.1, 0.1).apply(frame, Colour(*factors)), theirs)


@pytest.mark.parametrize("box", [Box(3, 17, 205, 198), Box(0, 0, 224, 224), Box(20, 0, 201, 215)])
def test_crop_equals_torchvision(frame: np.ndarray, box: Box) -> None:
    ours = RandomResizedCrop(SIZE, (0.8, 1.0), (0.9, 1.1)).apply(frame, box)
    assert_close(ours, reference.resized_crop(planes(frame), *box, [SIZE, SIZE], antialias=True), 0.6)


def test_a_crop_that_shrinks_equals_torchvision(frame: np.ndarray) -> None:
    box = Box(3, 17, 205, 198)
    ours = RandomResizedCrop(96, (0.8, 1.0), (0.9, 1.1)).apply(frame, box)
    assert_close(ours, reference.resized_crop(planes(frame), *box, [96, 96], antialias=True))


def test_a_crop_without_size_keeps_the_size_of_the_faces(frame: np.ndarray) -> None:
    assert (
        RandomResizedCrop(None, (0.8, 1.0), (0.9, 1.1)).apply(frame, Box(3, 17, 205, 198)).shape
        == frame.shape
    )


@pytest.mark.filterwarnings("ignore:The image decoding and encoding:DeprecationWarning")  # the reference only
@pytest.mark.parametrize("quality", [10, 30, 50])
def test_jpeg_equals_torchvision(frame: np.ndarray, quality: int) -> None:
    ours = Jpeg((10, 50)).apply(frame, quality)
    assert_close(ours, reference.jpeg(planes(frame), quality), 1)
    assert np.abs(ours.astype(int) - frame).mean() > 1  # it does something


def test_erasing_equals_torchvision(frame: np.ndarray) -> None:
    ours = RandomErasing(0.7, (0.02, 0.1), (0.3, 3.3)).apply(frame.copy(), Box(20, 30, 40, 50))
    assert_close(
        ours, reference.erase(planes(frame), 20, 30, 40, 50, torch.zeros(3, 1, 1, dtype=torch.uint8)), 0
    )


def draws(transform: object, n: int = N) -> list:
    rng = np.random.default_rng(1)
    return [transform.draw(rng, SIZE, SIZE) for _ in range(n)]


def theirs(transform: v2.Transform, n: int = N) -> list[dict]:
    torch.manual_seed(1)
    image = [torch.empty(3, SIZE, SIZE)]
    return [transform.make_params(image) for _ in range(n)]


def test_a_flip_and_an_erasing_happen_as_often_as_written() -> None:
    flips = sum(params is not None for params in draws(HorizontalFlip(0.5), 4000))
    erasings = sum(params is not None for params in draws(RandomErasing(0.7, (0.02, 0.1), (0.3, 3.3)), 4000))
    assert flips / 4000 == pytest.approx(0.5, abs=0.03)
    assert erasings / 4000 == pytest.approx(0.7, abs=0.03)


def test_blur_and_colours_are_uniform_over_their_range() -> None:
    sigmas = draws(GaussianBlur(3, (0.1, 1.5)))
    colours = np.array(draws(ColourJitter(0.1, 0.1, 0.1)))
    assert kstest(sigmas, "uniform", (0.1, 1.4)).pvalue > 0.01
    for factors in colours.T:
        assert kstest(factors, "uniform", (0.9, 0.2)).pvalue > 0.01
    assert np.abs(np.corrcoef(colours.T) - np.eye(3)).max() < 0.15


def test_jpeg_qualities_are_uniform_with_both_ends() -> None:
    qualities = draws(Jpeg((10, 50)), 4000)
    counts = np.bincount(qualities, minlength=51)
    assert min(qualities) == 10
    assert max(qualities) == 50
    assert counts[10:].min() > 50


def test_crops_are_drawn_as_torchvision_draws_them() -> None:
    ours = np.array(draws(RandomResizedCrop(SIZE, (0.8, 1.0), (0.9, 1.1))))
    other = theirs(v2.RandomResizedCrop(SIZE, (0.8, 1.0), (0.9, 1.1)))
    for column, name in enumerate(("top", "left", "height", "width")):
        assert ks_2samp(ours[:, column], [params[name] for params in other]).pvalue > 0.01, name


def test_erasings_are_drawn_as_torchvision_draws_them() -> None:
    ours = np.array(draws(RandomErasing(1.0, (0.02, 0.1), (0.3, 3.3))))
    other = theirs(v2.RandomErasing(1.0, (0.02, 0.1), (0.3, 3.3)))
    for column, name in enumerate(("i", "j", "h", "w")):
        assert ks_2samp(ours[:, column], [params[name] for params in other]).pvalue > 0.01, name
    area = ours[:, 2] * ours[:, 3] / SIZE**2
    assert 0.018 < area.min() < 0.03
    assert 0.09 < area.max() < 0.102


def test_boxes_always_lie_inside() -> None:
    rng = np.random.default_rng(0)
    for transform in (
        RandomResizedCrop(None, (0.8, 1.0), (0.9, 1.1)),
        RandomErasing(1.0, (0.02, 0.1), (0.3, 3.3)),
    ):
        for _ in range(N):
            height, width = (int(v) for v in rng.integers(8, 300, 2))
            box = transform.draw(rng, height, width)
            if box is not None:
                assert 0 <= box.top <= box.top + box.height <= height
                assert 0 <= box.left <= box.left + box.width <= width
                assert min(box.height, box.width) > 0


@pytest.fixture
def recipe() -> Augment:
    return Augment(
        flip=HorizontalFlip(0.5),
        blur=GaussianBlur(3, (0.1, 1.5)),
        colour=ColourJitter(0.1, 0.1, 0.1),
        crop=RandomResizedCrop(None, (0.8, 1.0), (0.9, 1.1)),
        jpeg=None,
        erase=RandomErasing(0.7, (0.02, 0.1), (0.3, 3.3)),
    )


def test_all_frames_of_a_clip_get_the_same_parameters(frame: np.ndarray, recipe: Augment) -> None:
    still = np.stack([frame.transpose(2, 0, 1)] * 5)
    for seed in range(10):
        augmented = recipe(still, [seed])
        assert all(np.array_equal(augmented[0], other) for other in augmented[1:])


def test_frames_stay_in_the_order_of_time(recipe: Augment) -> None:
    greys = np.arange(20, 220, 20, dtype=np.uint8)
    clip = np.broadcast_to(greys[:, None, None, None], (10, 3, 48, 48)).copy()
    for seed in range(5):
        means = recipe(clip, [seed]).reshape(10, -1).mean(1)
        assert (np.diff(means) > 0).all()


def test_a_clip_follows_from_its_seeds_and_its_source_stays_untouched(
    frame: np.ndarray, recipe: Augment
) -> None:
    clip = np.stack([frame.transpose(2, 0, 1), frame.transpose(2, 1, 0)])
    before = clip.copy()
    once, again, other = (recipe(clip, [seed]) for seed in (1, 1, 2))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    assert np.array_equal(clip, before)
    assert once.shape == clip.shape


def test_a_step_more_or_less_changes_no_other_draw(recipe: Augment) -> None:
    drawn: dict[str, list[object]] = {}

    class Noted:
        def __init__(self, name: str, step: Transform) -> None:
            self.name, self.step = name, step

        def draw(self, rng: np.random.Generator, height: int, width: int) -> object:
            drawn.setdefault(self.name, []).append(params := self.step.draw(rng, height, width))
            return params

        def apply(self, frame: np.ndarray, params: object) -> np.ndarray:
            return self.step.apply(frame, params)

    clip = np.full((2, 3, SIZE, SIZE), 128, np.uint8)
    noted = {name: Noted(name, step) for name, step in recipe.steps.items()}
    for seed in range(20):
        for steps in (
            noted,
            {"jpeg": Jpeg((10, 50)), **noted},
            {name: step for name, step in noted.items() if name != "flip"} | {"flip": None},
        ):
            Augment(**steps)(clip, [seed])
    for name, params in drawn.items():
        if name != "flip":
            assert params[::3] == params[1::3] == params[2::3]
            assert len({str(each) for each in params}) > 10  # and clips differ


def test_two_steps_of_one_kind_draw_for_themselves() -> None:
    assert generator([1, 2], "first").random() != generator([1, 2], "second").random()
    assert generator([1, 2], "first").random() == generator([1, 2], "first").random()


def test_the_whole_recipe_equals_torchvision_step_by_step(frame: np.ndarray, recipe: Augment) -> None:
    clip = frame.transpose(2, 0, 1)[None]
    for seed in range(8):
        ours = recipe(clip, [seed])[0]
        flip, sigma, colour, crop, erase = (
            step.draw(generator([seed], name), SIZE, SIZE) for name, step in recipe.steps.items()
        )
        image = planes(frame)
        steps: list[tuple[object, Callable]] = [
            (flip, lambda x: reference.horizontal_flip(x)),
            (sigma, lambda x, s=sigma: reference.gaussian_blur(x, [3, 3], [s, s])),
            (colour, lambda x, c=colour: reference.adjust_brightness(x, c.brightness)),
            (colour, lambda x, c=colour: reference.adjust_contrast(x, c.contrast)),
            (colour, lambda x, c=colour: reference.adjust_saturation(x, c.saturation)),
            (crop, lambda x, b=crop: reference.resized_crop(x, *b, [SIZE, SIZE], antialias=True)),
            (erase, lambda x, b=erase: reference.erase(x, *b, torch.zeros(3, 1, 1, dtype=torch.uint8))),
        ]
        for params, step in steps:
            image = step(image) if params is not None else image
        assert (torch.from_numpy(ours.copy()).float() - image.float()).abs().mean() <= 2


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: HorizontalFlip(2.0), r"p must be .* 1 \(got 2.0\)"),
        (lambda: GaussianBlur(4, (0.1, 1.5)), r"kernel must be an odd .*\(got 4\)"),
        (lambda: GaussianBlur(3, (1.5, 0.1)), "sigma must be two numbers above 0, the lower one first"),
        (lambda: ColourJitter(0.1, -0.1, 0.1), "contrast must be"),
        (lambda: RandomResizedCrop(None, (0.8, 1.2), (0.9, 1.1)), "scale must be .* at most 1"),
        (lambda: RandomErasing(0.7, (0.02, 0.1), (0.3,)), "ratio must be"),
        (lambda: Jpeg((10, 200)), "quality must be"),
    ],
)
def test_an_impossible_setting_is_named_before_anything_is_drawn(
    make: Callable[[], object], named: str
) -> None:
    with pytest.raises(UserError, match=f"^{named}"):
        make()


def test_no_transforms_leave_a_clip_as_it_is(frame: np.ndarray) -> None:
    clip = np.stack([frame.transpose(2, 0, 1)] * 2)
    for recipe in (Augment(), Augment(jpeg=None)):
        assert np.array_equal(recipe(clip, [0]), clip)


def test_a_flip_comes_as_often_as_its_probability_says() -> None:
    rng = np.random.default_rng(0)
    flips = [sum(bool(HorizontalFlip(p).draw(rng, 8, 8)) for _ in range(400)) for p in (0.0, 0.2, 1.0)]
    assert flips[0] == 0 and flips[2] == 400 and 50 < flips[1] < 110


def test_an_erasing_never_reaches_from_edge_to_edge() -> None:
    assert RandomErasing(1, (1, 1), (1, 1)).draw(np.random.default_rng(0), 8, 8) is None
