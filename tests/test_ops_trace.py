"""Rays walked to a surface in one op, against the walk in torch and against closed forms."""

import functools
import threading

import pytest
import torch
from traced import GRID, ball, exact, fitted, picture, ring, scattered, values_of

import fields
from fields import ops
from fields.tracing import Tracer

CENTRE = torch.tensor([[0.5, 0.5, 0.5]])
TARGETS = {
    "ball": ball,
    "ring": ring,
    "open": lambda p: ball(p).abs(),
    "truncated": lambda p: ring(p).clamp(-0.05, 0.05),
}


@functools.cache
def made(target, model="hashgrid"):
    return fitted(TARGETS[target], model)


def check_same(tracer, found, origins, directions, grazing=0.015):
    """Hits and normals are those of the walk in torch, but for few rays along the surface."""
    t, normals = found
    wanted = tracer.hits(origins.expand_as(directions), directions)
    assert wanted.isfinite().sum() > 100 and t.shape == wanted.shape
    assert (t.isfinite() == wanted.isfinite()).float().mean() >= 1 - grazing
    both = t.isfinite() & wanted.isfinite()
    error = (t - wanted)[both].abs()
    assert error.median() < tracer.near / 2
    assert (error < 10 * tracer.near).float().mean() >= 1 - grazing
    points = (origins + (t[:, None] - tracer.back) * directions)[both]
    torch.testing.assert_close(normals[both], tracer.normals(points), atol=2e-3, rtol=0)
    assert not normals[t.isinf()].any()


@pytest.mark.kernel
@pytest.mark.parametrize("model", ["hashgrid", "rbf"])
@pytest.mark.parametrize("target", ["ball", "ring", "truncated"])
@pytest.mark.parametrize("in_picture", [True, False])
def test_rays_meet_a_field_where_the_walk_in_torch_does(target, model, in_picture):
    field = made(target, model)
    origins, directions = picture()
    width = 48 if in_picture else None
    found = field.trace(origins, directions, ops.TraceSpec(), width=width)
    check_same(Tracer(values_of(field)), found, origins, directions)


@pytest.mark.kernel
def test_rays_meet_an_open_surface_and_its_normals_are_taken_before_it():
    field = made("open")
    settings = {"near": 1e-2, "least": 5e-4, "back": 2e-2}
    origins, directions = picture()
    found = field.trace(origins, directions, ops.TraceSpec(**settings), width=48)
    check_same(Tracer(values_of(field), **settings), found, origins, directions, grazing=0.03)


@pytest.mark.kernel
def test_another_level_within_a_box():
    field = made("ball")
    box = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.6, 1.0]])
    origins, directions = picture()
    spec = ops.TraceSpec(level=0.05)
    found = field.trace(origins, directions, spec, box=box, width=48)
    tracer = Tracer(values_of(field), box=box, level=0.05)
    check_same(tracer, found, origins, directions)
    whole = field.trace(origins, directions, ops.TraceSpec())[0]
    assert (whole > found[0]).sum() > 100


def test_rays_meet_a_ball_where_they_do():
    origins, directions = scattered()
    t, normals = made("ball").trace(origins, directions, ops.TraceSpec())
    wanted = exact(origins, directions)
    both = t.isfinite() & wanted.isfinite()
    assert both.sum() > 300 and (t.isfinite() == wanted.isfinite()).float().mean() > 0.97
    assert (t - wanted)[both].abs().median() < 5e-3
    outward = torch.nn.functional.normalize(origins + t[:, None] * directions - CENTRE, dim=1)
    assert (normals * outward)[both].sum(1).median() > 0.98


def test_one_origin_stands_for_all_and_normals_are_left_out_on_request():
    origins, directions = picture()
    field = made("ring")
    one = field.trace(origins, directions, ops.TraceSpec(), width=48)
    each = field.trace(origins.expand_as(directions), directions, ops.TraceSpec(), width=48)
    assert all(torch.equal(a, b) for a, b in zip(one, each, strict=True))
    t, normals = field.trace(origins, directions, ops.TraceSpec(offset=0.0), width=48)
    assert torch.equal(t, one[0]) and normals.shape == (0, 3)


@pytest.mark.kernel
@pytest.mark.parametrize("width", [1, 60, 48, 240])
def test_cones_lose_no_ray_in_pictures_of_any_shape(width):
    origins, directions = picture()
    field = made("ring")
    alone = field.trace(origins, directions, ops.TraceSpec())[0]
    for order in (torch.arange(len(directions)), torch.randperm(len(directions))):
        t = field.trace(origins, directions[order], ops.TraceSpec(), width=width)[0]
        assert (t.isfinite() == alone[order].isfinite()).float().mean() > 0.995
        both = t.isfinite() & alone[order].isfinite()
        assert ((t - alone[order])[both].abs() < 2e-3).float().mean() > 0.995


def test_rays_from_inside_end_where_they_begin_and_those_beside_the_cube_meet_nothing():
    field = made("ball")
    along = torch.nn.functional.normalize(torch.randn(100, 3), dim=1)
    t, _ = field.trace(CENTRE, along, ops.TraceSpec(), width=10)
    assert not t.any()
    t, normals = field.trace(CENTRE + 2, along.abs(), ops.TraceSpec(), width=10)
    assert t.isinf().all() and not normals.any()
    axis = torch.tensor([[0.0, 0.0, -1.0]])  # directions of zero along two axes
    assert field.trace(CENTRE - axis, axis, ops.TraceSpec())[0].item() == pytest.approx(
        0.7, abs=0.02
    )


def test_rays_along_a_surface_are_given_up():
    field = made("ball")
    origins = torch.stack(
        [torch.full((50,), 0.81), torch.linspace(0.3, 0.7, 50), torch.zeros(50)], 1
    )
    directions = torch.tensor([[0.0, 0.0, 1.0]]).expand(50, 3)
    enough = field.trace(origins, directions, ops.TraceSpec(near=1e-5))[0]
    few = field.trace(origins, directions, ops.TraceSpec(near=1e-5, most=1))[0]
    assert few.isinf().all() and enough.shape == (50,)


@pytest.mark.parametrize("count", [0, 1])
def test_few_rays(count):
    t, normals = made("ball").trace(
        CENTRE - torch.tensor([0.0, 0.0, 1.0]),
        torch.tensor([[0.0, 0.0, 1.0]]).expand(count, 3),
        ops.TraceSpec(),
        width=1,
    )
    assert t.shape == (count,) and normals.shape == (count, 3) and t.isfinite().all()


def test_the_bits_do_not_depend_on_the_number_of_threads():
    origins, directions = picture(100, 90)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(made("ring").trace(origins, directions, ops.TraceSpec(), width=100))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_cancelled_walk_stops():
    origins, directions = picture(1000, 1000)
    directions = directions.repeat(4, 1)
    spec = ops.TraceSpec(bound=100.0, least=1e-5, near=0.0, most=10**6)  # minutes
    cancel = torch.zeros(1, dtype=torch.uint8)
    timer = threading.Timer(0.05, lambda: cancel.fill_(1))
    timer.start()
    with pytest.raises(RuntimeError, match="cancelled"):
        made("ring").trace(origins, directions, spec, width=1000, cancel=cancel)
    timer.join()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"directions": torch.zeros(9, 2)}, "directions must be"),
        ({"origins": torch.zeros(8, 3)}, r"origins must be \[9, 3\] or \[1, 3\]"),
        ({"origins": torch.zeros(1, 3).double()}, "origins must be float32"),
        ({"width": 5}, "9 rays do not make rows of 5"),
        ({"width": 0}, "width must be"),
        ({"box": torch.zeros(3, 3)}, "box must be"),
        ({"cancel": torch.zeros(1)}, "cancel must be"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {"origins": torch.zeros(1, 3), "directions": torch.zeros(9, 3)}
    with pytest.raises(ValueError, match=message):
        made("ball").trace(**given | {"spec": ops.TraceSpec()} | change)


def test_fields_of_other_shapes_are_refused():
    rays = (torch.zeros(1, 3), torch.zeros(9, 3), ops.TraceSpec())
    with pytest.raises(ValueError, match="1 channel, not 3"):
        fields.HashGrid(3, dim=3, **GRID).trace(*rays)
    with pytest.raises(ValueError, match="table must have"):
        fields.HashGrid(1, dim=2, **GRID).trace(*rays)
    with pytest.raises(ValueError, match="Gaussians on a grid"):
        fields.Rbf(1, dim=3, kernel="wendland").trace(*rays)
    with pytest.raises(ValueError, match="least must be"):
        ops.TraceSpec(least=0.0)


@pytest.mark.parametrize("offset", [0.0, 0.01])
def test_opcheck(offset):
    trace = ops.TraceSpec(offset=offset).args()
    origins, directions = picture(6, 4)
    box = torch.tensor([[0.0] * 3, [1.0] * 3])
    for name, model in (("trace_grid_mlp", "hashgrid"), ("trace_grid_rbf", "rbf")):
        field = made("ball", model)
        decoder = field.rbf if isinstance(field, fields.Rbf) else field.mlp
        parameters = (field.table.data, field.params.data, box)
        torch.library.opcheck(
            getattr(torch.ops.fields, name).default,
            (
                origins,
                directions,
                *parameters,
                *trace,
                *field.grid.args(),
                *decoder.args(),
                6,
                None,
            ),
        )
