"""Rays of cameras against the closed forms of what their lenses do."""

import math

import numpy as np
import pytest

from fields.cameras import Camera, look_at
from fields.lens import Fisheye, Perspective

LENSES = {
    "straight": Perspective(),
    "barrel": Perspective((-0.28, 0.09, 0.0, 0.0), (1.2e-3, -8e-4)),
    "pincushion": Perspective((0.2, 0.05, 0.01, 0.002), (-2e-3, 1e-3)),
    "fisheye": Fisheye((0.04, -0.012, 0.004, -0.0007)),
    "plain fisheye": Fisheye(),
}
POSE = look_at(np.array([3.0, -2.0, 1.5]), np.array([0.2, 0.1, -0.3]), np.array([0.0, 0.0, 1.0]))


def camera(lens, focal=300.0):
    return Camera(POSE, 640, 480, focal, 1.02 * focal, 325.5, 236.25, lens)


def pixels(count=500, seed=0):
    """At any fraction, all over the picture and a little beyond."""
    return np.random.default_rng(seed).uniform((-10, -10), (650, 490), (count, 2))


def opencv(point, view):
    """A pixel as OpenCV's documentation has it (calib3d; fisheye), for one point in the world."""
    x, y, z = view.cam_to_world[:3, :3].T @ (point - view.cam_to_world[:3, 3]) * (1, -1, -1)
    a, b = x / z, y / z
    r = math.hypot(a, b)
    k1, k2, k3, k4 = view.lens.radial
    if isinstance(view.lens, Fisheye):
        t = math.atan(r)
        t_d = t * (1 + k1 * t**2 + k2 * t**4 + k3 * t**6 + k4 * t**8)
        u, v = a * t_d / r, b * t_d / r
    else:
        p1, p2 = view.lens.tangential
        f = 1 + k1 * r**2 + k2 * r**4 + k3 * r**6 + k4 * r**8
        u = a * f + 2 * p1 * a * b + p2 * (r**2 + 2 * a**2)
        v = b * f + p1 * (r**2 + 2 * b**2) + 2 * p2 * a * b
    return view.fl_x * u + view.cx, view.fl_y * v + view.cy


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
def test_rays_go_through_the_points_that_are_seen_at_their_pixels(lens):
    view = camera(lens)
    places = pixels()
    origins, directions = view.rays_of(places)
    assert np.allclose(origins, POSE[:3, 3])
    assert np.allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-14)
    points = origins + np.random.default_rng(1).uniform(0.5, 9, (len(places), 1)) * directions
    wanted = np.array([opencv(point, view) for point in points])
    assert np.abs(wanted - places).max() < 1e-8
    seen, depth = view.project(points)
    assert np.abs(seen - places).max() < 1e-8
    assert np.allclose(depth, (points - POSE[:3, 3]) @ view.forward)


def test_the_rays_of_a_picture_are_those_of_its_pixel_centres():
    view = Camera(POSE, 5, 3, 4.0, 5.0, 2.25, 1.5, LENSES["barrel"])
    origin, directions = view.rays()
    centres = [(x + 0.5, y + 0.5) for y in range(3) for x in range(5)]
    origins, wanted = view.rays_of(np.array(centres))
    assert np.array_equal(directions, wanted) and np.array_equal(origins[0], origin)


def test_a_camera_without_distortion_is_a_pinhole():
    view = Camera.simple(np.eye(4), 8, 6, 10.0)
    _, directions = view.rays_of(np.array([[4.0, 3.0], [8.0, 0.0]]))
    corner = np.array([0.4, 0.3, -1.0])  # right and up in OpenGL's axes
    assert np.allclose(directions, [[0, 0, -1], corner / np.linalg.norm(corner)])


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
def test_a_smaller_picture_has_the_same_rays(lens):
    large = camera(lens)
    small = large.resized(160, 160, 1 / 4, 1 / 3)
    places = pixels(50)
    wanted = large.rays_of(places)[1]
    assert np.allclose(small.rays_of(places * (1 / 4, 1 / 3))[1], wanted, atol=1e-12)
    twice = large.enlarged(2)
    assert (twice.width, twice.height) == (1280, 960)
    assert np.allclose(twice.rays_of(places * 2)[1], wanted, atol=1e-12)


def test_a_fisheye_sees_what_is_beside_and_behind_it():
    view = Camera(np.eye(4), 200, 200, 60.0, 60.0, 100.0, 100.0, LENSES["fisheye"])
    angles = np.radians([0.0, 45.0, 89.0, 90.0, 91.0, 100.0])
    points = np.stack([np.sin(angles), 0 * angles, -np.cos(angles)], axis=1) * 7
    seen, depth = view.project(points)
    assert np.isfinite(seen).all() and (np.diff(seen[:, 0]) > 0).all()
    assert depth[-1] < 0 < depth[1]
    back = view.rays_of(seen)[1]
    assert np.allclose(back * 7, points, atol=1e-9)


def test_a_point_that_a_lens_does_not_show_has_no_pixel():
    straight = camera(LENSES["straight"])
    behind = POSE[:3, 3] - straight.forward
    assert np.isnan(straight.project(behind[None])[0]).all()
    # With k1 = -0.3 alone, r - 0.3 r^3 turns back at r = sqrt(1 / 0.9).
    folded = Camera(np.eye(4), 64, 64, 20.0, 20.0, 32.0, 32.0, Perspective((-0.3, 0, 0, 0)))
    turn = math.sqrt(1 / 0.9)
    seen = folded.project(np.array([[turn * 0.99, 0, -1], [turn * 1.01, 0, -1]]))[0]
    assert np.isfinite(seen[0]).all() and np.isnan(seen[1]).all()
    # A pixel further out than anything is shown gets the outermost ray.
    ray = folded.local_rays_of(np.array([[64.0, 32.0]]))[0]
    assert ray[0] / -ray[2] == pytest.approx(turn) and abs(ray[1]) < 1e-12


def test_places_beyond_a_lens_that_is_tangential_too_get_its_outermost_rays():
    lens = Perspective((-0.3, 0, 0, 0), (0.002, -0.001))
    x, y = np.meshgrid(*[np.linspace(-1.5, 1.5, 121)] * 2)
    places = np.stack([x.ravel(), y.ravel()], 1)
    rays = lens.rays_of(places)
    outside = np.linalg.norm(places, axis=1) > 1.05 * lens.farthest
    across, wanted = rays[outside, :2], places[outside]
    along = (across * wanted).sum(1)
    assert (along > 0.999 * np.linalg.norm(across, axis=1) * np.linalg.norm(wanted, axis=1)).all()
    inside = np.linalg.norm(places, axis=1) < 0.95 * lens.farthest
    assert np.allclose(lens.places_of(rays[inside]), places[inside], atol=1e-9)


def test_a_camera_knows_what_its_lens_shows():
    wide = Camera(np.eye(4), 64, 48, 30.0, 30.0, 32.0, 24.0, Perspective((-0.3, 0, 0, 0)))
    assert not wide.shows_all and 0.25 < wide.shown.mean() < 0.9
    assert wide.shown[24, 32] and not wide.shown[0, 0]
    assert camera(Perspective((-0.28, 0.09, 0, 0))).shows_all
    near = camera(Perspective((-0.1, 0, 0, 0)), focal=500.0)  # it folds, but beside the picture
    assert near.lens.farthest < 2 and near.shows_all and near.shown.all()
