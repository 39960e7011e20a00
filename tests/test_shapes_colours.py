"""The colours of a mesh are those that its file says, whatever way it says them."""

import hashlib
import json

import numpy as np
import pytest
import trimesh
import trimesh.exchange.gltf
import trimesh.visual
from PIL import Image
from shape_files import box

from fields.shapes import read_shape
from fields.shapes.colours import MeshColours, Painted, PointColours, Texture, of_parts
from fields.shapes.materials import Materials
from fields.shapes.srgb import from_linear, to_linear

QUARTERS = np.zeros((8, 8, 3), np.uint8)  # of a picture, from above: red, green; blue, white
QUARTERS[:4, :4], QUARTERS[:4, 4:] = (255, 0, 0), (0, 255, 0)
QUARTERS[4:, :4], QUARTERS[4:, 4:] = (0, 0, 255), (255, 255, 255)
SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
LAID = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nusemtl skin\nf 1/1 2/2 3/3 4/4\n"
Material = trimesh.visual.material.PBRMaterial


def seen(shape, point, count=1 << 14):
    """uint8 sRGB at the sample that is nearest to a point."""
    assert shape.colours is not None
    samples = shape.colours.sample(count)
    nearest = np.linalg.norm(samples.points - point, axis=1).argmin()
    return np.round(samples.colours[nearest] * 255).astype(int).tolist()


def obj(folder, mtl, square=SQUARE + LAID, picture=QUARTERS, name="skin.png"):
    """An OBJ of a square, its MTL and its picture; what was read."""
    if picture is not None:
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / name)
    if mtl is not None:
        (folder / "m.mtl").write_text(f"newmtl skin\n{mtl}\n")
    (folder / "m.obj").write_text("mtllib m.mtl\n" + square)
    return read_shape(folder / "m.obj")


def glb(folder, uv=True, change=lambda tree: None, **material):
    """A GLB of a square whose material is as said and whose JSON was changed; what was read."""
    vertices, faces = (
        np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.0]]),
        [[0, 1, 2], [0, 2, 3]],
    )
    visual = trimesh.visual.TextureVisuals(
        uv=vertices[:, :2] if uv else None, material=Material(name="skin", **material)
    )
    mesh = trimesh.Trimesh(vertices, faces, visual=visual, process=False)
    files = trimesh.exchange.gltf.export_gltf(mesh.scene())
    tree = json.loads(files["model.gltf"])
    change(tree)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "model.gltf").write_text(json.dumps(tree))
    return read_shape(folder / "model.gltf")


def test_a_texture_is_looked_up_at_each_point(tmp_path):
    shape = obj(tmp_path, "Kd 0.8 0.8 0.8\nmap_Kd skin.png")
    assert shape.notes[0].startswith("the mesh is open")
    corners = [seen(shape, (x, y, 0)) for x, y in [(0.2, 0.8), (0.8, 0.8), (0.2, 0.2), (0.8, 0.2)]]
    assert corners == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("map_Kd -s 1 1 1 -clamp on skin.png", "skin.png"),
        (r"map_Kd C:\Users\me\skin.png", "skin.png"),
        ("map_Kd maps/skin.png", "maps/skin.png"),
    ],
)
def test_a_picture_is_found_beside_the_mesh(tmp_path, line, name):
    assert seen(obj(tmp_path, line, name=name), (0.2, 0.8, 0)) == [255, 0, 0]


def test_a_missing_picture_is_said_and_leaves_the_plain_colour(tmp_path):
    shape = obj(tmp_path, "Kd 1 0.5 0\nmap_Kd skin.png", picture=None)
    assert shape.notes[0] == "skin.png is not there: its colours are missing"
    assert seen(shape, (0.5, 0.5, 0)) == [255, 128, 0]
    shape = obj(tmp_path, "map_Kd skin.png", picture=None)
    assert shape.colours is None and "skin.png is not there" in shape.notes[0]
    (tmp_path / "m.mtl").unlink()
    assert "m.mtl is not there" in read_shape(tmp_path / "m.obj").notes[0]


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + b"broken" * 9])
def test_a_picture_that_does_not_open_is_said(tmp_path, data):
    obj(tmp_path, "Kd 0 0.5 1\nmap_Kd skin.png")
    (tmp_path / "skin.png").write_bytes(data)
    shape = read_shape(tmp_path / "m.obj")
    assert shape.notes[0] == "skin.png: this picture cannot be read"
    assert seen(shape, (0.5, 0.5, 0)) == [0, 128, 255]
    ply = trimesh.Trimesh(np.eye(3), [[0, 1, 2]]).export(file_type="ply", encoding="ascii")
    named = bytes(ply).replace(b"element vertex", b"comment TextureFile skin.png\nelement vertex")
    (tmp_path / "m.ply").write_bytes(named)
    assert read_shape(tmp_path / "m.ply").notes[0] == "skin.png: this picture cannot be read"


def test_a_damaged_picture_is_said(tmp_path):
    shape = obj(tmp_path, "Kd 0 0.5 1\nmap_Kd skin.png")
    whole = (tmp_path / "skin.png").read_bytes()
    (tmp_path / "skin.png").write_bytes(whole[: len(whole) * 2 // 3])
    shape = read_shape(tmp_path / "m.obj")
    assert shape.notes[0].startswith("material skin: its picture is damaged")
    assert seen(shape, (0.5, 0.5, 0)) == [0, 128, 255]


def test_a_name_inside_a_file_is_printed_plainly(tmp_path):
    def named(tree):
        tree["materials"][0]["name"] = "skin\n\x1b[31m"

    shape = glb(tmp_path, uv=False, change=named, baseColorTexture=Image.fromarray(QUARTERS))
    assert shape.notes[0].startswith("material skin\\n\\x1b[31m: its picture has no texture")


def test_beyond_its_borders_a_picture_goes_on_as_is_said():
    uv = np.array([[1.2, 0.2], [-0.8, 0.2], [2.2, -0.2]])
    for wrap, colours in {
        "repeat": [(255, 0, 0), (255, 0, 0), (0, 0, 255)],
        "mirror": [(0, 255, 0), (0, 255, 0), (255, 0, 0)],
        "clamp": [(0, 255, 0), (255, 0, 0), (0, 255, 0)],
    }.items():
        assert np.allclose(Texture(QUARTERS, (wrap, wrap)).light(uv) * 255, colours, atol=1e-3)


def test_a_picture_is_interpolated_in_linear_light():
    picture = np.array([[[0, 0, 0], [188, 188, 188]]], np.uint8)
    light = Texture(picture).light(np.array([[0.25, 0.5], [0.5, 0.5], [0.75, 0.5]]))
    assert np.allclose(light[:, 0], [0, 0.2514, 0.5029], atol=1e-3)


def test_a_gltf_multiplies_its_picture_with_its_factor(tmp_path):
    picture = Image.fromarray(QUARTERS)
    shape = glb(tmp_path, baseColorTexture=picture, baseColorFactor=[1.0, 0.5, 0.2, 1.0])
    assert shape.up == "z"  # what was y is z here
    assert seen(shape, (0.2, 0, 0.8)) == [255, 0, 0]
    half, fifth = (round(255 * from_linear(np.float64(v))) for v in (128 / 255, 0.2))
    assert seen(shape, (0.8, 0, 0.2)) == [255, half, fifth]
    plain = glb(tmp_path, uv=False, baseColorFactor=[0.2, 0.5, 1.0, 1.0])
    assert seen(plain, (0.5, 0, 0.5)) == [fifth, half, 255]


def test_a_gltf_lays_its_picture_as_it_says(tmp_path):
    def moved(tree):
        info = tree["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
        info["extensions"] = {"KHR_texture_transform": {"offset": [0.5, 0], "scale": [1, 2]}}
        tree["samplers"] = [{"wrapS": 10497, "wrapT": 33071}]
        tree["textures"][0]["sampler"] = 0

    shape = glb(tmp_path, change=moved, baseColorTexture=Image.fromarray(QUARTERS))
    assert seen(shape, (0.2, 0, 0.9)) == [0, 255, 0]  # moved by half a picture
    assert seen(shape, (0.8, 0, 0.9)) == [255, 0, 0]  # repeated to the right
    assert seen(shape, (0.8, 0, 0.1)) == [0, 0, 255]  # held at its lower border

    def second(tree):
        tree["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]["texCoord"] = 1

    shape = glb(tmp_path, change=second, baseColorTexture=Image.fromarray(QUARTERS))
    assert "a second set, not read" in shape.notes[0] and shape.colours is None


def test_parts_have_their_own_colours_and_a_bare_one_is_grey(tmp_path):
    scene = trimesh.Scene()
    faces = np.tile(np.array([250, 20, 30], np.uint8), (12, 1))
    vertices = np.tile(np.array([10, 200, 90], np.uint8), (8, 1))
    for i, colours in enumerate([{"face_colors": faces}, {"vertex_colors": vertices}, {}]):
        matrix = trimesh.transformations.translation_matrix((3 * i, 0, 0))
        scene.add_geometry(box(**colours), transform=matrix)
    scene.export(tmp_path / "three.glb")
    shape = read_shape(tmp_path / "three.glb")
    light = [np.array(c) / 255 for c in ([250, 20, 30], [10, 200, 90])]  # glTF holds light
    red, green = (np.round(from_linear(c) * 255).tolist() for c in light)
    assert seen(shape, (0, 0, 0.5)) == red and seen(shape, (3, 0, 0.5)) == green
    assert seen(shape, (6, 0, 0.5)) == [204, 204, 204]


def test_colours_of_vertices_count_beside_a_material_without_a_picture(tmp_path):
    square = SQUARE.replace(" 0\n", " 0 0.2 0.4 0.6\n") + LAID
    assert seen(obj(tmp_path, "Kd 0.7 0.7 0.7", square), (0.5, 0.5, 0)) == [51, 102, 153]
    columns = [(c, "<f4") for c in ("x", "y", "z", "s", "t")]
    vertices = np.zeros(4, [*columns, *((c, "u1") for c in ("red", "green", "blue"))])
    vertices["x"], vertices["y"] = [0, 1, 1, 0], [0, 0, 1, 1]
    vertices["red"], vertices["blue"] = [10, 10, 10, 10], [240, 240, 240, 240]
    names = [f"property {'float' if k == '<f4' else 'uchar'} {n}" for n, k in columns]
    names += [f"property uchar {c}" for c in ("red", "green", "blue")]
    head = ["ply", "format binary_little_endian 1.0", "element vertex 4", *names]
    head += ["element face 2", "property list uchar int vertex_indices", "end_header\n"]
    faces = b"".join(b"\3" + np.array(f, "<i4").tobytes() for f in ([0, 1, 2], [0, 2, 3]))
    (tmp_path / "m.ply").write_bytes("\n".join(head).encode() + vertices.tobytes() + faces)
    assert seen(read_shape(tmp_path / "m.ply"), (0.5, 0.5, 0)) == [10, 0, 240]


@pytest.mark.parametrize("size", [1e-100, 1e100])
def test_points_are_drawn_on_any_scale(size):
    vertices, faces, light = size * np.eye(3), np.array([[0, 1, 2]]), np.full((1, 3), 0.5)
    colours = MeshColours((Painted(vertices, faces, light, faces * 0),))
    samples = colours.sample(100)
    assert np.allclose(samples.points.sum(1) / size, 1)
    assert np.allclose(samples.normals, 3**-0.5)


def test_no_area_has_no_colours():
    faces, light = np.array([[0, 1, 2]]), np.array([[0.5, 0, 0]])
    part = Painted(np.zeros((3, 3)), faces, light, faces * 0)
    assert of_parts([part], lambda i: part) is None


def test_colours_for_other_vertices_and_signed_ones():
    vertices, faces = np.eye(3), np.array([[0, 1, 2]])
    part = trimesh.Trimesh(vertices, faces, process=False)
    material = trimesh.visual.material.SimpleMaterial()
    part.visual = trimesh.visual.TextureVisuals(uv=None, material=material)
    part.visual.vertex_attributes["color"] = np.zeros((2, 3), np.uint8)
    assert Materials(None).painted(part, vertices, faces) is None
    colours = np.array([[255, 0, 51]] * 3)
    for kind in (np.int32, np.uint8):
        part.visual.vertex_attributes["color"] = colours.astype(kind)
        painted = Materials(None).painted(part, vertices, faces)
        assert painted is not None
        assert np.allclose(painted.light, to_linear(colours / 255))


def test_one_grey_everywhere_is_no_colour(tmp_path):
    grey = np.full((8, 3), 102, np.uint8)
    box(vertex_colors=grey).export(tmp_path / "grey.ply")
    assert read_shape(tmp_path / "grey.ply").colours is None
    grey[0, 0] = 200
    box(vertex_colors=grey).export(tmp_path / "grey.ply")
    assert read_shape(tmp_path / "grey.ply").colours is not None


def test_what_was_read_is_hashed(tmp_path):
    def digest(colours):
        result = hashlib.sha256()
        colours.update(result)
        return result.hexdigest()

    vertices, faces, light = np.eye(3), np.array([[0, 1, 2]]), to_linear(np.full((1, 3), 0.3))
    pixels = np.zeros((2, 2, 3), np.uint8)

    def painted(light=light, by=0, uv=0.0, texture=None):
        texture = texture or Texture(pixels)
        part = Painted(vertices, faces, light, faces * 0 + by, np.full((3, 2), uv), texture)
        return digest(MeshColours((part,)))

    assert painted() == painted(light * (1 + 1e-15))
    turned = np.eye(2, 3)
    others = [
        painted(light * 1.01), painted(by=1), painted(uv=0.5), painted(texture=Texture(pixels + 1)),
        painted(texture=Texture(pixels, ("clamp", "repeat"))),
        painted(texture=Texture(pixels, transform=turned)),
    ]  # fmt: skip
    assert len({painted(), *others}) == 7
    points = np.zeros((2, 3), np.uint8)
    assert digest(PointColours(vertices, None, points)) != digest(
        PointColours(vertices, None, points + 1)
    )


def test_points_are_drawn_by_area_and_are_the_same_for_a_seed():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 1], [0, 3, 1.0]])
    vertices = np.concatenate([vertices, [[np.nan] * 3]])
    faces = np.array([[0, 1, 2], [3, 4, 5], [0, 1, 6], [0, 0, 1]])
    light = to_linear(np.array([[0.0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [0.2, 0, 0]]))
    painted = Painted(vertices, faces, light, np.repeat(np.arange(4)[:, None], 3, 1))
    samples = MeshColours((painted,)).sample(10_000)
    assert np.isfinite(samples.points).all() and (samples.normals == [0, 0, 1]).all()
    assert (samples.colours[:, 0] > 0.99).mean() == pytest.approx(0.9, abs=2e-3)
    assert (samples.colours[samples.points[:, 2] == 0] == 0).all()
    large = samples.points[samples.points[:, 2] == 1]
    assert np.allclose(large.mean(0), [1, 1, 1], atol=0.03)
    assert abs((samples.points[:5000, 2] == 0).mean() - 0.1) < 0.02  # in no order
    again = MeshColours((painted,)).sample(10_000)
    assert (again.points == samples.points).all()
    assert not (MeshColours((painted,)).sample(10_000, seed=1).points == samples.points).all()
