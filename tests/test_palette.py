"""Colours as rows of bytes: what of them is lost, and what is not."""

import pytest
import torch

from fields import ops
from fields.ops.bricks import ROW
from fields.palette import palette_of


def directions_of(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)


def shown(palette, rows, harmonics):
    """Colours [K, D, 3] of rows, as the kernels' documentation has them."""
    coefficients = palette.coefficients
    own = coefficients[0] + torch.einsum("kr,rch->kch", rows.float(), coefficients[1:])
    return torch.einsum("kch,dh->kdc", own, harmonics)


def made(numbers, degree, count=2000, seed=1):
    """Colours [K, D, 3] that differ in so many independent ways, and harmonics [D, degree^2]."""
    generator = torch.Generator().manual_seed(seed)
    harmonics = ops.spherical_harmonics(directions_of(60), degree)
    ways = torch.randn(numbers, 3, degree**2, generator=generator)
    mean = torch.randn(3, degree**2, generator=generator)
    each = torch.rand(count, numbers, generator=generator)
    coefficients = mean + torch.einsum("kn,nch->kch", each, ways)
    return torch.einsum("kch,dh->kdc", coefficients, harmonics), harmonics


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_as_many_ways_to_differ_as_there_are_bytes_lose_nothing_but_the_last_bit(degree):
    colours, harmonics = made(min(ROW, 3 * degree**2), degree)
    palette = palette_of(colours, harmonics)
    rows = palette.bytes(colours)
    assert rows.shape == (len(colours), ROW) and rows.dtype == torch.uint8
    off = (shown(palette, rows, harmonics) - colours).square().mean().sqrt()
    # A byte is a 255th of 1.2 times what there is, and is rounded: off by a 12th root of one.
    assert off < 0.01 * colours.std()


def test_more_ways_lose_no_more_than_the_best_16_of_all_bases_do():
    colours, harmonics = made(40, 4)
    palette = palette_of(colours, harmonics)
    off = (shown(palette, palette.bytes(colours), harmonics) - colours).square().mean()
    apart = (colours - colours.mean(0)).flatten(1).double()
    best = torch.linalg.svdvals(apart)[ROW:].square().sum() / apart.numel()
    assert best < off < 1.05 * best + 1e-4


def test_the_palette_of_a_sample_serves_what_is_like_it():
    colours, harmonics = made(10, 3, count=6000)
    palette = palette_of(colours[:2000], harmonics)
    off = (shown(palette, palette.bytes(colours[2000:]), harmonics) - colours[2000:]).abs()
    assert off.mean() < 0.01 * colours.std()


def test_a_colour_that_is_no_number_spoils_itself_alone():
    colours, harmonics = made(10, 3)
    spoilt = colours.clone()
    spoilt[7, 3, 1] = float("nan")
    palette = palette_of(spoilt, harmonics)
    rows = palette.bytes(spoilt)
    off = (shown(palette, rows, harmonics) - colours).abs()
    off[7] = 0
    assert off.mean() < 0.01 * colours.std()


def test_one_colour_and_none_are_told_as_they_are():
    harmonics = ops.spherical_harmonics(directions_of(40), 2)
    grey = torch.full((5, 40, 3), 0.25)
    palette = palette_of(grey, harmonics)
    assert (shown(palette, palette.bytes(grey), harmonics) - grey).abs().max() < 2e-3
    nothing = palette_of(grey[:0], harmonics)
    assert nothing.coefficients.isfinite().all()
    assert nothing.bytes(grey[:0]).shape == (0, ROW)
