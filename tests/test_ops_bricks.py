"""Bricks as a camera sees them, against a twin that looks at every place of every ray."""

import math
import threading

import numpy as np
import pytest
import reference_bricks
import torch

from fields import ops
from fields.cameras import look_at
from fields.ops.bricks import ROW

STEP = 0.02
SPEC = ops.MarchSpec(step=STEP)
EXACT = {"min_weight": 0.0, "min_transmittance": 0.0}


def make_camera(eye=(1.6, 1.9, 1.2), centre=(0.5, 0.5, 0.5), size=(21, 17), focal=20.0):
    pose = look_at(np.array(eye), np.array(centre), np.array([0.0, 0.0, 1.0]))[:3]
    intrinsics = torch.tensor([focal, 1.1 * focal, size[0] / 2 + 1, size[1] / 2 - 0.5])
    return torch.from_numpy(pose).float(), intrinsics, size


def make_bricks(along=2, degree=3, share=0.3, seed=0, log_density=(-2.0, 4.0)):
    """Random bricks in some places of some blocks."""
    generator = torch.Generator().manual_seed(seed)

    def random_bytes(*sizes):
        return torch.randint(256, sizes, generator=generator, dtype=torch.uint8)

    blocks = torch.full((along**3,), -1, dtype=torch.int32)
    used = torch.rand(along**3, generator=generator) < max(share, 0.5)
    used[0] = True
    blocks[used] = torch.arange(int(used.sum()), dtype=torch.int32)
    pages = torch.full((int(used.sum()), 64), -1, dtype=torch.int32)
    there = torch.rand(pages.shape, generator=generator) < share
    count = int(there.sum())
    pages[there] = torch.arange(count, dtype=torch.int32)
    vertices = random_bytes(count, 256)
    vertices[:, 125:250] = vertices[:, 125:250] % 7  # rows of a brick
    vertices[:, 252:] = (7 * torch.arange(count, dtype=torch.int32)).view(torch.uint8).view(-1, 4)
    low, high = log_density
    palette = torch.randn(1 + ROW, 3, degree**2, generator=generator) / (4 * 255)
    palette[0] *= 255
    palette[0, :, 0] += 1.5
    return ops.Bricks(
        blocks.view(along, along, along),
        pages,
        vertices,
        random_bytes(7 * max(count, 1), ROW),
        torch.tensor([low, (high - low) / 255]),
        palette,
    )


def solid(log_density, colour):
    """All of the cube of one density and one colour."""
    count = 64
    vertices = torch.zeros(count, 256, dtype=torch.uint8)
    pages = torch.arange(count, dtype=torch.int32).view(1, 64)
    palette = torch.full((1 + ROW, 3, 1), 0.1)
    palette[0, :, 0] = torch.tensor(colour) / 0.28209479
    return ops.Bricks(
        torch.zeros(1, 1, 1, dtype=torch.int32),
        pages,
        vertices,
        torch.zeros(1, ROW, dtype=torch.uint8),
        torch.tensor([log_density, 0.1]),
        palette,
    )


def assert_near(found, expected, tolerance=2e-4):
    """But for rays with a place within rounding of a face, where there is a brick on one side."""
    for actual, wanted in zip(found, expected, strict=True):
        off = np.abs(actual.numpy() - wanted).reshape(len(wanted), -1).max(1) > tolerance
        assert off.mean() < 0.01


@pytest.mark.kernel
@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_a_picture_is_the_twins(degree):
    bricks, camera = make_bricks(degree=degree), make_camera()
    found = ops.bricks_render(bricks, *camera, step=STEP, **EXACT)
    *expected, _ = reference_bricks.draw(bricks, *camera, SPEC)
    assert expected[1].max() > 0.5
    assert_near(found, expected)


@pytest.mark.kernel
@pytest.mark.parametrize("limits", [(0.05, 0.0), (0.0, 0.3), (0.02, 0.1)])
def test_what_counts_for_little_is_left_out_as_by_the_twin(limits):
    bricks, camera = make_bricks(share=0.6), make_camera()
    limits = dict(zip(EXACT, limits, strict=True))
    found = ops.bricks_render(bricks, *camera, step=STEP, **limits)
    *expected, _ = reference_bricks.draw(bricks, *camera, SPEC, **limits)
    for actual, wanted in zip(found, expected, strict=True):  # a weight may be at the limit
        off = np.abs(actual.numpy() - wanted).reshape(len(wanted), -1).max(1) > 2e-4
        assert off.mean() < 0.03


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("eye", "centre"),
    [
        ((0.47, 0.52, 0.51), (0.6, 0.2, 0.5)),
        ((0.5, 0.4, 1.02), (0.5, 0.5, 0.5)),
        ((9, 9, 9), (0, 0, 0)),
    ],
)
def test_cameras_within_beside_and_far_from_the_cube_see_what_the_twin_sees(eye, centre):
    bricks, camera = make_bricks(share=0.5), make_camera(eye, centre, focal=15.0)
    found = ops.bricks_render(bricks, *camera, step=STEP, near=0.05, **EXACT)
    *expected, _ = reference_bricks.draw(bricks, *camera, ops.MarchSpec(step=STEP, near=0.05))
    assert_near(found, expected)


@pytest.mark.kernel
@pytest.mark.parametrize("size", [(1, 1), (3, 70), (16, 16), (37, 5)])
def test_pictures_of_any_size_are_parts_of_a_larger_one(size):
    """Squares and patches at the border show what they show elsewhere."""
    bricks = make_bricks(share=0.5)
    pose, intrinsics, _ = make_camera()
    whole = ops.bricks_render(bricks, pose, intrinsics, (80, 80), step=STEP)
    part = ops.bricks_render(bricks, pose, intrinsics, size, step=STEP)
    for a, b in zip(part, whole, strict=True):
        wanted = b.view(80, 80, -1)[: size[1], : size[0]].reshape(a.shape)
        torch.testing.assert_close(a, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.kernel
def test_a_box_of_one_density_shows_the_closed_form():
    density, colour = 3.0, (0.25, 0.5, 0.75)
    bricks = solid(math.log(density), colour)
    pose, intrinsics, size = make_camera((0.5, 0.5, 3.0), focal=60.0)
    colours, opacity, depth = ops.bricks_render(bricks, pose, intrinsics, size, step=1e-3, **EXACT)
    directions = reference_bricks.pixel_directions(pose.double().numpy(), intrinsics.numpy(), size)
    ends = [reference_bricks.reference_march.ends(SPEC, pose[:, 3].numpy(), d) for d in directions]
    inside = np.array([max(far - near, 0) for near, far in ends])
    expected = 1 - np.exp(-density * inside)
    assert inside.max() > 0.9
    assert np.abs(opacity.numpy() - expected).max() < 5e-3
    assert np.abs(colours.numpy() - expected[:, None] * colour).max() < 5e-3
    middle = np.argmax(inside)
    # integral of (near + s) density exp(-density s) over the box
    passed = math.exp(-density * inside[middle])
    mean = (1 - passed * (1 + density * inside[middle])) / density
    wanted = ends[middle][0] * (1 - passed) + mean
    assert abs(depth[middle].item() - wanted) < 0.01


@pytest.mark.kernel
def test_vertices_that_are_seen_are_the_twins():
    bricks, camera = make_bricks(share=0.5), make_camera()
    limits = {"min_weight": 0.05, "min_transmittance": 0.1}
    pose, intrinsics, size = camera
    other = make_camera((-0.8, 0.4, 1.4))[0]
    found = ops.bricks_seen(
        bricks, torch.stack([pose, other]), intrinsics.expand(2, 4), size, step=STEP, **limits
    )
    expected = np.zeros(found.shape, bool)
    for eye in (pose, other):
        expected |= reference_bricks.draw(bricks, eye, intrinsics, size, SPEC, **limits)[3]
    assert expected.any() and not expected.all()
    assert (found.numpy().astype(bool) != expected).mean() < 0.01


def test_no_pixels_no_bricks_and_rays_that_miss():
    bricks = make_bricks()
    pose, intrinsics, _ = make_camera()
    assert ops.bricks_render(bricks, pose, intrinsics, (0, 5), step=STEP)[0].shape == (0, 3)
    away = make_camera((1.6, 1.9, 1.2), (3.0, 3.0, 3.0))
    nothing = ops.Bricks(
        torch.full((2, 2, 2), -1, dtype=torch.int32),
        torch.zeros(0, 64, dtype=torch.int32),
        torch.zeros(0, 256, dtype=torch.uint8),
        torch.zeros(0, ROW, dtype=torch.uint8),
        bricks.densities,
        bricks.palette,
    )
    for seen, camera in ((bricks, away), (nothing, make_camera())):
        for values in ops.bricks_render(seen, *camera, step=STEP):
            assert not values.any()
    assert ops.bricks_seen(nothing, pose[None], intrinsics[None], (9, 9), step=STEP).shape == (
        0,
        125,
    )


def test_the_bits_do_not_depend_on_the_number_of_threads():
    bricks, camera = make_bricks(share=0.5), make_camera(size=(90, 70), focal=90.0)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(ops.bricks_render(bricks, *camera, step=STEP))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_cancelled_picture_stops():
    bricks = make_bricks(share=1.0, log_density=(-9.0, -5.0))
    pose, intrinsics, _ = make_camera()
    cancel = torch.zeros(1, dtype=torch.uint8)
    timer = threading.Timer(0.02, lambda: cancel.fill_(1))
    timer.start()
    with pytest.raises(RuntimeError, match="cancelled"):
        ops.bricks_render(
            bricks, pose, 200 * intrinsics, (4000, 4000), step=1e-5, cancel=cancel, **EXACT
        )
    timer.join()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pose": torch.zeros(4, 4)}, "pose must be"),
        ({"intrinsics": torch.zeros(3)}, "intrinsics must be"),
        ({"pose": torch.zeros(3, 4).double()}, "pose must be float32"),
        ({"size": (9, -1)}, "height must be"),
        ({"size": (60000, 60000)}, "at most 2.28 pixels"),
        ({"step": 0.0}, "step must be"),
        ({"near": -1.0}, "near must be"),
        ({"cancel": torch.zeros(1)}, "cancel must be"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    pose, intrinsics, size = make_camera()
    given = {"pose": pose, "intrinsics": intrinsics, "size": size, "step": STEP} | change
    with pytest.raises(ValueError, match=message):
        ops.bricks_render(make_bricks(), **given)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("blocks", torch.zeros(2, 2, 1, dtype=torch.int32), "blocks must be"),
        ("pages", torch.zeros(3, 64), "pages must be torch.int32"),
        ("vertices", torch.zeros(3, 128, dtype=torch.uint8), "vertices must be"),
        ("colours", torch.zeros(3, 32, dtype=torch.uint8), "colours must be"),
        ("densities", torch.zeros(3), "densities must be"),
        ("palette", torch.zeros(17, 3, 5), "palette must be"),
        ("palette", torch.zeros(16, 3, 4), "palette must be"),
    ],
)
def test_bricks_that_do_not_fit_together_are_refused(name, tensor, message):
    names = ("blocks", "pages", "vertices", "colours", "densities", "palette")
    tensors = dict(zip(names, make_bricks().args(), strict=True)) | {name: tensor}
    with pytest.raises(ValueError, match=message):
        ops.Bricks(**tensors)


def test_opcheck():
    bricks = make_bricks()
    pose, intrinsics, size = make_camera()
    cameras = (pose[None], intrinsics[None], *size, *bricks.args(), 0.0, STEP, 1e-3, 1e-2)
    torch.library.opcheck(torch.ops.fields.bricks_render.default, (*cameras, 0.0, None))
    torch.library.opcheck(torch.ops.fields.bricks_seen.default, cameras)
