"""Tiny scenes as files, in every format, and the line that a bad one is refused with."""

import json
import struct

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fields.cameras import look_at, orbit
from fields.errors import FieldsError
from fields.pictures import write_picture
from fields.scenes import read_scene

SIZE = (12, 8)
ANGLE = 0.6911112


def picture(seed=0, channels=4, size=SIZE, dtype=np.uint8):
    """[H, W, C] of random values."""
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, (size[1], size[0], channels), dtype, True)


def poses(count=4, distance=4.0):
    """cam_to_world matrices around the origin, z up."""
    return [camera.cam_to_world for camera in orbit(count, np.zeros(3), distance / 3, SIZE, up="z")]


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def frames(folder, count=4, prefix="images/", suffix=".png", channels=4, **keys):
    """Frames with images in a folder."""
    found = []
    for i, matrix in enumerate(poses(count)):
        name = f"{prefix}{i:03}"
        path = folder / f"{name}{suffix or '.png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, picture(i, channels))
        found.append({"file_path": name + suffix, "transform_matrix": matrix.tolist(), **keys})
    return found


def transforms(folder, content=None, **options):
    """A folder with a transforms.json; returns the folder."""
    content = {"fl_x": 15.0, **(content or {})}
    content.setdefault("frames", frames(folder, **options))
    write_json(folder / "transforms.json", content)
    return folder


def blender(folder, counts=(4, 1, 2), **options):
    """A folder in Blender's format; returns it."""
    for split, count in zip(("train", "val", "test"), counts, strict=True):
        if count:
            found = frames(folder, count, f"./{split}/r_", "", **options)
            content = {"camera_angle_x": ANGLE, "frames": found}
            write_json(folder / f"transforms_{split}.json", content)
    return folder


def line_for(path, **options):
    """The one line that a scene is refused with."""
    with pytest.raises(FieldsError) as caught:
        read_scene(path, **options)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 400, line
    return line


def world_to_cam(matrix):
    """COLMAP's quaternion (w, x, y, z) and shift of an OpenGL camera-to-world."""
    turn = (matrix[:3, :3] * (1.0, -1.0, -1.0)).T
    x, y, z, w = Rotation.from_matrix(turn).as_quat()
    return (w, x, y, z), -turn @ matrix[:3, 3]


def colmap_poses(count=10):
    """From one side, y up."""
    places = [(np.cos(a), np.sin(a), 3.0) for a in np.linspace(0, 2, count)]
    return [look_at(np.array(p), np.zeros(3), np.array([0.0, 1.0, 0.0])) for p in places]


def colmap(folder, model="SIMPLE_RADIAL", parameters=(15.0, 6.0, 4.0, 0.1), *, binary=True,
           count=10, points=None, channels=3, number=2):  # fmt: skip
    """A folder as COLMAP leaves it; returns it and the poses."""
    sparse = folder / "sparse" / "0"
    sparse.mkdir(parents=True)
    (folder / "images").mkdir()
    matrices = colmap_poses(count)
    names = [f"view {i:02}.png" for i in range(count)]
    for i, name in enumerate(names):
        write_picture(folder / "images" / name, picture(i, channels))
    points = np.random.default_rng(0).normal(size=(200, 3)) if points is None else points
    write = _binary if binary else _text
    write(sparse, (model, number, parameters), list(zip(names, matrices, strict=True)), points)
    return folder, matrices


def _binary(sparse, camera, images, points):
    _, number, parameters = camera
    head = struct.pack("<QiiQQ", 1, 7, number, *SIZE)
    cameras = head + struct.pack(f"<{len(parameters)}d", *parameters)
    (sparse / "cameras.bin").write_bytes(cameras)
    parts = [struct.pack("<Q", len(images))]
    for i, (name, matrix) in enumerate(images):
        quaternion, shift = world_to_cam(matrix)
        parts.append(struct.pack("<i7di", i + 1, *quaternion, *shift, 7) + name.encode() + b"\0")
        parts.append(struct.pack("<Q", i) + struct.pack("<ddq", 1.0, 2.0, -1) * i)
    (sparse / "images.bin").write_bytes(b"".join(parts))
    parts = [struct.pack("<Q", len(points))]
    for i, point in enumerate(points):
        parts.append(struct.pack("<Q3d3BdQ", i, *point, 1, 2, 3, 0.5, 3))
        parts.append(struct.pack("<ii", 1, 2) * 3)
    (sparse / "points3D.bin").write_bytes(b"".join(parts))


def _text(sparse, camera, images, points):
    model, _, parameters = camera
    numbers = " ".join(map(repr, map(float, parameters)))
    (sparse / "cameras.txt").write_text(f"# cameras\n7 {model} {SIZE[0]} {SIZE[1]} {numbers}\n")
    lines = ["# images", "# points"]
    for i, (name, matrix) in enumerate(images):
        quaternion, shift = world_to_cam(matrix)
        values = " ".join(repr(float(v)) for v in (*quaternion, *shift))
        lines += [f"{i + 1} {values} 7 {name}", "1.0 2.0 -1" if i % 2 else ""]
    (sparse / "images.txt").write_text("\n".join(lines) + "\n")
    rows = [
        f"{i} {' '.join(repr(float(x)) for x in p)} 1 2 3 0.5 1 0 2 0 3 0"
        for i, p in enumerate(points)
    ]
    (sparse / "points3D.txt").write_text("\n".join(rows) + "\n")
