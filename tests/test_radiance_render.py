"""Pictures of a radiance field in one op, against the field marched by plain ops."""

import threading

import pytest
import torch
from test_radiance_step import make_field, make_rays

from fields import ops
from fields.march import march

FULL = torch.full((1, 1), -1)


def render(field, origins, directions, bits, spec, **options):
    parameters = (field.table, field.density_params, field.colour_params)
    return ops.radiance_render(origins, directions, bits, spec, *parameters, field.spec, **options)


def assert_same_picture(found, seen, tolerance=2e-5):
    for actual, expected in zip(found, (seen.colour, seen.opacity, seen.depth), strict=True):
        torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.kernel
@pytest.mark.parametrize("count", [1, 255, 256, 1000])
def test_a_picture_is_what_a_march_through_the_field_sees(count):
    field, spec = make_field(), ops.MarchSpec(4, 0.02)
    origins, directions, *_ = make_rays(count)
    with torch.no_grad():
        seen = march(field, origins, directions, FULL, spec)
    found = render(field, origins, directions, FULL, spec, min_weight=0, min_transmittance=0)
    assert_same_picture(found, seen)


@pytest.mark.kernel
@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (37, 21), (3, 100)])
def test_rays_in_squares_give_the_same_picture(shape):
    field, spec = make_field(), ops.MarchSpec(4, 0.05)
    origins, directions, *_ = make_rays(shape[0] * shape[1])
    rows = render(field, origins, directions, FULL, spec)
    squares = render(field, origins, directions, FULL, spec, width=shape[1])
    for a, b in zip(rows, squares, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_what_counts_for_little_is_left_out_and_changes_little():
    field, spec = make_field(), ops.MarchSpec(4, 0.005)
    origins, directions, *_ = make_rays(500)
    exact = render(field, origins, directions, FULL, spec, min_weight=0, min_transmittance=0)
    usual = render(field, origins, directions, FULL, spec)
    for a, b in zip(exact, usual, strict=True):
        assert (a - b).abs().max() < 0.01


def test_a_moving_field_is_drawn_at_each_rays_time():
    field, spec = make_field(dim=4), ops.MarchSpec(4, 0.02)
    origins, directions, *_ = make_rays(300)
    times = torch.rand(300, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        seen = march(field, origins, directions, FULL, spec, times=times)
    limits = {"min_weight": 0, "min_transmittance": 0}
    assert_same_picture(render(field, origins, directions, FULL, spec, times=times, **limits), seen)
    outside = render(field, origins, directions, FULL, spec, times=times * 0 + 7, **limits)
    at_end = render(field, origins, directions, FULL, spec, times=times * 0 + 1, **limits)
    assert torch.equal(outside[0], at_end[0])


def test_no_rays_and_rays_that_miss():
    field, spec = make_field(), ops.MarchSpec(4)
    assert render(field, torch.zeros(0, 3), torch.zeros(0, 3), FULL, spec)[0].shape == (0, 3)
    origins, directions, *_ = make_rays(10)
    for values in render(field, origins, -directions, FULL, spec):
        assert not values.any()


def test_the_bits_do_not_depend_on_the_number_of_threads():
    field, spec = make_field(), ops.MarchSpec(4, 0.02)
    origins, directions, *_ = make_rays(2000)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(render(field, origins, directions, FULL, spec, width=50))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_cancelled_picture_stops():
    field, spec = make_field(), ops.MarchSpec(4, 0.001)
    origins, directions, *_ = make_rays(4096)
    origins, directions = origins.repeat(50, 1), directions.repeat(50, 1)
    cancel = torch.zeros(1, dtype=torch.uint8)
    timer = threading.Timer(0.05, lambda: cancel.fill_(1))
    timer.start()
    with pytest.raises(RuntimeError, match="cancelled"):
        render(field, origins, directions, FULL, spec, cancel=cancel)
    timer.join()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"directions": torch.zeros(8, 3)}, "directions must be"),
        ({"width": 5}, "9 rays do not make rows of 5"),
        ({"width": 0}, "width must be"),
        ({"times": torch.zeros(9)}, "table must have"),
        ({"cancel": torch.zeros(1)}, "cancel must be"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    origins, directions, *_ = make_rays(9)
    given = {"origins": origins, "directions": directions, "bits": FULL, "spec": ops.MarchSpec(4)}
    with pytest.raises(ValueError, match=message):
        render(make_field(), **given | change)


def test_opcheck():
    field, spec = make_field(), ops.MarchSpec(4, 0.2)
    origins, directions, *_ = make_rays(9)
    parameters = (field.table.data, field.density_params.data, field.colour_params.data)
    torch.library.opcheck(
        torch.ops.fields.radiance_render.default,
        (
            *(origins, directions, None, FULL, *spec.args(), *parameters),
            *(*field.spec.grid.args(), *field.spec.args(), 1e-4, 1e-3, 3, None),
        ),
    )
