"""What made scenes show: solids, triangles and their surfaces, ground and sky."""

import numpy as np
import pytest
from shape_files import open3d, write_mesh

fields_scenes = pytest.importorskip("fields_scenes", reason="scenes/ is not installed")

from fields_scenes.bending import bent, sway  # noqa: E402
from fields_scenes.demo import SOLIDS  # noqa: E402
from fields_scenes.model import read_model  # noqa: E402
from fields_scenes.outdoors import FAR, Outdoors  # noqa: E402
from fields_scenes.patterns import checks  # noqa: E402
from fields_scenes.solids import Solid, Solids  # noqa: E402
from fields_scenes.triangles import Cast, Triangles, smooth_normals  # noqa: E402


def test_a_thing_that_sways_rests_at_both_ends_and_bends_between():
    places = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    for time in (0.0, 0.5, 1.0):
        assert np.allclose(sway(places, time, -1, 2), places, atol=1e-12)
    top = sway(np.array([[0.0, 0.0, 1.0]]), 0.25, -1, 2)
    assert np.linalg.norm(top - (0, 0, -1)) == pytest.approx(2)
    assert top[0, 0] > 0.9
    assert np.allclose(sway(np.array([[0.3, 0.2, -1.0]]), 0.25, -1, 2), (0.3, 0.2, -1))


def ball(rounds=4):
    import trimesh

    made = trimesh.creation.icosphere(rounds)
    corners = made.vertices[made.faces].astype(np.float32)
    return Triangles(
        corners=corners,
        normals=smooth_normals(corners),
        colours=np.ones_like(corners),
        texture=np.full(len(corners), -1),
        uv=np.zeros((*corners.shape[:2], 2), np.float32),
    )


def test_normals_bend_with_their_surface():
    curved = bent(ball(), 0.25)
    edges = curved.corners[:, 1:] - curved.corners[:, :1]
    flat = np.cross(edges[:, 0], edges[:, 1])
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    cosine = (curved.normals * flat[:, None]).sum(2)
    assert cosine.min() > 0.97
    assert np.allclose(np.linalg.norm(curved.normals, axis=2), 1, atol=1e-5)


def test_what_is_round_is_smooth_and_edges_stay():
    import trimesh

    round_ = ball(3)
    assert (round_.normals * round_.corners).sum(2).min() > 0.999
    box = trimesh.creation.box((1, 2, 3))
    normals = smooth_normals(box.vertices[box.faces].astype(np.float32))
    assert np.allclose(normals, np.repeat(box.face_normals[:, None], 3, axis=1), atol=1e-6)
    pole = trimesh.creation.cylinder(1, 2, 32)
    corners = pole.vertices[pole.faces].astype(np.float32)
    normals = smooth_normals(corners)
    side = np.abs(pole.face_normals[:, 2]) < 0.5
    outward = corners[side] * (1, 1, 0)
    assert np.allclose(normals[side], outward, atol=1e-3)
    assert np.allclose(np.abs(normals[~side][..., 2]), 1, atol=1e-6)


def test_a_split_triangle_is_the_same_surface():
    coarse = ball(1)
    fine = coarse.split(0.2)
    assert len(fine.corners) == 16 * len(coarse.corners)

    def area(triangles):
        edges = triangles.corners[:, 1:] - triangles.corners[:, :1]
        return np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum()

    assert area(fine) == pytest.approx(area(coarse), rel=1e-5)
    assert len(coarse.split(1e-6, most=1000).corners) <= 1000


KINDS = ["ball", "cube", "cylinder", "cone"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_solid_in_closed_form_is_met_where_its_mesh_is(kind):
    open3d()
    solid = Solid(
        kind, (0.5, 0.7, 0.4), (0.2, -0.1, 0.3), checks((1, 1, 1), (0, 0, 0), 0.2), 25, 40
    )
    exact = Solids([solid])
    vertices, faces = exact.mesh()
    corners = vertices[faces].astype(np.float32)
    plain = np.ones_like(corners)
    none = np.full(len(corners), -1)
    meshed = Cast(Triangles(corners, smooth_normals(corners), plain, none, plain[..., :2]))
    assert (vertices >= exact.box[0] - 1e-6).all() and (vertices <= exact.box[1] + 1e-6).all()
    rng = np.random.default_rng(0)
    origins = rng.normal(size=(3000, 3)).astype(np.float32)
    origins *= 3 / np.linalg.norm(origins, axis=1, keepdims=True)
    aims = np.array(solid.place) + rng.uniform(-0.8, 0.8, (3000, 3)) - origins
    directions = (aims / np.linalg.norm(aims, axis=1, keepdims=True)).astype(np.float32)
    ours, theirs = exact.cast(origins, directions), meshed.cast(origins, directions)
    both, a, b = np.intersect1d(ours.rays, theirs.rays, return_indices=True)
    assert len(both) > 600
    assert len(np.setxor1d(ours.rays, theirs.rays)) < 0.02 * len(both)
    gap = np.abs(ours.distances[a] - theirs.distances[b])
    assert np.median(gap) < 1e-3 and np.quantile(gap, 0.98) < 0.01
    cosine = (ours.normals[a] * theirs.normals[b]).sum(1)
    assert np.quantile(cosine, 0.05) > 0.99
    assert (((ours.normals * directions[ours.rays]).sum(1)) < 0.01).all()
    assert np.array_equal(np.flatnonzero(exact.is_hit(origins, directions)), ours.rays)


def test_a_texture_is_seen_the_right_way_round(tmp_path):
    open3d()
    import trimesh
    from PIL import Image
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    # A square in the plane of z, up in its file; red and green above, blue and white below.
    vertices = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    picture = np.array([[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 255)]], np.uint8)
    picture = picture.repeat(32, 0).repeat(32, 1)
    material = PBRMaterial(baseColorTexture=Image.fromarray(picture))
    visual = TextureVisuals(uv=uv, material=material)
    square = trimesh.Trimesh(vertices, [[0, 1, 2], [0, 2, 3]], visual=visual, process=False)
    path = write_mesh(tmp_path / "square.glb", square)
    thing = Cast(read_model(path, up="z"))
    origins = np.array([[-0.4, 0.4, 2], [0.4, 0.4, 2], [-0.4, -0.4, 2], [0.4, -0.4, 2]], np.float32)
    down = np.tile(np.array([0, 0, -1], np.float32), (4, 1))
    hits = thing.cast(origins, down)
    assert np.allclose(hits.colours, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], atol=0.01)
    assert np.allclose(hits.normals, [0, 0, 1], atol=1e-5)


def test_colours_of_vertices_are_kept_and_a_plain_mesh_is_painted(tmp_path):
    import trimesh
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    box = trimesh.creation.box()
    plain = read_model(write_mesh(tmp_path / "plain.stl", box.copy()))
    assert plain.pattern is not None and (plain.colours == 1).all()
    tinted = box.copy()
    tinted.visual = TextureVisuals(material=PBRMaterial(baseColorFactor=[255, 0, 0, 255]))
    tinted = read_model(write_mesh(tmp_path / "tinted.glb", tinted))
    assert tinted.pattern is None and (tinted.colours == (1, 0, 0)).all()
    colours = np.array([[0, 255, 0, 255]] + 7 * [[255, 0, 0, 255]], np.uint8)
    box = trimesh.Trimesh(box.vertices, box.faces, vertex_colors=colours, process=False)
    coloured = read_model(write_mesh(tmp_path / "red.ply", box))
    assert coloured.pattern is None
    assert np.allclose(np.unique(coloured.colours.reshape(-1, 3), axis=0), [[0, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize(("up", "axis"), [("x", 0), ("y", 1), ("z", 2), (None, 1)])
def test_what_is_up_in_the_file_is_up_in_the_scene(tmp_path, up, axis):
    import trimesh

    size = np.ones(3)
    size[axis] = 4
    read = read_model(write_mesh(tmp_path / "tower.ply", trimesh.creation.box(size)), up=up)
    extent = np.ptp(read.corners.reshape(-1, 3), axis=0)
    assert extent.argmax() == 2
    assert np.linalg.norm(read.corners.reshape(-1, 3), axis=1).max() == pytest.approx(1.15)


def test_the_sky_is_a_ball_around_ground_and_thing():
    thing = Outdoors(Solids(SOLIDS), -0.7)
    draws = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    directions = draws / np.linalg.norm(draws, axis=1, keepdims=True)
    origin = np.array([0.5, -2.0, 1.0], np.float32)
    hits = thing.cast(origin, directions)
    assert sorted(hits.rays) == list(range(400))
    points = origin + hits.distances[:, None] * directions[hits.rays]
    radius, height = np.linalg.norm(points, axis=1), points[:, 2]
    assert np.isclose(radius.max(), FAR, rtol=1e-4)
    far = radius > FAR - 1e-2
    near = np.abs(height + 0.7) < 1e-3
    assert far.sum() > 100 and near.sum() > 50 and (height > -0.7 - 1e-3).all()
