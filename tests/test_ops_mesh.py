"""Nearest points of meshes and winding numbers against every triangle in NumPy."""

import pickle

import meshes
import numpy as np
import pytest
import reference_mesh
import shape_files
import torch

from fields import ops

# Rounding of a search in float32: of distances and of sizes up to 1.
TOLERANCE = 3e-7

SHAPES = {
    "torus": meshes.torus,
    "cube": meshes.cube,
    "spikes": meshes.spikes,
    "sheet": meshes.bumpy_sheet,
    "soup": meshes.soup,
    "triangle": lambda: meshes.tensors(np.eye(3), [[0, 1, 2]]),
    "point": lambda: meshes.tensors(np.full((3, 3), 0.25), [[0, 1, 2]]),
    "line": lambda: meshes.tensors([[0.1] * 3, [0.9] * 3, [0.4] * 3], [[0, 1, 2]]),
    "same face often": lambda: meshes.tensors(np.eye(3), [[0, 1, 2]] * 100),
}
CLOSED = ("torus", "cube", "spikes")
shapes = pytest.mark.parametrize("name", SHAPES)
closed_shapes = pytest.mark.parametrize("name", CLOSED)


def points_around(vertices, faces, count=300, seed=0):
    """Anywhere in the cube and beyond, near the mesh, and exactly on its corners and sides."""
    random = torch.Generator().manual_seed(seed)
    corners = vertices[faces[torch.randint(len(faces), (count,), generator=random)]]
    weights = torch.rand(count, 3, 1, generator=random).pow(3)
    on = (corners * weights).sum(1) / weights.sum(1)
    anywhere = torch.rand(count, 3, generator=random) * 1.5 - 0.25
    size = 10 ** (-1 - 5 * torch.rand(count, 1, generator=random))
    near = on + size * torch.randn(count, 3, generator=random)
    return torch.cat([anywhere, near, on, corners[:50].mean(1), corners[:50, :2].mean(1),
                      corners[:50, 0]])  # fmt: skip


def make(name):
    vertices, faces = SHAPES[name]()
    return vertices, faces, ops.build_bvh(vertices, faces), points_around(vertices, faces)


@pytest.mark.kernel
@shapes
def test_the_nearest_point_is_that_of_every_triangle(name):
    vertices, faces, bvh, points = make(name)
    distances, found, nearest = ops.closest_point(bvh, points, signed=False)
    expected = reference_mesh.distances(points, vertices, faces)
    assert distances.dtype == torch.float32 and found.dtype == torch.int32
    np.testing.assert_allclose(distances, expected.min(1), rtol=TOLERANCE, atol=TOLERANCE)
    # The face named is as near, and the point named lies on it.
    named = expected[np.arange(len(points)), found]
    np.testing.assert_allclose(distances, named, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose((points - nearest).norm(dim=1), named, rtol=1e-5, atol=1e-7)


@pytest.mark.kernel
@closed_shapes
def test_the_sign_of_a_closed_mesh_is_that_of_the_winding_number(name):
    vertices, faces, bvh, points = make(name)
    points = points[:600]
    distances = ops.closest_point(bvh, points)[0].numpy()
    inside = reference_mesh.winding_number(points, vertices, faces) > 0.5
    clear = np.abs(distances) > 1e-6
    assert clear.sum() > 400 and inside.sum() > 20
    assert np.array_equal(distances[clear] < 0, inside[clear])
    assert np.array_equal(np.abs(distances), ops.closest_point(bvh, points, signed=False)[0])


def test_vertices_that_lie_together_count_as_one():
    vertices, faces = meshes.spikes()
    points = points_around(vertices, faces)
    expected = ops.closest_point(ops.build_bvh(vertices, faces), points)[0]
    apart = vertices[faces].reshape(-1, 3), torch.arange(3 * len(faces)).reshape(-1, 3)
    # And so do sides that have a triangle without area between them.
    slits = torch.stack([faces[:, 0], faces[:, 1], faces[:, 1]], 1)
    for mesh in (apart, (vertices, torch.cat([faces, slits]))):
        distances = ops.closest_point(ops.build_bvh(*mesh), points)[0]
        torch.testing.assert_close(distances, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.kernel
@shapes
def test_the_winding_number_is_the_sum_of_all_solid_angles(name):
    vertices, faces, bvh, points = make(name)
    points = points[:600]
    clear = reference_mesh.distances(points, vertices, faces).min(1) > 1e-6
    expected = reference_mesh.winding_number(points, vertices, faces)
    error = np.abs(ops.winding_number(bvh, points).numpy() - expected)[clear]
    error /= np.abs(expected[clear]).clip(1)
    assert error.max() < 0.03 and error.mean() < 0.005


def test_a_mesh_inside_out_has_the_opposite_signs():
    vertices, faces = meshes.torus()
    points = points_around(vertices, faces)[:300]
    bvh, turned = ops.build_bvh(vertices, faces), ops.build_bvh(vertices, faces.flip(1))
    torch.testing.assert_close(
        ops.winding_number(turned, points), -ops.winding_number(bvh, points), rtol=0, atol=1e-5
    )
    within = (points > vertices.amin(0)).all(1) & (points < vertices.amax(0)).all(1)
    signs = [ops.closest_point(b, points[within])[0].sign() for b in (bvh, turned)]
    assert torch.equal(signs[0], -signs[1])


def test_far_points_have_the_distance_to_the_mesh_and_are_outside():
    vertices, faces = meshes.torus()
    bvh = ops.build_bvh(vertices, faces)
    for far in (1e2, 1e5, 1e8):
        points = far * torch.nn.functional.normalize(torch.randn(100, 3), dim=1)
        distances, _, nearest = ops.closest_point(bvh, points)
        torch.testing.assert_close(distances, points.sub(0.5).norm(dim=1), rtol=1e-2, atol=0)
        assert nearest.isfinite().all() and ops.winding_number(bvh, points).abs().max() < 1e-3


def test_the_number_of_threads_changes_nothing():
    vertices, faces = meshes.torus(rows=200, columns=60)
    points = points_around(vertices, faces, 2000)

    def everything():
        bvh = ops.build_bvh(vertices, faces)
        samples = ops.sample_shape(bvh, 5000, 1, 2)
        return [*bvh.tensors, *ops.closest_point(bvh, points), *samples]

    many, threads = everything(), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert all(torch.equal(a, b) for a, b in zip(many, everything(), strict=True))
    finally:
        torch.set_num_threads(threads)


def test_a_hierarchy_holds_each_face_once_and_can_be_pickled():
    vertices, faces = meshes.torus()
    bvh = pickle.loads(pickle.dumps(ops.build_bvh(vertices, faces.int())))
    assert torch.equal(bvh.ids.sort().values, torch.arange(len(faces), dtype=torch.int32))
    assert torch.equal(bvh.corners, vertices[faces[bvh.ids.long()]])
    assert bvh.first.diff().amin() >= 1 and bvh.first.diff().amax() <= 16
    assert bvh.num_faces == len(faces) and bvh.first[-1] == len(faces)
    a, b, c = vertices[faces].double().unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=1).sum() / 2
    assert bvh.total_area == pytest.approx(area.item(), rel=1e-6)


def test_a_chain_of_boxes_one_in_another_is_searched_rightly():
    # Sizes over sixty octaves: what makes trees deep.
    corners = (
        torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]) * 2.0 ** -torch.arange(60)[:, None, None]
    )
    vertices, faces = corners.reshape(-1, 3), torch.arange(180).reshape(-1, 3)
    bvh = ops.build_bvh(vertices.repeat(20, 1), torch.arange(3600).reshape(-1, 3))
    points = torch.rand(200, 3) * 0.1
    expected = reference_mesh.distances(points, vertices, faces).min(1)
    np.testing.assert_allclose(
        ops.closest_point(bvh, points, signed=False)[0], expected, rtol=1e-6, atol=TOLERANCE
    )


def test_faces_that_lie_less_than_a_normal_number_apart_are_searched():
    vertices = torch.rand(3 * 1000, 3, generator=torch.Generator().manual_seed(0))
    vertices[:, 2] = torch.where(torch.arange(3000) % 6 < 3, 0.0, 1e-39)
    bvh = ops.build_bvh(vertices, torch.arange(3000).view(-1, 3))
    distances, _, _ = ops.closest_point(bvh, vertices, signed=False)
    assert distances.max() < 1e-6


def test_no_points_and_points_in_strides():
    vertices, faces = meshes.cube()
    bvh = ops.build_bvh(vertices, faces)
    assert [len(t) for t in ops.closest_point(bvh, torch.empty(0, 3))] == [0, 0, 0]
    assert len(ops.winding_number(bvh, torch.empty(0, 3))) == 0
    points = torch.rand(50, 6)
    apart, joined = points[:, ::2], points[:, ::2].clone()
    for a, b in zip(ops.closest_point(bvh, apart), ops.closest_point(bvh, joined), strict=True):
        assert torch.equal(a, b)


def test_wrong_inputs_are_refused():
    vertices, faces = meshes.cube()
    bvh, points = ops.build_bvh(vertices, faces), torch.rand(4, 3)
    nan = points.clone()
    nan[2, 1] = float("nan")
    for wrong, message in (
        (lambda: ops.build_bvh(vertices[:, :2], faces), r"vertices must be \[V, 3\]"),
        (lambda: ops.build_bvh(vertices, faces.float()), "int32 or int64"),
        (lambda: ops.build_bvh(vertices, faces[:0]), "faces must not be empty"),
        (lambda: ops.build_bvh(vertices, faces + 1), "from 0 to 7, got 1 to 8"),
        (lambda: ops.build_bvh(vertices, faces - 1), "from 0 to 7, got -1 to 6"),
        (lambda: ops.build_bvh(vertices / 0, faces), "finite"),
        (lambda: ops.closest_point(bvh, nan), "points must be finite"),
        (lambda: ops.winding_number(bvh, nan), "points must be finite"),
        (lambda: ops.closest_point(bvh, points.double()), "points must be float32"),
        (lambda: ops.closest_point(bvh, points[:, :2]), r"points must be \[4, 3\]"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()


def test_ops_are_registered_as_torch_wants_and_compile():
    vertices, faces = meshes.cube()
    bvh = ops.build_bvh(vertices, faces)
    points = torch.rand(8, 3)
    mesh_ops = torch.ops.fields
    # Without the test of the dispatcher's autograd: they have none.
    tests = ("test_schema", "test_faketensor")
    for op, arguments in (
        (mesh_ops.closest_point, (points, *bvh.tensors, True)),
        (mesh_ops.winding_number, (points, *bvh.tensors)),
        (mesh_ops.sample_shape, (*bvh.tensors, 3, 4, 5, 0, 0, 0.01, 0.01, 1.0, 1)),
    ):
        torch.library.opcheck(op, arguments, test_utils=tests)

    def twice(p):
        return ops.closest_point(bvh, p)[0] * 2

    compiled = torch.compile(twice, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(points), twice(points))


@meshes.NEEDS_MESHES
@pytest.mark.parametrize("name", ["bunny.off", "armadillo.off", "fandisk.obj", "spot.obj"])
def test_distances_and_signs_are_those_of_open3d(name):
    open3d = shape_files.open3d()
    vertices, faces = meshes.read(name)
    bvh = ops.build_bvh(vertices, faces)
    points, distances = ops.sample_shape(bvh, 20_000, 0, 0)
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(vertices.numpy(), faces.numpy().astype(np.uint32))
    expected = scene.compute_signed_distance(points.numpy(), nsamples=3).numpy()
    np.testing.assert_allclose(distances[:, 0].abs(), np.abs(expected), rtol=0, atol=3e-7)
    clear = np.abs(expected) > 1e-6
    assert np.array_equal(distances[:, 0].numpy()[clear] < 0, expected[clear] < 0)
