"""PSNR against closed forms, and the two curves for HDR against their formulas."""

import math

import numpy as np
import pytest

from fields.pictures import (
    DisplayCurve,
    Picture,
    PictureScore,
    RelativeSpace,
    display_curve,
    psnr,
    read_picture,
    relative_space,
)


def picture(pixels):
    return Picture(np.ascontiguousarray(pixels), "p", "png")


def flat(*values, dtype=np.uint8, height=4, width=5):
    return np.tile(np.array(values, dtype), (height, width, 1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("error", [1, 2, 17])
def test_a_constant_error_gives_twenty_log_of_its_share(dtype, error):
    top = np.iinfo(dtype).max
    original = picture(flat(100, 50, 200, dtype=dtype))
    expected = 20 * math.log10(top / error)
    assert psnr(original, original.pixels + dtype(error)) == pytest.approx(expected, rel=1e-5)
    floats = (original.pixels + dtype(error)).astype(np.float32) / np.float32(top)
    assert psnr(original, floats) == pytest.approx(expected, rel=1e-5)


def test_an_estimate_is_rounded_to_the_depth_and_clamped_before_it_is_scored():
    original = picture(flat(100, 0, 255))
    near = original.pixels / np.float32(255) + np.float32(0.49 / 255)
    assert psnr(original, near) == math.inf
    assert psnr(original, flat(100 / 255, -3, 7, dtype=np.float32)) == math.inf
    sixteen = picture(flat(25700, 0, 65535, dtype=np.uint16))
    assert psnr(sixteen, near) < 57


def test_the_whole_error_is_zero_decibels():
    assert psnr(picture(flat(0, 0, 0)), flat(255, 255, 255)) == pytest.approx(0)


def test_opaque_alpha_changes_nothing():
    rgb, estimate = flat(10, 20, 30), flat(13, 20, 37)
    alpha = flat(255)
    whole = psnr(picture(np.dstack([rgb, alpha])), np.dstack([estimate, alpha]))
    assert whole == pytest.approx(psnr(picture(rgb), estimate), rel=1e-6)


def test_a_colour_under_no_alpha_costs_nothing():
    assert psnr(picture(flat(10, 20, 30, 0)), flat(200, 100, 0, 0)) == math.inf


@pytest.mark.parametrize("colours", [1, 3])
def test_alpha_is_scored_over_black_and_over_white_and_averaged(colours):
    original = picture(flat(*[255] * colours, 255))
    estimate = flat(*[255] * colours, 0)  # white that is not there: seen over black alone
    assert psnr(original, estimate) == pytest.approx(-10 * math.log10((1 + 0) / 2))
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 9, 7, colours + 1)).astype(np.uint8)
    errors = []
    for backdrop in (0, 1):
        seen = [
            x[:, :, :-1] / 255 * (x[:, :, -1:] / 255) + backdrop * (1 - x[:, :, -1:] / 255)
            for x in (a, b)
        ]
        errors.append(np.mean((seen[0] - seen[1]) ** 2))
    expected = -10 * math.log10(np.mean(errors))
    assert psnr(picture(a), b) == pytest.approx(expected, rel=1e-5)


def test_bands_add_up_to_the_whole_in_any_order():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 40, 7, 3)).astype(np.uint8)
    score = PictureScore(picture(a))
    assert math.isnan(score.mse) and math.isnan(score.psnr)
    for top, bottom in ((13, 40), (0, 1), (1, 13)):
        score.add(top, b[top:bottom])
    assert score.psnr == pytest.approx(psnr(picture(a), b), rel=1e-12)


@pytest.mark.parametrize(("top", "shape"), [(0, (2, 5, 4)), (3, (2, 5, 3)), (-1, (1, 5, 3))])
def test_a_band_that_does_not_fit_is_refused(top, shape):
    with pytest.raises(ValueError, match="the band at row"):
        PictureScore(picture(flat(1, 2, 3))).add(top, np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="estimate must be"):
        psnr(picture(flat(1, 2, 3)), np.zeros((1, 5, 3), np.uint8))


def test_psnr_agrees_with_scikit_image_on_a_photo():
    metrics = pytest.importorskip("skimage.metrics")
    original = read_picture("astronaut")
    noise = np.random.default_rng(0).normal(0, 9, original.pixels.shape)
    estimate = np.clip(original.pixels + noise, 0, 255).astype(np.uint8)
    expected = metrics.peak_signal_noise_ratio(original.pixels, estimate)
    assert psnr(original, estimate) == pytest.approx(expected, rel=1e-6)


# HDR

LIGHT = np.exp(np.random.default_rng(0).normal(0, 3, (30, 20, 3))).astype(np.float32)


def test_hdr_is_scored_on_reinhards_curve_and_srgb():
    estimate = LIGHT * np.float32(1.05)

    def curve(v):
        light = 0.18 / np.exp(np.mean(np.log(LIGHT.astype(np.float64)))) * v.astype(np.float64)
        seen = light / (1 + light)
        return np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)

    expected = -10 * math.log10(np.mean((curve(LIGHT) - curve(estimate)) ** 2))
    assert psnr(picture(LIGHT), estimate) == pytest.approx(expected, rel=1e-4)


def test_hdr_scores_do_not_depend_on_the_exposure():
    estimate = LIGHT * np.float32(1.1)
    for exposure in (1e-3, 1e3):
        scaled = psnr(picture(LIGHT * np.float32(exposure)), estimate * np.float32(exposure))
        assert scaled == pytest.approx(psnr(picture(LIGHT), estimate), rel=1e-4)


def test_the_display_curve_shows_the_key_as_middle_grey_and_clips_nothing():
    curve = DisplayCurve(2.0)
    assert curve.encode(np.float32(2.0)) == pytest.approx(0.42695, abs=1e-5)  # sRGB of 0.18/1.18
    values = np.geomspace(1e-6, 1e6, 200).astype(np.float32)
    shown = curve.encode(values)
    assert (np.diff(shown) >= 0).all() and shown[0] >= 0 and shown[-1] <= 1
    assert curve.encode(np.float32(-5)) == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_relative_space_is_inverted(dtype):
    values = LIGHT.astype(dtype)
    values[::2] *= -1
    values[0, 0] = 0
    space = relative_space(values)
    encoded = space.encode(values)
    assert encoded.dtype == np.float32 and np.abs(encoded).max() == pytest.approx(1, abs=1e-6)
    back = space.decode(encoded)
    assert (back[0, 0] == 0).all()
    np.testing.assert_allclose(back, values.astype(np.float32), rtol=4e-6, atol=space.scale * 1e-6)
    if dtype == np.float16:
        np.testing.assert_array_equal(back.astype(np.float16), values)


def test_an_error_in_the_relative_space_is_relative_to_the_light():
    space = RelativeSpace(scale=0.01, span=7.0)
    for value in (0.0, 1e-3, 1.0, 10.0):
        step = 1e-3
        error = space.decode(space.encode(np.float32(value)) + step) - value
        assert error == pytest.approx(step * space.span * (space.scale + value), rel=0.01)


def test_a_wild_value_does_not_overflow():
    space = relative_space(LIGHT)
    wild = space.decode(np.array([1e9, -1e9, np.inf], np.float32))
    assert np.isfinite(wild).all()
    np.testing.assert_allclose(np.abs(wild), 4 * LIGHT.max(), rtol=0.01)


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-30, 6e4])
def test_pictures_of_one_value_have_curves_too(value):
    pixels = np.full((3, 3, 3), value, np.float32)
    space, curve = relative_space(pixels), display_curve(pixels)
    assert space.display_curve().key == pytest.approx(curve.key, rel=1e-12)
    assert space.scale > 0 and space.span > 0 and np.isfinite(curve.encode(pixels)).all()
    np.testing.assert_allclose(space.decode(space.encode(pixels)), pixels, rtol=1e-5)


def test_alpha_and_the_dust_of_renderers_do_not_move_the_key():
    rgba = np.dstack([LIGHT, np.full((30, 20), 1e-3, np.float32)])
    assert display_curve(rgba) == display_curve(LIGHT)
    dusty = np.concatenate([LIGHT, np.full((5, 20, 3), 1e-40, np.float32)])
    assert display_curve(dusty).key == pytest.approx(display_curve(LIGHT).key, rel=1e-6)


def test_hdr_alpha_is_scored_over_black_and_white():
    opaque = np.dstack([LIGHT, np.ones((30, 20), np.float32)])
    other = np.dstack([LIGHT * np.float32(1.2), np.ones((30, 20), np.float32)])
    assert psnr(picture(opaque), other) == pytest.approx(
        psnr(picture(LIGHT), LIGHT * np.float32(1.2)), rel=1e-6
    )
    assert psnr(picture(opaque), opaque) == math.inf
