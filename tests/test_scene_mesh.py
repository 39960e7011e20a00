"""The surface of a fitted scene: its mesh, its points, and what is left out of them."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from scene_fits import SMALL, make
from small import one_line

import fields
from fields import FieldsError, ops
from fields.occupancy import cells
from fields.runs import scene_mesh
from fields.runs.density import contracted
from fields.scenes.depths import read_depth
from fields.shapes.floaters import small_parts, without
from fields.shapes.write import _to_z_up  # pyright: ignore[reportPrivateUsage]

Z = np.array([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def run(demo_run):
    return demo_run


def test_a_known_surface_is_compared_with_the_mesh(run, command):
    known = run.source().path / "geometry.ply"
    status, out, _ = command("eval", run.path, known, "--json")
    figures = json.loads(out)
    assert status == 0 and "psnr" not in out.split('"chamfer_l1"')[1]
    assert figures["chamfer_l1"] < 0.05 and 0.3 < figures["f_score"] <= 1 and "iou" not in figures
    status, _, err = command("eval", run.path, known, "--split", "val")
    assert status == 2 and "--split is of views" in one_line(err)


def test_what_no_camera_sees_is_left_out(run, command):
    small = ("--resolution", 64)
    assert command("mesh", run.path, "-o", "all.ply", "--keep-unseen", *small)[0] == 0
    assert command("mesh", run.path, "-o", "seen.ply", *small)[0] == 0
    every: Any = trimesh.load("all.ply", force="mesh", process=False)
    seen: Any = trimesh.load("seen.ply", force="mesh", process=False)
    assert 0.2 < len(seen.faces) / len(every.faces) < 0.95
    # Cameras stand above: of what is left most faces look up or sideways.
    assert (seen.face_normals[:, 2] > -0.5).mean() > (every.face_normals[:, 2] > -0.5).mean()
    hidden = scene_mesh.unseen(run, *run.mesh(32, keep_unseen=True)[:2])
    assert 0 < hidden.mean() < 1


def test_a_mesh_stands_where_the_scene_is_and_has_its_colours(run, command):
    assert command("mesh", run.path, "-o", "a.ply", "--resolution", 64, "--drop-floaters")[0] == 0
    mesh: Any = trimesh.load("a.ply", force="mesh", process=False)
    true = trimesh.load(run.source().path / "geometry.ply", force="mesh", process=False)
    sides = (slice(None), slice(2)), (1, 2)  # no camera sees it from below
    for at in sides:
        assert np.allclose(mesh.bounds[at], true.bounds[at], atol=0.1)
    colours = np.asarray(mesh.visual.vertex_colors)[:, :3].astype(float)
    assert colours.std(0).max() > 20
    assert command("mesh", run.path, "-o", "a.glb", "--resolution", 64, "--drop-floaters")[0] == 0
    turned = trimesh.load("a.glb", force="mesh", process=False)
    x, y, z = mesh.bounds.T
    assert np.allclose(turned.bounds.T, [x, z, -y[::-1]], atol=1e-3)


def test_levels_are_densities_over_a_unit_of_the_source(run):
    thin, thick = run.mesh(32, 5.0), run.mesh(32, 100.0)
    assert not np.array_equal(thin[0].shape, thick[0].shape)
    for wrong in (-1.0, 0.0, math.nan):
        with pytest.raises(FieldsError, match="--level of a scene is a density"):
            run.mesh(32, wrong)
    with pytest.raises(FieldsError, match=r"there is no surface at 1e\+12"):
        run.mesh(16, 1e12)


def test_points_lie_near_the_surface(run, command):
    status, out, _ = command("mesh", run.path, "--points", 500, "-o", "p.ply")
    assert status == 0 and "500 points" in out
    cloud = trimesh.load("p.ply")
    assert isinstance(cloud, trimesh.PointCloud)
    points = np.asarray(cloud.vertices)
    low, high = trimesh.load(run.source().path / "geometry.ply").bounds
    assert ((points > low - 0.2) & (points < high + 0.2)).all(1).mean() > 0.95
    assert np.asarray(cloud.colors)[:, :3].std(0).max() > 20


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    folder = tmp_path_factory.mktemp("endless")
    scene = make(folder / "out", views=24, size=32, outdoors=True)
    return fields.fit(scene, out=folder / "run", steps=600, **SMALL)


def test_of_a_scene_without_an_end_all_is_seen_and_the_box_is_meshed(endless):
    run = endless
    scene = run.source()
    assert scene.unbounded and run.field.march.contract
    frame, (colours, opacity, distance), _, _ = next(run.views(scene))
    assert opacity.mean() > 0.9
    known = read_depth(frame, scene.downscale)
    assert known is not None
    depths = run.values(frame.camera, (colours, opacity, distance), "depth")
    near = (known > 0) & (known < 6)
    assert np.median(np.abs(depths - known)[near]) < 0.6  # of some 5
    vertices, faces, normals = run.mesh(32)
    assert len(faces) > 100 and np.isfinite(normals).all()
    assert (vertices >= run.box[0] - 1e-6).all() and (vertices <= run.box[1] + 1e-6).all()
    points, shades = scene_mesh.points(run, 2000)
    assert len(points) == len(shades) == 2000
    on_ground = np.abs(points[:, 2] + 0.7) < 0.5
    assert on_ground.mean() > 0.4  # the plinth and the flags around it


def test_cells_of_an_occupancy_are_read_back():
    density = (torch.rand(1, 32, 32, 32) > 0.9).float() * 100
    none = torch.zeros(0, dtype=torch.int64)
    bits = ops.occupancy_update(density, none, none.float(), decay=1.0, threshold=5.0)
    assert torch.equal(cells(bits[0], 32), density[0] > 5)


def test_space_is_contracted_as_the_kernels_do():
    points = torch.tensor([[0.5, 0.5, 0.5], [1.0, 0.0, 0.5], [1e6, 0.5, 0.5]])
    expected = torch.tensor([[0.5, 0.5, 0.5], [0.75, 0.25, 0.5], [1.0, 0.5, 0.5]])
    assert torch.allclose(contracted(points), expected, atol=1e-5)


def test_small_parts_are_told_from_large_ones():
    large = np.stack([np.arange(300), np.arange(300) + 1, np.arange(300) + 2], 1)
    faces = np.concatenate([large, [[400, 401, 402]], large + 500])
    small = small_parts(faces)
    assert small.sum() == 1 and small[300]
    kept, used = without(faces, small)
    assert np.array_equal(used[kept], faces[~small])


@pytest.mark.parametrize("up", [(0, 0, 1), (0, 1, 0), (0, 0, -1), (0.6, 0, 0.8), (-0.6, 0.8, 0)])
def test_any_direction_can_be_turned_up(up):
    turned = _to_z_up(np.concatenate([np.eye(3), [up]]), up)
    assert np.allclose(turned[3], Z) and np.linalg.det(turned[:3]) == pytest.approx(1)
