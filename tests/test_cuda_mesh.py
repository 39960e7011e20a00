"""Searches through a hierarchy on a GPU against the CPU's."""

import meshes
import pytest
import torch
from devices import NEEDS_CUDA
from test_ops_mesh import SHAPES, TOLERANCE, make
from test_ops_sample_shape import ONLY

from fields import ops

pytestmark = NEEDS_CUDA


@pytest.mark.parametrize("name", SHAPES)
def test_distances_and_winding_numbers_are_the_cpus(name):
    vertices, faces, bvh, points = make(name)
    there = ops.build_bvh(vertices.cuda(), faces.cuda())
    assert there.device.type == "cuda" and there.num_faces == len(faces)
    for signed in (False, True):
        expected = ops.closest_point(bvh, points, signed=signed)[0]
        distances, found, nearest = ops.closest_point(there, points.cuda(), signed=signed)
        clear = expected.abs() > 1e-6
        torch.testing.assert_close(distances.cpu()[clear], expected[clear], rtol=0, atol=TOLERANCE)
        length = (points.cuda() - nearest).norm(dim=1)
        torch.testing.assert_close(length, distances.abs(), rtol=1e-5, atol=1e-6)
        assert found.amin() >= 0 and found.amax() < len(faces)
    numbers = ops.winding_number(there, points.cuda()).cpu()
    expected = ops.winding_number(bvh, points)
    clear = ops.closest_point(bvh, points, signed=False)[0] > 1e-6
    torch.testing.assert_close(numbers[clear], expected[clear], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("share", ONLY)
@pytest.mark.parametrize("sign", ops.SIGNS)
@pytest.mark.parametrize("count", [1, 3, 10_000])
def test_samples_are_the_cpus_within_rounding(share, sign, count):
    bvh = ops.build_bvh(*meshes.torus())
    settings = {"sign": sign, "truncation": 0.2} | ONLY[share]
    expected, own = ops.sample_shape(bvh, count, 3, 4, **settings)
    coords, distances = ops.sample_shape(bvh.to("cuda"), count, 3, 4, **settings)
    torch.testing.assert_close(coords.cpu(), expected, rtol=0, atol=1e-6)
    clear = own.abs() > 1e-5
    torch.testing.assert_close(distances.cpu()[clear], own[clear], rtol=0, atol=3e-6)


def test_no_points_launch_nothing():
    bvh = ops.build_bvh(*meshes.cube()).to("cuda")
    assert len(ops.closest_point(bvh, torch.empty(0, 3, device="cuda"))[0]) == 0
    with pytest.raises(ValueError, match="points are on cpu but the mesh on cuda"):
        ops.closest_point(bvh, torch.rand(3, 3))
