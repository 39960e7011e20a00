"""A picture as a signal: its values, its scores, and how it is made smaller."""

import numpy as np
import pytest
import torch
from small import picture

from fields import FieldsError
from fields.pictures import Picture, psnr
from fields.pictures.downscale import downscale
from fields.signals import ssim as ssim_module
from fields.signals.picture import PictureSignal
from fields.signals.picture_score import MOST_PSNR, score
from fields.signals.picture_space import PictureSpace

DTYPES = ["uint8", "uint16", "float16", "float32"]
CPU = torch.device("cpu")


def as_picture(**shape):
    return Picture(picture(**shape), "waves", "png")


class Oracle(torch.nn.Module):
    """A field that knows the picture: the value of the nearest pixel, with an error added."""

    def __init__(self, signal, error=0.0):
        super().__init__()
        space = signal.space
        pixels = signal.picture.pixels
        values = space.to_values(pixels) if space.is_hdr else pixels / np.iinfo(pixels.dtype).max
        self.values = torch.from_numpy(np.asarray(values, np.float32)) + error

    def forward(self, coords):
        height, width, _ = self.values.shape
        x = (coords[:, 0] * width).long().clamp(0, width - 1)
        y = (coords[:, 1] * height).long().clamp(0, height - 1)
        return self.values[y, x]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_batches_hold_the_values_at_their_coordinates(dtype, channels):
    signal = PictureSignal(as_picture(channels=channels, dtype=dtype), CPU)
    coords, values = signal.batch(500, 3, 7)
    assert coords.shape == (500, 2) and values.shape == (500, channels)
    assert torch.allclose(Oracle(signal)(coords), values, atol=1e-7)
    again = signal.batch(500, 3, 7)
    assert torch.equal(again[0], coords) and torch.equal(again[1], values)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_score_of_a_field_is_that_of_the_picture_it_draws(dtype, channels):
    signal = PictureSignal(as_picture(channels=channels, dtype=dtype), CPU)
    assert signal.score(Oracle(signal)) > 60
    field = Oracle(signal, error=0.02)
    values = field.values.numpy()
    drawn = signal.space.to_pixels(values)
    assert signal.score(field) == pytest.approx(psnr(signal.picture, drawn), abs=1e-9)
    assert drawn.dtype == dtype and score(signal.picture, drawn)["psnr"] < 45


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sampled_score_is_the_score_and_of_few_pixels_close_to_it(dtype, channels, monkeypatch):
    signal = PictureSignal(as_picture(channels=channels, dtype=dtype), CPU)
    field = Oracle(signal, error=0.02)
    field.values += 0.02 * torch.randn(field.values.shape)
    assert signal.sampled_score(field) == pytest.approx(signal.score(field), abs=1e-3)
    monkeypatch.setattr("fields.signals.picture.SAMPLED_PIXELS", 1200)
    assert signal.sampled_score(field) == pytest.approx(signal.score(field), abs=0.8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pixels_survive_the_way_to_values_and_back(dtype):
    original = as_picture(channels=4, dtype=dtype)
    signal = PictureSignal(original, CPU)
    back = signal.space.to_pixels(Oracle(signal).values.numpy())
    if signal.space.is_hdr:
        assert np.allclose(back[..., :3], original.pixels[..., :3], rtol=1e-3)
    else:
        assert np.array_equal(back, original.pixels)
    assert PictureSpace.from_dict(signal.describe()) == signal.space


def test_values_beyond_what_half_floats_hold_stay_finite():
    space = PictureSignal(as_picture(dtype="float16"), CPU).space
    assert np.isfinite(space.to_pixels(np.full((1, 1, 3), 99, np.float32))).all()


@pytest.mark.parametrize("changes", [{"channels": 5}, {"dtype": "object"}, {"width": 0},
                                     {"relative": [1.0, 2.0]}, {"width": "x"}])  # fmt: skip
def test_a_description_of_no_picture_is_refused(changes):
    described = PictureSignal(as_picture(), CPU).describe()
    with pytest.raises(FieldsError, match="describes no picture"):
        PictureSpace.from_dict({**described, **changes})


def test_the_fingerprint_tells_pictures_apart():
    one = as_picture()
    same = PictureSignal(as_picture(), CPU).fingerprint()
    assert PictureSignal(one, CPU).fingerprint() == same
    pixels = one.pixels.copy()
    pixels[-1, -1, -1] ^= 1
    for other in (pixels, one.pixels.transpose(1, 0, 2), one.pixels[:, :, :1]):
        assert PictureSignal(Picture(other, "waves", "png"), CPU).fingerprint() != same


@pytest.mark.parametrize("shape", [(64, 48, 3), (6, 6, 1), (7, 90, 4), (150, 33, 2)])
@pytest.mark.parametrize("band", [1, 2000, 1 << 17])
def test_ssim_is_that_of_torchmetrics_for_any_bands(shape, band, monkeypatch):
    functional = pytest.importorskip("torchmetrics.functional.image")
    monkeypatch.setattr(ssim_module, "BAND_VALUES", band)
    torch.manual_seed(0)
    a = torch.rand(shape)
    b = (a + 0.1 * torch.randn(shape)).clamp(0, 1)
    ours = ssim_module.ssim(lambda s, e: a[s:e], lambda s, e: b[s:e], *shape)
    x, y = (t.permute(2, 0, 1).unsqueeze(0) for t in (b, a))
    theirs = functional.structural_similarity_index_measure(x, y, data_range=1.0)
    assert ours == pytest.approx(theirs.item(), abs=2e-6)


def test_a_perfect_picture_has_a_score_that_json_can_hold():
    original = as_picture()
    assert score(original, original.pixels) == {"psnr": MOST_PSNR, "ssim": 1.0}
    strip = as_picture(height=1, width=4096)
    assert score(strip, strip.pixels)["ssim"] is None


def test_a_picture_of_another_shape_or_kind_has_no_score():
    original = as_picture()
    for other in (original.pixels[:-1], original.pixels.astype(np.uint16)):
        with pytest.raises(FieldsError, match="name a picture of that size"):
            score(original, other)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [1, 2, 3, 7, 56])
def test_downscale_takes_the_mean_of_each_block(dtype, factor):
    original = as_picture(height=30, width=56, channels=3, dtype=dtype)
    small = downscale(original, factor).pixels
    assert small.dtype == original.pixels.dtype
    assert small.shape == (-(-30 // factor), -(-56 // factor), 3)
    blocks = original.pixels.astype(np.float64)
    for y, x in ((0, 0), (small.shape[0] - 1, small.shape[1] - 1)):
        part = blocks[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor]
        tolerance = 0.51 if np.dtype(dtype).kind == "u" else 1e-3 * part.max()
        assert np.allclose(small[y, x], part.mean((0, 1)), atol=tolerance)


def test_downscale_weights_colours_by_alpha():
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (200, 100, 50, 255)
    pixels[1, 1] = (255, 255, 255, 0)
    assert downscale(Picture(pixels, "a", "png"), 2).pixels.tolist() == [[[200, 100, 50, 64]]]
    pixels[..., 3] = 0
    assert downscale(Picture(pixels, "a", "png"), 2).pixels[0, 0, 3] == 0


def test_downscale_by_more_than_the_picture_is_refused():
    for factor in (0, 57):
        with pytest.raises(FieldsError, match="--downscale"):
            downscale(as_picture(height=30, width=56), factor)
