"""Fields asked where bricks say that something is, against the same fields asked everywhere."""

import threading

import pytest
import reference_bricks
import test_radiance_render
import test_radiance_step
import test_rbf_radiance
import torch
from test_ops_bricks import STEP, make_camera, solid
from test_radiance_step import bits_of

from fields import ops
from fields.bricks import bake
from fields.models.composed import FourierRadiance

EVERYWHERE = {"min_weight": 0.0, "min_transmittance": 0.0}
FULL = torch.full((1, 1), -1)
THIN = 0.0  # log density of bricks in which each place weighs something, and none hides another


class Mlps:
    make = staticmethod(test_radiance_step.make_field)
    render = staticmethod(test_radiance_render.render)

    @staticmethod
    def see(field, bricks, camera, **options):
        parameters = (field.table, field.density_params, field.colour_params)
        return ops.radiance_in_bricks(
            bricks, *camera, *parameters, field.spec, **({"step": STEP} | options)
        )


class Gaussians:
    make = staticmethod(test_rbf_radiance.make_field)

    @staticmethod
    def render(field, origins, directions, bits, spec, **options):
        return test_rbf_radiance.render(field, origins, directions, spec, bits, **options)

    @staticmethod
    def see(field, bricks, camera, **options):
        parameters = (field.inner.table, field.inner.params)
        return ops.rbf_radiance_in_bricks(
            bricks, *camera, *parameters, field.spec, **({"step": STEP} | options)
        )


def rays_of(camera):
    pose, intrinsics, size = camera
    along = reference_bricks.pixel_directions(pose.double().numpy(), intrinsics.numpy(), size)
    directions = torch.from_numpy(along).float()
    return pose[:, 3].expand_as(directions).contiguous(), directions


def asked_everywhere(kind, field, camera, bits=FULL, **options):
    spec = ops.MarchSpec(4, STEP)
    return kind.render(field, *rays_of(camera), bits, spec, **options)


def assert_near(found, expected, share=0.01):
    """But for rays with a place within rounding of a limit."""
    assert expected[1].max() > 0.5
    for actual, wanted in zip(found, expected, strict=True):
        off = (actual - wanted).abs().reshape(len(wanted), -1).amax(1) > 2e-4
        assert off.float().mean() <= share


KINDS = pytest.mark.parametrize("kind", [Mlps, Gaussians])


@KINDS
@pytest.mark.kernel
@pytest.mark.parametrize("size", [(1, 1), (21, 17), (40, 3)])
def test_bricks_that_are_everywhere_leave_the_picture_as_it_is(kind, size):
    field, camera = kind.make(), make_camera((0.5, 0.5, 1.6), size=size)
    found = kind.see(field, solid(THIN, (1, 1, 1)), camera, caution=1.0, **EVERYWHERE)
    assert_near(found, asked_everywhere(kind, field, camera, **EVERYWHERE))


@KINDS
@pytest.mark.kernel
@pytest.mark.parametrize("limits", [(0.03, 0.0), (0.0, 0.3), (0.02, 0.1)])
def test_weights_are_the_fields_and_what_counts_for_little_is_left_out(kind, limits):
    field, camera = kind.make(), make_camera()
    limits = dict(zip(EVERYWHERE, limits, strict=True))
    found = kind.see(field, solid(THIN, (1, 1, 1)), camera, caution=1e6, **limits)
    assert_near(found, asked_everywhere(kind, field, camera, **limits), share=0.03)


@pytest.mark.kernel
def test_where_there_are_no_bricks_nothing_is_seen():
    field, camera, bricks = Mlps.make(), make_camera(), solid(THIN, (1, 1, 1))
    there = torch.rand(4, 4, 4, generator=torch.Generator().manual_seed(3)) < 0.5
    bricks.pages[0, ~there.flatten()] = -1
    found = Mlps.see(field, bricks, camera, caution=1.0, **EVERYWHERE)
    expected = asked_everywhere(Mlps, field, camera, bits_of(there[None]), **EVERYWHERE)
    assert_near(found, expected, share=0.02)


def test_what_bricks_hide_is_not_asked():
    field, camera = Mlps.make(), make_camera()
    whole = asked_everywhere(Mlps, field, camera)
    _, opacity, _ = Mlps.see(field, solid(9.0, (1, 1, 1)), camera)
    assert 0 < opacity.mean() < 0.5 * whole[1].mean()
    # What is behind counts again where bricks are trusted less.
    _, cautious, _ = Mlps.see(field, solid(2.0, (1, 1, 1)), camera, caution=1e6)
    assert (cautious - whole[1]).abs().max() < 2e-3


@pytest.mark.kernel
def test_the_bake_of_a_field_says_where_to_ask_it():
    """Every sample that weighs something is found, in bricks that were baked from the field."""
    from test_bricks import SIZE, Ball, draw, make_eyes

    ball = Ball()
    eyes = make_eyes(8, scale=1)
    bricks = bake(ball, eyes, resolution=128)
    assert bricks is not None
    field = Mlps.make()
    camera = eyes.poses[0], eyes.intrinsics[0], SIZE
    # The field of a grid is no ball, but is asked wherever the ball is.
    _, opacity, _ = Mlps.see(field, bricks, camera, step=ball.march.step, caution=1e3)
    inside = draw(bricks, eyes, 0, ball)[1] > 0.5
    assert (opacity[inside] > 0).all() and not opacity[~inside].all()


def test_no_pixels_no_bricks_and_rays_that_miss():
    field, bricks = Mlps.make(), solid(THIN, (1, 1, 1))
    pose, intrinsics, size = make_camera()
    assert Mlps.see(field, bricks, (pose, intrinsics, (0, 5)))[0].shape == (0, 3)
    away = make_camera((1.6, 1.9, 1.2), (3.0, 3.0, 3.0))
    bare = ops.Bricks(**(vars(bricks) | {"blocks": torch.full_like(bricks.blocks, -1)}))
    for seen, camera in ((bricks, away), (bare, (pose, intrinsics, size))):
        assert not any(values.any() for values in Mlps.see(field, seen, camera))


@KINDS
def test_the_bits_do_not_depend_on_the_number_of_threads(kind):
    field, bricks = kind.make(), solid(THIN, (1, 1, 1))
    camera = make_camera(size=(90, 70), focal=90.0)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(kind.see(field, bricks, camera))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_cancelled_picture_stops():
    field, bricks = Mlps.make(), solid(-9.0, (1, 1, 1))
    pose, intrinsics, _ = make_camera()
    cancel = torch.zeros(1, dtype=torch.uint8)
    timer = threading.Timer(0.02, lambda: cancel.fill_(1))
    timer.start()
    with pytest.raises(RuntimeError, match="cancelled"):
        Mlps.see(field, bricks, (pose, 200 * intrinsics, (4000, 4000)), step=1e-5, cancel=cancel,
                 **EVERYWHERE)  # fmt: skip
    timer.join()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"caution": 0.5}, "caution must be"),
        ({"step": 0.0}, "step must be"),
        ({"near": -1.0}, "near must be"),
        ({"cancel": torch.zeros(1)}, "cancel must be"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Mlps.see(Mlps.make(), solid(THIN, (1, 1, 1)), make_camera(), **change)


def test_fields_look_by_the_op_where_they_have_one():
    camera, bricks = make_camera(), solid(THIN, (1, 1, 1))
    for kind in (Mlps, Gaussians):
        field = kind.make(march_steps=64)
        found = field.look(bricks, *camera)
        expected = kind.see(field, bricks, camera, step=field.march.step)
        assert found is not None
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        assert kind.make(dim=4).look(bricks, *camera) is None
    assert FourierRadiance().look(bricks, *camera) is None


def test_opcheck():
    bricks, (pose, intrinsics, size) = solid(THIN, (1, 1, 1)), make_camera()
    view = (pose[None], intrinsics[None], *size, *bricks.args(), 0.0, STEP, 1e-3, 1e-2, 4.0)
    field, other = Mlps.make(), Gaussians.make()
    mlps = (p.detach() for p in (field.table, field.density_params, field.colour_params))
    torch.library.opcheck(
        torch.ops.fields.radiance_in_bricks.default,
        (*view, *mlps, *field.spec.grid.args(), *field.spec.args(), None),
    )
    assert other.spec is not None
    gaussians = (other.inner.table.detach(), other.inner.params.detach())
    torch.library.opcheck(
        torch.ops.fields.rbf_radiance_in_bricks.default,
        (*view, *gaussians, *other.spec.grid.args(), *other.spec.args(), None),
    )
