"""What is wrong with a mesh is mended and said; what cannot be is known."""

import numpy as np
import pytest
from shape_files import joined, sphere, volume

from fields.shapes import ShapeSpace
from fields.shapes.mend import mend, mend_points, unique_rows
from fields.shapes.nesting import winding

BALL = sphere()


def mended(vertices, faces):
    shape = mend("test", np.asarray(vertices, np.float64), np.array(faces, np.int64))
    return shape, " | ".join(shape.notes)


def test_a_sound_mesh_stays_as_it_is():
    shape, notes = mended(*BALL)
    assert notes == "" and shape.sign == "pseudonormal"
    assert np.array_equal(shape.vertices, BALL[0]) and np.array_equal(shape.faces, BALL[1])


def test_a_soup_of_triangles_is_welded():
    soup = BALL[0][BALL[1]].reshape(-1, 3)
    shape, notes = mended(soup, np.arange(len(soup)).reshape(-1, 3))
    assert notes == "" and shape.sign == "pseudonormal" and len(shape.vertices) == 162


def test_copies_and_degenerate_faces_go():
    extra = [BALL[1][5], BALL[1][7][[1, 2, 0]], [3, 3, 8]]
    shape, notes = mended(BALL[0], np.vstack([BALL[1], extra]))
    assert shape.sign == "pseudonormal" and len(shape.faces) == 320
    assert notes == "1 face dropped: two corners in one place | 2 faces dropped: copies of others"


def test_a_sheet_with_two_sides_becomes_an_open_sheet():
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    shape, notes = mended(
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.vstack([faces, faces[:, ::-1]])
    )
    assert len(shape.faces) == 2 and not shape.is_closed and "4 of 5 edges" in notes


def test_a_wall_inside_a_solid_goes():
    import trimesh

    box = trimesh.creation.box((1, 1, 1))
    one = np.asarray(box.vertices), np.asarray(box.faces)
    shape, notes = mended(*joined(one, (one[0] * [-1, 1, 1] + [1, 0, 0], one[1][:, ::-1])))
    assert shape.sign == "pseudonormal" and len(shape.faces) == 20 and "on each other" in notes
    assert volume(shape.vertices, shape.faces) == pytest.approx(2)


def test_a_face_turned_around_is_turned_back():
    faces = BALL[1].copy()
    faces[[4, 90, 200]] = faces[[4, 90, 200], ::-1]
    shape, notes = mended(BALL[0], faces)
    assert notes == "3 faces turned around, as the neighbours are"
    assert np.array_equal(np.sort(shape.faces, 1), np.sort(BALL[1], 1))
    assert volume(shape.vertices, shape.faces) == pytest.approx(volume(*BALL))


def test_a_mesh_inside_out_is_turned():
    shape, notes = mended(BALL[0], BALL[1][:, ::-1])
    assert notes == "turned around: the mesh inside out"
    assert volume(shape.vertices, shape.faces) > 0


def test_a_hole_is_found_and_not_filled():
    shape, notes = mended(BALL[0], BALL[1][1:])
    assert shape.sign == "none" and len(shape.faces) == 319
    assert notes == (
        "the mesh is open: 3 of 480 edges lack a second face; --sign winding takes such small holes"
        " as closed"
    )


def test_a_strip_with_one_side_is_open_and_said_to_be():
    turn = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    out = np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1)
    across = np.cos(turn / 2)[:, None] * out + np.sin(turn / 2)[:, None] * [0, 0, 1]
    vertices = np.concatenate([out + 0.2 * across, out - 0.2 * across])
    faces = []
    for i in range(30):
        a, b, c, d = i, i + 30, i + 1, i + 31
        if i == 29:
            c, d = 30, 0
        faces += [[a, c, b], [b, c, d]]
    shape, notes = mended(vertices, faces)
    assert notes == "the surface has one side only: nothing is inside it"
    assert not shape.is_closed


def test_parts_inside_each_other():
    inner = sphere(0.5, rounds=1)
    cavity, notes = mended(*joined(BALL, sphere(0.5, rounds=1, inward=True)))
    assert notes == "" and cavity.sign == "pseudonormal" and len(cavity.faces) == 400
    assert volume(cavity.vertices, cavity.faces) < volume(*BALL)

    solid, notes = mended(*joined(BALL, inner))
    assert "1 part dropped: inside the solid and facing outward" in notes
    assert len(solid.faces) == 320

    apart, notes = mended(*joined(BALL, sphere(0.5, (3, 0, 0), 1, inward=True)))
    assert notes == "turned around: 1 of 2 parts inside out"
    assert volume(apart.vertices, apart.faces) > volume(*BALL)

    cut, notes = mended(*joined(BALL, *(sphere(0.4, (x, 0.02, 0), 1, True) for x in (0.1, -0.1))))
    assert cut.sign == "winding" and "may cut or touch" in notes


def test_few_nan_vertices_cost_their_faces():
    vertices = np.vstack([BALL[0], [[np.nan] * 3]])
    shape, notes = mended(vertices, np.vstack([BALL[1], [0, 1, 162]]))
    assert notes == "1 face dropped: a vertex is NaN or infinite" and shape.is_closed


def test_a_million_faces_take_seconds():
    ball = sphere(rounds=7)  # 328k faces, as a soup: a million vertices
    soup = ball[0][ball[1]].reshape(-1, 3)
    shape, _ = mended(soup, np.arange(len(soup)).reshape(-1, 3))
    assert shape.sign == "pseudonormal" and len(shape.vertices) == len(ball[0])


def test_rows_are_told_apart():
    rows = np.array([[1, 2, 3], [3, 2, 1], [1, 2, 3], [0, 0, 0], [3, 2, 1]], np.int64)
    first, kind = unique_rows(rows)
    assert first.tolist() == [0, 1, 3] and kind.tolist() == [0, 1, 0, 2, 1]


def test_winding_numbers_are_whole():
    points = np.array([[0, 0, 0], [0.5, 0.2, 0], [0, 0, 2], [3, 1, 0]], float)
    assert np.allclose(winding(points, BALL[0][BALL[1]]), [1, 1, 0, 0])


def test_the_space_of_a_shape_far_from_the_origin():
    vertices = BALL[0] * [1e-3, 5e-4, 5e-4] + [1e5, -1e5, 3e4]
    space = ShapeSpace.around(vertices)
    unit = space.to_unit(vertices)
    assert np.allclose(unit.min(0), [0.05, 0.275, 0.275], atol=1e-6)
    assert np.abs(space.to_source(unit) - vertices).max() <= 3e-11
    assert ShapeSpace.from_dict(space.as_dict()) == space
    columns = np.concatenate([vertices, np.ones((len(vertices), 1))], 1)
    assert np.allclose((columns @ space.world_to_unit.T)[:, :3], unit, atol=1e-6)


def test_normals_of_points_that_look_inward_are_said():
    points = BALL[0]
    outward = points - points.mean(0)
    assert mend_points("ball", points, outward).notes == ()
    assert "most normals point inward" in mend_points("ball", points, -outward).notes[0]


def test_normals_that_disagree_with_their_neighbours_are_said():
    points = sphere(rounds=4)[0]
    signs = np.random.default_rng(0).choice([-1, 1], (len(points), 1))
    assert "of the normals point away" in mend_points("ball", points, signs * points).notes[0]


def test_an_open_mesh_that_is_turned_can_be_handed_to_kernels():
    shape, _ = mended(BALL[0], BALL[1][1:, ::-1])
    assert shape.faces.flags.c_contiguous and "inside out" in shape.notes[-1]
