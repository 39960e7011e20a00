"""Pictures of what is seen, as bytes."""

import pytest
import torch

from fields import ops


def seen(count=5001, seed=0):
    generator = torch.Generator().manual_seed(seed)
    opacity = torch.rand(count, generator=generator)
    return torch.rand(count, 3, generator=generator) * opacity[:, None], opacity


@pytest.mark.kernel
@pytest.mark.parametrize("count", [0, 1, 5001, 20_000])
def test_bytes_are_those_of_the_formula(count):
    colours, opacity = seen(count)
    background = torch.tensor([0.2, 1.0, 0.0])
    found = ops.paint(colours, opacity, background)
    exact = 255 * (colours.double() + (1 - opacity.double())[:, None] * background)
    assert found.dtype == torch.uint8 and found.shape == (count, 3)
    assert not count or (found - exact).abs().max() < 0.5 + 1e-4


@pytest.mark.kernel
def test_what_is_out_of_range_is_held_and_nan_is_black():
    colours = torch.tensor([[2.0, -1.0, float("nan")], [float("inf"), -float("inf"), 0.5]])
    found = ops.paint(colours, torch.ones(2), torch.zeros(3))
    assert found.tolist() == [[255, 0, 0], [255, 0, 128]]


def test_other_dtypes_are_painted_alike():
    colours, opacity = seen()
    background = torch.ones(3)
    doubled = ops.paint(colours.double(), opacity.double(), background.double())
    assert (doubled.int() - ops.paint(colours, opacity, background)).abs().max() <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colours": torch.zeros(4, 2)}, "colours must be"),
        ({"opacity": torch.zeros(4, 1)}, "opacity must be"),
        ({"background": torch.zeros(4)}, "background must be"),
        ({"opacity": torch.zeros(4).double()}, "opacity"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {"colours": torch.zeros(4, 3), "opacity": torch.zeros(4), "background": torch.zeros(3)}
    with pytest.raises(ValueError, match=message):
        ops.paint(**(given | change))


def test_opcheck():
    torch.library.opcheck(torch.ops.fields.paint.default, (*seen(40), torch.ones(3)))
