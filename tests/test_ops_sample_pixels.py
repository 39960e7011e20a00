"""Batches of pixels: centres, values, strata, and independence of everything but seed and step."""

import pytest
import torch

from fields import ops


def picture(height, width, channels=1, dtype=torch.float32):
    """Each pixel holds its own index, as far as the dtype reaches."""
    index = torch.arange(height * width * channels).view(height, width, channels)
    largest = {torch.uint8: 256, torch.uint16: 65536}.get(dtype)
    return (index % largest if largest else index).to(dtype)


def index_of(coords, height, width):
    x, y = (coords.double() * torch.tensor([width, height])).unbind(1)
    torch.testing.assert_close(x - x.floor(), torch.full_like(x, 0.5), rtol=0, atol=1e-3)
    torch.testing.assert_close(y - y.floor(), torch.full_like(y, 0.5), rtol=0, atol=1e-3)
    return (y.floor() * width + x.floor()).long()


@pytest.mark.kernel
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 4096), (300, 1), (37, 53)])
@pytest.mark.parametrize("count", [1, 7, 64, 1000, 5000])
def test_values_are_those_of_the_pixels_whose_centres_are_given(height, width, count):
    pixels = picture(height, width, 3)
    coords, values = ops.sample_pixels(pixels, count, seed=3, step=5)
    assert coords.shape == (count, 2) and values.shape == (count, 3)
    index = index_of(coords, height, width)
    assert torch.equal(values, pixels.view(-1, 3)[index])


@pytest.mark.parametrize(
    ("dtype", "largest"), [(torch.uint8, 255), (torch.uint16, 65535), (torch.float32, 1)]
)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_integers_come_as_fractions_of_their_largest_value(dtype, largest, channels):
    pixels = picture(20, 30, channels, dtype)
    coords, values = ops.sample_pixels(pixels, 500, seed=0, step=0)
    expected = pixels.to(torch.float64).view(-1, channels)[index_of(coords, 20, 30)] / largest
    torch.testing.assert_close(values.double(), expected, rtol=1e-6, atol=0)


@pytest.mark.kernel
@pytest.mark.parametrize("count", [10, 64, 1000])
def test_each_stratum_gives_one_pixel(count):
    height, width = 60, 50
    coords, _ = ops.sample_pixels(picture(height, width), count, seed=1, step=2)
    index = index_of(coords, height, width).double()
    sample = torch.arange(count)
    size = height * width / count
    assert (index >= (sample * size).floor() - 1).all()
    assert (index <= ((sample + 1) * size).ceil()).all()


def test_as_many_samples_as_pixels_take_every_pixel_once():
    coords, _ = ops.sample_pixels(picture(16, 32), 512, seed=9, step=4)
    assert torch.equal(index_of(coords, 16, 32), torch.arange(512))


def test_over_many_steps_every_pixel_is_as_likely():
    counts = torch.zeros(900)
    for step in range(2000):
        coords, _ = ops.sample_pixels(picture(30, 30), 90, seed=7, step=step)
        counts += torch.bincount(index_of(coords, 30, 30), minlength=900)
    assert counts.sum() == 180_000
    # 2,000 draws of one pixel in ten: mean 200, variance 180; even steadier draws would be right.
    assert ((counts - 200).square() / 180).mean() < 1.25
    assert (counts - 200).abs().max() < 5 * 180**0.5


def test_draws_of_neighbouring_samples_and_steps_are_unrelated():
    draws = []
    for step in range(200):
        coords, _ = ops.sample_pixels(picture(100, 1000), 100, seed=1, step=step)
        draws.append(index_of(coords, 100, 1000) % 1000)  # position within a stratum of 1000
    draws = torch.stack(draws).double()
    draws = (draws - draws.mean()) / draws.std()
    for a, b in ((draws[1:], draws[:-1]), (draws[:, 1:], draws[:, :-1])):
        assert (a * b).mean().abs() < 5 / a.numel() ** 0.5


def test_seed_and_step_decide_and_the_number_of_threads_does_not():
    pixels = picture(100, 100)

    def draw(seed, step):
        return ops.sample_pixels(pixels, 4000, seed, step)[0]

    first = draw(1, 1)
    assert torch.equal(first, draw(1, 1))
    assert not torch.equal(first, draw(2, 1))
    assert not torch.equal(first, draw(1, 2))
    assert not torch.equal(first, draw(1 + 2**32, 1))  # all bits of the seed count
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert torch.equal(first, draw(1, 1))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("pixels", "count", "message"),
    [
        (torch.zeros(4, 4), 3, r"\[H, W, C\]"),
        (torch.zeros(0, 4, 3), 3, "empty"),
        (torch.zeros(4, 4, 3, dtype=torch.int64), 3, "uint8, uint16 or float32"),
        (torch.zeros(4, 4, 3), 0, "count"),
    ],
)
def test_wrong_inputs_are_refused(pixels, count, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        ops.sample_pixels(pixels, count, 0, 0)


def test_the_peak_is_a_plausible_number_of_multiply_adds():
    peak = ops.fma_peak(0.02)
    assert 1e8 < peak < 1e14
