"""Pictures of a shape from its field, against closed forms."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from traced import ball, fitted, ring, values_of

from fields import Cancelled, FieldsError, camera_paths, cameras
from fields.leaps import leaps_of
from fields.lens import Perspective
from fields.pixel_rays import directions_of
from fields.shapes import ShapeSpace
from fields.tracing import Tracer, draw

CPU = torch.device("cpu")
SPACE = ShapeSpace(0.5, (0.5, 0.5, 0.5))  # the cube from -1 to 1 of the source


def sphere(points, radius=0.3):
    return (points - 0.5).norm(dim=1) - radius


def occupancy(points):
    return torch.tanh(50 * sphere(points))


def rays(count=400, seed=0):
    """From outside of the cube, most of them through the sphere."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    aim = 0.5 + 0.25 * (torch.rand(count, 3, generator=generator) - 0.5)
    origins = 0.5 + 1.5 * start
    return origins, torch.nn.functional.normalize(aim - origins, dim=1)


def exact(origins, directions, radius=0.3):
    o = (origins - 0.5).double()
    b = (o * directions.double()).sum(1)
    inside = b**2 - (o**2).sum(1) + radius**2
    return torch.where(inside > 0, -b - inside.clamp(min=0).sqrt(), math.inf)


@pytest.mark.parametrize(
    "tracer",
    [
        Tracer(sphere),
        Tracer(lambda p: 3 * sphere(p), bound=3.3),
        Tracer(occupancy, bound=None, least=2e-3),
        Tracer(occupancy, bound=None, least=2e-3, leaps=leaps_of(occupancy, CPU)),
        Tracer(lambda p: sphere(p).abs(), near=1e-4, least=5e-5),
    ],
    ids=["distance", "steeper", "occupancy", "leaps", "unsigned"],
)
def test_rays_meet_a_sphere_where_they_do(tracer):
    origins, directions = rays()
    found, wanted = tracer.hits(origins, directions), exact(origins, directions)
    grazing = wanted.isfinite() & (sphere(origins + wanted[:, None] * directions).abs() > 1e-3)
    assert (found.isfinite() == wanted.isfinite())[~grazing].float().mean() > 0.99
    both = found.isfinite() & wanted.isfinite()
    assert both.sum() > 200
    assert (found - wanted)[both].abs().max() < 5e-3
    assert (found - wanted)[both].abs().median() < 5e-4


def test_leaps_end_before_an_inside_and_spare_most_questions():
    leaps = leaps_of(occupancy, CPU)
    assert leaps is not None
    points = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0))
    assert (leaps(points) <= sphere(points).clamp(min=0)).logical_or(leaps(points) <= 0).all()
    asked = []

    def counted(points):
        asked.append(len(points))
        return occupancy(points)

    wanted = Tracer(counted, bound=None, least=2e-3).hits(*rays())
    without, asked[:] = sum(asked), []
    found = Tracer(counted, bound=None, least=2e-3, leaps=leaps).hits(*rays())
    assert sum(asked) < 0.25 * without
    assert (wanted.isfinite() == found.isfinite()).float().mean() > 0.99
    assert leaps_of(lambda points: points[:, 0] + 2, CPU) is None


def test_rays_do_not_leap_over_a_sheet_between_the_vertices_of_the_grid():
    def sheet(points):  # 1/200 thick; the vertices around it are at 64/128 and 65/128
        return torch.tanh(50 * ((points[:, 2] - 64.5 / 128).abs() - 1 / 400))

    tracer = Tracer(sheet, bound=None, least=1 / 384, leaps=leaps_of(sheet, CPU))
    origins = torch.rand(100, 3, generator=torch.Generator().manual_seed(0))
    origins[:, 2] = 2.0
    found = tracer.hits(origins, torch.tensor([[0.0, 0.0, -1.0]]).expand(100, 3))
    assert (found - (2 - 64.5 / 128)).abs().max() < 4e-3


def test_rays_that_miss_the_cube_or_begin_behind_it_meet_nothing():
    origins = torch.tensor([[2.0, 2.0, 2.0], [-1.0, 0.5, 0.5], [0.5, 0.5, -1.0]])
    directions = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    found = Tracer(sphere).hits(origins, directions)
    assert found.isinf().tolist() == [True, True, False]
    assert found[2].item() == pytest.approx(1.2, abs=1e-3)


HALF = torch.tensor([[0.2, 0.1, 0.1], [0.5, 0.9, 0.9]])  # of the ball, cut through its middle


@pytest.mark.parametrize(
    "tracer",
    [
        Tracer(sphere),
        Tracer(sphere, box=torch.tensor([[0.15] * 3, [0.85] * 3])),
        Tracer(occupancy, bound=None, least=2e-3, leaps=leaps_of(occupancy, CPU)),
        Tracer(lambda p: sphere(p).abs(), near=1e-3, least=5e-4, back=4e-3),
    ],
    ids=["distance", "boxed", "occupancy", "unsigned"],
)
def test_a_crop_box_shows_what_lies_in_it_and_its_faces_where_it_cuts(tracer):
    generator = torch.Generator().manual_seed(0)
    origins, aims = rays(8)[0], 0.5 + 0.25 * torch.randn(100, 3, generator=generator)
    with_inside = float(tracer.values(torch.full((1, 3), 0.5))) < 0
    for origin in origins:
        directions = torch.nn.functional.normalize(aims - origin, dim=1)
        hit, t, normals = dataclasses.replace(tracer, crop=HALF).surface(origin, directions)
        points = origin + t[:, None] * directions[hit]
        assert (points >= HALF[0] - 1e-4).all() and (points <= HALF[1] + 1e-4).all()
        cut = (points[:, 0] - 0.5).abs() < 1e-5
        deep = sphere(points) < -2e-3
        assert (cut | ~deep).all()
        face = torch.tensor([1.0, 0.0, 0.0])
        if with_inside:
            assert torch.equal(normals[deep], face.expand(int(deep.sum()), 3))
        else:
            assert not deep.any()
        around = torch.nn.functional.normalize(points - 0.5, dim=1)
        assert ((normals * around).sum(1)[~cut].abs() > 0.98).all()


def test_a_field_that_walks_by_itself_is_cropped_as_by_the_walk_here():
    field = fitted(ball)
    values = values_of(field)
    camera = cameras.around(np.zeros(3), 1.0, (64, 48), azimuth=60)
    pictures = [
        draw(Tracer(values, crop=HALF, walk=walk), camera, SPACE, shading="normals", smooth=1)
        for walk in (None, field.trace)
    ]
    whole = draw(Tracer(values), camera, SPACE, shading="normals", smooth=1)
    differs = (np.abs(pictures[0].astype(int) - pictures[1]) > 8).any(2)
    assert differs.mean() < 0.01
    assert ((pictures[1] < 255).any(2)).sum() < 0.9 * (whole < 255).any(2).sum()
    face = (pictures[1] == np.array([255, 128, 128])).all(2)
    assert face.sum() > 100


def test_a_picture_of_a_sphere():
    camera = cameras.around(np.zeros(3), 1.0, (64, 48), azimuth=0, elevation=0)
    picture = draw(Tracer(sphere), camera, SPACE, shading="normals")
    assert picture.shape == (48, 64, 3) and picture.dtype == np.uint8
    assert (picture[0] == 255).all() and (picture[:, 0] == 255).all()
    middle = picture[24, 32] / 255
    assert np.allclose(middle, [0.5, 0.5, 1.0], atol=0.05)  # it looks along -z
    assert picture[24, 40, 0] > 150 > picture[24, 24, 0]  # x to the right
    assert picture[16, 32, 1] > 150 > picture[32, 32, 1]  # y up
    radius = np.count_nonzero((picture[24] < 255).any(1)) / 2
    distance = np.linalg.norm(camera.cam_to_world[:3, 3])
    assert radius == pytest.approx(camera.focal * 0.6 / math.sqrt(distance**2 - 0.36), abs=1)


def test_a_drawing_can_be_stopped():
    camera = cameras.around(np.zeros(3), 1.0, (8, 8))
    cancel = torch.ones(1, dtype=torch.uint8)
    field = fitted(ball, steps=1)
    for tracer in (Tracer(sphere), Tracer(values_of(field), walk=field.trace)):
        with pytest.raises(Cancelled):
            draw(tracer, camera, SPACE, cancel=cancel)


@pytest.mark.parametrize("shading", ["lit", "normals", "depth", "colour"])
def test_a_field_that_walks_by_itself_gives_the_same_picture(shading):
    field = fitted(ring)
    camera = cameras.around(np.zeros(3), 1.0, (61, 47), azimuth=20, elevation=30)
    tracer = Tracer(values_of(field), level=0.01)
    drawn = [
        draw(t, camera, SPACE, shading=shading, two_sided=True).astype(int)
        for t in (tracer, dataclasses.replace(tracer, walk=field.trace))
    ]
    assert drawn[0].min() < 200
    off = np.abs(drawn[0] - drawn[1]).max(-1)
    assert off.mean() < 0.5 and (off > 16).mean() < 0.005


def test_the_rays_of_a_picture_are_the_cameras():
    straight = cameras.around(np.zeros(3), 1.0, (9, 7), azimuth=20, elevation=30)
    bent = dataclasses.replace(straight, lens=Perspective(radial=(0.1, 0.0, 0.0, 0.0)))
    for camera in (straight, straight.cropped(2, 3, 8, 7), bent):
        wanted = torch.from_numpy(camera.rays()[1]).float()
        torch.testing.assert_close(directions_of(camera, None), wanted)


def test_cameras_of_a_file(tmp_path):
    pose = cameras.around(np.zeros(3), 1.0, (8, 8), azimuth=77).cam_to_world
    path = tmp_path / "path.json"
    views = [{"camera_to_world": pose.ravel().tolist(), "fov": 50}]
    path.write_text(json.dumps({"camera_path": views}))
    (shot,) = camera_paths.read(path, (80, 60), (8, 8)).shots
    camera = shot.camera
    assert np.allclose(camera.cam_to_world, pose)
    assert camera.focal == pytest.approx(30 / math.tan(math.radians(25)))
    frames = {"camera_angle_x": 0.8, "frames": [{"transform_matrix": pose.tolist()}] * 2}
    path.write_text(json.dumps(frames))
    found = [shot.camera.focal for shot in camera_paths.read(path, None, (80, 60)).shots]
    assert found == [pytest.approx(40 / math.tan(0.4))] * 2
    for wrong in ("{", "[]", "{}", '{"frames": [{"transform_matrix": [[1, 2], [3, 4]]}]}'):
        path.write_text(wrong)
        with pytest.raises(FieldsError, match=r"path\.json"):
            camera_paths.read(path, (8, 8), (8, 8))


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_a_camera_sees_its_centre_with_up_upwards(up):
    centre = np.array([1.0, 2.0, 3.0])
    for camera in cameras.orbit(5, centre, 2.0, (9, 9), up=up):
        origin, directions = camera.rays()
        towards = (centre - origin) / np.linalg.norm(centre - origin)
        assert np.allclose(directions[40], towards)
        assert camera.cam_to_world[:3, 1] @ cameras.UPS[up] > 0.8
        turn = camera.cam_to_world[:3, :3]
        assert np.allclose(turn.T @ turn, np.eye(3)) and np.linalg.det(turn) == pytest.approx(1)
