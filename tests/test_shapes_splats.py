"""Points with normals as small triangles."""

import meshes
import numpy as np
import pytest
import torch

from fields import ops
from fields.shapes.splats import splats


def sphere(count, seed=0):
    """Points [count, 3] of a sphere of radius 0.3 in the middle of the unit cube, and normals."""
    normals = np.random.default_rng(seed).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return 0.5 + 0.3 * normals, normals


def test_each_point_is_the_middle_of_a_triangle_that_faces_its_way():
    points, normals = sphere(500)
    vertices, faces = splats(points, normals)
    assert vertices.shape == (1500, 3) and faces.shape == (500, 3)
    a, b, c = vertices[faces].astype(np.float64).transpose(1, 0, 2)
    np.testing.assert_allclose((a + b + c) / 3, points, atol=1e-7)
    cross = np.cross(b - a, c - a)
    area = np.linalg.norm(cross, axis=1) / 2
    np.testing.assert_allclose(cross / (2 * area)[:, None], normals, atol=1e-3)
    # Together as large as the surface, each as large as its share.
    assert area.sum() == pytest.approx(4 * np.pi * 0.09, rel=0.15)
    assert np.median(area) == pytest.approx(area.mean(), rel=0.2)


def test_winding_numbers_and_distances_are_those_of_the_sphere():
    vertices, faces = splats(*sphere(4000))
    bvh = ops.build_bvh(torch.from_numpy(vertices), torch.from_numpy(faces))
    coords = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0))
    true = (coords - 0.5).norm(dim=1) - 0.3
    clear = true.abs() > 0.01
    wound = ops.winding_number(bvh, coords) > 0.5
    assert torch.equal(wound[clear], true[clear] < 0)
    distance = ops.closest_point(bvh, coords, signed=False)[0]
    assert (distance - true.abs()).abs().max() < 0.01


@pytest.mark.parametrize("count", [1, 2, 9])
def test_few_points_and_points_in_one_place_are_finite(count):
    normals = np.tile([[0.0, 0.0, 1.0]], (count, 1))
    vertices, _ = splats(np.full((count, 3), 0.5), normals)
    np.testing.assert_array_equal(vertices, np.full((3 * count, 3), 0.5, np.float32))


def test_a_closed_mesh_gives_its_own_normals_back():
    vertices, faces = meshes.torus()
    corners = vertices[faces].double()
    cross = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    middles, normals = corners.mean(1), torch.nn.functional.normalize(cross, dim=1)
    soup = ops.build_bvh(*map(torch.from_numpy, splats(middles.numpy(), normals.numpy())))
    mesh = ops.build_bvh(vertices, faces)
    coords = torch.rand(3000, 3, generator=torch.Generator().manual_seed(1))
    true = ops.closest_point(mesh, coords)[0]
    clear = true.abs() > 0.01
    assert torch.equal((ops.winding_number(soup, coords) > 0.5)[clear], (true < 0)[clear])


@pytest.mark.parametrize("count", [2, 3, 9])
def test_few_points_some_of_them_twice_make_triangles(count):
    points = np.linspace([0.2, 0.2, 0.5], [0.8, 0.3, 0.5], count)
    points = np.concatenate([points, points[:1]])
    vertices, faces = splats(points, np.tile([[0.0, 0.0, 1.0]], (count + 1, 1)))
    assert np.isfinite(vertices).all() and len(faces) == count + 1
    sides = np.linalg.norm(np.ptp(vertices[faces], axis=1), axis=1)
    assert (sides > 0).all() and (sides < 2).all()
