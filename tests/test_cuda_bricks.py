"""Bricks on a GPU against the CPU's: the same pictures, and the same vertices seen."""

import pytest
import torch
from devices import NEEDS_CUDA
from test_ops_bricks import EXACT, STEP, make_bricks, make_camera

from fields import ops

pytestmark = NEEDS_CUDA


@pytest.mark.parametrize("degree", [1, 3, 4])
@pytest.mark.parametrize("size", [(0, 3), (1, 1), (90, 70)])
def test_pictures_are_the_cpus(degree, size):
    """But for rays with a place within rounding of a face."""
    bricks = make_bricks(degree=degree, share=0.5)
    pose, intrinsics, _ = make_camera(focal=90.0)
    expected = ops.bricks_render(bricks, pose, intrinsics, size, step=STEP, **EXACT)
    actual = ops.bricks_render(
        bricks.to("cuda"), pose.cuda(), intrinsics.cuda(), size, step=STEP, **EXACT
    )
    for a, b in zip(actual, expected, strict=True):
        assert a.device.type == "cuda" and a.shape == b.shape
        off = (a.cpu() - b).abs().reshape(len(b), -1).amax(1) > 2e-4 if len(b) else b
        assert off.float().mean() < 0.01 or not len(b)


def test_vertices_that_are_seen_are_the_cpus():
    bricks = make_bricks(share=0.5)
    pose, intrinsics, size = make_camera(size=(60, 50), focal=60.0)
    cameras = torch.stack([pose, make_camera((-0.8, 0.4, 1.4))[0]]), intrinsics.expand(2, 4)
    expected = ops.bricks_seen(bricks, *cameras, size, step=STEP)
    actual = ops.bricks_seen(bricks.to("cuda"), *(c.cuda() for c in cameras), size, step=STEP)
    assert expected.any() and (actual.cpu() != expected).float().mean() < 0.01
