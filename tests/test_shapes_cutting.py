"""Parts that cut or touch each other, and meshes that cut themselves: no walls within the solid."""

import numpy as np
import pytest
import torch
from shape_files import joined, sphere, volume

from fields import ops
from fields.configs.shape import ShapeOptions
from fields.shapes import Shape, ShapeSpace
from fields.shapes.mend import mend
from fields.signals import walls
from fields.signals.shape import ShapeSignal
from fields.signals.walls import without_walls

BALL = sphere()
OTHER = sphere(1, (1, 0.1, 0.03))


def mended(vertices, faces):
    return mend("test", np.asarray(vertices, np.float64), np.array(faces, np.int64))


def bar(*sizes, at=(0, 0, 0)):
    import trimesh

    box = trimesh.creation.box(sizes)
    return np.asarray(box.vertices) + at, np.asarray(box.faces)


def eight(radius=0.2, around=200, along=24):
    """A tube along a figure of eight, whose two arms pass through each other at the origin."""
    t, a = (np.linspace(0, 2 * np.pi, n, endpoint=False) for n in (around, along))
    middle = np.stack([np.sin(t), np.sin(t) * np.cos(t), 0.05 * np.cos(t)], 1)
    ahead = np.roll(middle, -1, 0) - np.roll(middle, 1, 0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    side = np.cross(ahead, [0, 0, 1])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    ring = np.cos(a)[:, None] * side[:, None] + np.sin(a)[:, None] * np.cross(side, ahead)[:, None]
    first, second = np.divmod(np.arange(around * along), along)
    p, q = first * along + second, first * along + (second + 1) % along
    r, s = ((x + along) % (around * along) for x in (p, q))
    faces = np.concatenate([np.stack([p, r, s], 1), np.stack([p, s, q], 1)])
    return (middle[:, None] + radius * ring).reshape(-1, 3), faces


def test_a_plus_of_two_bars_has_one_surface():
    # No vertex of either bar lies in the other.
    shape = mended(*joined(bar(2, 0.3, 0.3), bar(0.3, 2, 0.3)))
    assert shape.sign == "pseudonormal"
    assert volume(shape.vertices, shape.faces) == pytest.approx(2 * 0.18 - 0.027)
    assert shape.notes == ("2 parts that cut or touch each other joined to one",)


@pytest.mark.parametrize("inward", [False, True])
def test_balls_that_cut_each_other_hold_what_either_holds(inward):
    shape = mended(*joined(BALL, sphere(1, (1, 0.1, 0.03), inward=inward)))
    lens = volume(*BALL) + volume(*OTHER) - volume(shape.vertices, shape.faces)
    # Of two unit spheres, d apart: pi (4 + d) (2 - d)^2 / 12.
    apart = np.linalg.norm([1, 0.1, 0.03])
    assert lens == pytest.approx(np.pi * (4 + apart) * (2 - apart) ** 2 / 12, rel=0.1)
    assert shape.sign == "pseudonormal"


def test_boxes_that_share_a_part_of_a_side_lose_the_wall_between_them():
    shape = mended(*joined(bar(1, 1, 1), bar(1, 1, 1, at=(1, 0.3, 0.2))))
    assert volume(shape.vertices, shape.faces) == pytest.approx(2)
    wall = np.abs(shape.vertices[shape.faces][..., 0] - 0.5).max(1) < 1e-9
    corners = shape.vertices[shape.faces][wall]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    assert area.sum() / 2 == pytest.approx(2 * (1 - 0.7 * 0.8))


def test_a_cavity_stays_one_beside_parts_that_cut_the_solid():
    cavity = sphere(0.4, (-0.1, 0, 0), inward=True)
    shape = mended(*joined(BALL, cavity, OTHER))
    without = mended(*joined(BALL, OTHER))
    difference = volume(without.vertices, without.faces) - volume(shape.vertices, shape.faces)
    # A part of the cavity lies in the other ball; what it takes away is taken from both.
    assert 0 < difference <= -volume(*cavity) * (1 + 1e-9)


def test_hundreds_of_parts_are_joined():
    places = np.random.default_rng(0).random((300, 3))
    shape = mended(*joined(*(sphere(0.1, place, 1) for place in places)))
    assert shape.sign == "pseudonormal" and "300 parts" in shape.notes[0]
    assert 0.3 < volume(shape.vertices, shape.faces) < 1.2**3


def test_parts_apart_and_parts_in_each_other_stay_as_they_are():
    apart = mended(*joined(BALL, sphere(1, (1.9, 1.9, 0))))  # their boxes touch
    assert apart.notes == () and len(apart.faces) == 640
    nested = mended(*joined(BALL, sphere(0.5, inward=True), sphere(0.2)))
    assert nested.notes == () and nested.sign == "pseudonormal" and len(nested.faces) == 960


def test_a_mesh_that_cuts_itself_loses_the_walls_within_it():
    whole = mended(*eight())
    assert whole.sign == "pseudonormal" and whole.notes == ()  # its edges tell nothing
    space = ShapeSpace.around(whole.vertices)
    cut = without_walls(whole, space)
    assert cut.sign == "winding" and "the mesh cuts itself" in cut.notes[0]

    def hierarchy(shape):
        unit = torch.from_numpy(space.to_unit(shape.vertices)).float()
        return ops.build_bvh(unit, torch.from_numpy(shape.faces))

    before, after = hierarchy(whole), hierarchy(cut)
    points = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0))
    inside = ops.winding_number(before, points) > 0.5
    assert float(((ops.winding_number(after, points) > 0.5) == inside).float().mean()) > 0.9999
    # In the middle of the crossing the nearest wall was within a tube; now it is its outside.
    middle = torch.from_numpy(space.to_unit(np.zeros((1, 3)))).float()
    radius = 0.2 * space.scale
    was, now = (ops.closest_point(bvh, middle, signed=False)[0].item() for bvh in (before, after))
    assert now > 0.99 * radius and now >= was
    # Away from it nothing has changed.
    far = points[(points - middle).norm(dim=1) > 0.4]
    torch.testing.assert_close(
        *(ops.closest_point(bvh, far, signed=False)[0] for bvh in (before, after)),
        rtol=0,
        atol=1e-6,
    )


def test_the_sign_of_a_mesh_that_cuts_itself_is_right_at_its_walls():
    whole = mended(*eight())
    signal = ShapeSignal(whole, ShapeOptions(), torch.device("cpu"))
    assert signal.sign == "winding" and signal.notes == signal.source.notes != ()
    plain = ShapeSignal(whole, ShapeOptions(sign="pseudonormal"), torch.device("cpu"))
    coords, distances = plain.batch(20_000, 0, 0)
    inside = ops.winding_number(plain.bvh, coords) > 0.5
    agree = [
        float(((found < 0).flatten() == inside).float().mean())
        for found in (signal.distance(coords), distances)
    ]
    assert agree[0] > 0.999 > 0.99 > agree[1]


def test_a_sound_mesh_is_handed_back():
    ball = mended(*BALL)
    assert without_walls(ball, ShapeSpace.around(ball.vertices)) is ball
    thin = mended(*bar(1, 1, 1e-3))
    assert without_walls(thin, ShapeSpace.around(thin.vertices)) is thin


def test_unsigned_distances_keep_the_walls():
    signal = ShapeSignal(mended(*eight()), ShapeOptions(stores="udf"), torch.device("cpu"))
    assert isinstance(signal.source, Shape) and signal.source.notes == ()


def test_no_triangles_are_split_into_none():
    none = torch.empty(0, 3, 3, dtype=torch.float64)
    assert walls._split(none, 0.1).shape == (0, 3, 3)


def test_a_box_at_the_edge_of_a_plate_is_a_part_of_its_own():
    # Of the plate and the box four faces meet at an edge; the ring sticks out of the plate's sides.
    import trimesh

    ring = trimesh.creation.torus(0.5, 0.1)
    parts = bar(4, 1, 0.2), (ring.vertices, ring.faces), bar(1, 1, 1, at=(2.5, 0, 0.4))
    shape = mended(*joined(*parts))
    assert shape.sign == "pseudonormal" and "3 parts" in shape.notes[0]
    assert np.allclose(shape.box, [[-2, -0.6, -0.1], [3, 0.6, 0.9]])
    assert 0.8 + 1 < volume(shape.vertices, shape.faces) < 0.8 + 1 + ring.volume


def test_a_part_whose_vertices_tell_little_is_not_taken_to_lie_in_another():
    # The four vertices that are asked lie in the ball; a corner of the shape is outside.
    spike = sphere(0.2)[0] * 1.0, sphere(0.2)[1]
    far = int(spike[0][:, 0].argmax())
    spike[0][far] = (5, 0, 0)
    shape = mended(*joined(BALL, spike))
    assert shape.box[1][0] == pytest.approx(5)


def test_cubes_face_to_face_lose_the_wall_between_them():
    signal = ShapeSignal(
        mended(*joined(bar(1, 1, 1), bar(1, 1, 1, at=(1, 0, 0)))),
        ShapeOptions(),
        torch.device("cpu"),
    )
    middle = torch.full((1, 3), 0.5)
    assert signal.distance(middle).item() == pytest.approx(-0.5 * signal.space.scale, abs=1e-3)
