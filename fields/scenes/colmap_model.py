"""COLMAP's sparse model as its files have it: cameras, images, points; binary and text.

The layouts are those of COLMAP's documentation, "Output Format".
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fields.errors import FieldsError
from fields.lens import Fisheye, Lens, Perspective
from fields.pictures.naming import plain, shown
from fields.pictures.probe import open_file
from fields.scenes.scene import Broken

_CUT_SHORT = "is cut short; copy it again"

# By number: name and how many parameters.
_MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
}
_COUNTS = dict(_MODELS.values())
_TWO_FOCAL = ("PINHOLE", "OPENCV", "OPENCV_FISHEYE")
_READ = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE",
         "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")  # fmt: skip


@dataclass(frozen=True)
class ModelCamera:
    """Intrinsics: focal lengths and principal point in pixels, and the lens."""

    width: int
    height: int
    fl_x: float
    fl_y: float
    cx: float
    cy: float
    lens: Lens


@dataclass(frozen=True, eq=False)
class ModelImage:
    """A registered image.

    Args:
        name: its path below the folder of images.
        camera: the number of its camera.
        cam_to_world: [4, 4], OpenGL's axes.
    """

    name: str
    camera: int
    cam_to_world: np.ndarray


def read_cameras(folder: Path) -> dict[int, ModelCamera]:
    """The cameras by their numbers, of cameras.bin or cameras.txt in a folder."""
    return _read(folder, "cameras", _binary_cameras, _text_cameras)


def read_images(folder: Path) -> list[ModelImage]:
    """The images, of images.bin or images.txt."""
    return _read(folder, "images", _binary_images, _text_images)


def read_points(folder: Path) -> np.ndarray:
    """Points [N, 3] that three images or more see, of points3D.bin or .txt; [0, 3] without one."""
    if not any((folder / f"points3D.{suffix}").is_file() for suffix in ("bin", "txt")):
        return np.empty((0, 3))
    found = _read(folder, "points3D", _binary_points, _text_points)
    points = np.asarray(found, np.float64).reshape(-1, 4)
    seen = points[points[:, 3] >= 3]
    points = seen if len(seen) else points
    return points[np.isfinite(points).all(1), :3]


def has_model(folder: Path) -> bool:
    """There is a sparse model in a folder."""
    return any(
        all((folder / f"{name}.{suffix}").is_file() for name in ("cameras", "images"))
        for suffix in ("bin", "txt")
    )


def _read(folder: Path, name: str, binary, text):
    """What a reader makes of the file, binary before text; FieldsError where it is no such file."""
    path = folder / f"{name}.bin"
    reader = binary
    if not path.is_file():
        path, reader = folder / f"{name}.txt", lambda file: text(_lines(file))
    with open_file(path, "model") as file:
        try:
            found = reader(file)
            if file.tell() > os.fstat(file.fileno()).st_size:  # the last part was skipped over
                raise Broken(_CUT_SHORT)
            return found
        except Broken as reason:
            raise FieldsError(f"{shown(path)} {reason}") from None
        except (ValueError, IndexError, OverflowError, MemoryError):
            raise FieldsError(f"{shown(path)} is damaged or no file of COLMAP's") from None


def _lines(file: BinaryIO) -> list[str]:
    """The lines that are no comment; an empty one may stand for an image without points."""
    lines = file.read().decode("utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def _take(file: BinaryIO, layout: str) -> tuple:
    size = struct.calcsize("<" + layout)
    data = file.read(size)
    if len(data) < size:
        raise Broken(_CUT_SHORT)
    return struct.unpack("<" + layout, data)


def _binary_cameras(file: BinaryIO) -> dict[int, ModelCamera]:
    (count,) = _take(file, "Q")
    cameras = {}
    for _ in range(count):
        number, model, width, height = _take(file, "iiQQ")
        name, parameters = _MODELS.get(model, (f"number {model}", 0))
        values = _take(file, f"{parameters}d")
        cameras[number] = _camera(name, width, height, values)
    return cameras


def _text_cameras(lines: list[str]) -> dict[int, ModelCamera]:
    cameras = {}
    for line in filter(str.strip, lines):
        number, name, width, height, *values = line.split()
        cameras[int(number)] = _camera(name, int(width), int(height), tuple(map(float, values)))
    return cameras


def _camera(name: str, width: int, height: int, values: tuple[float, ...]) -> ModelCamera:
    if name not in _READ:
        raise Broken(
            f"has a camera of the model {plain(name)[:40]}, which is not read; undistort the images"
            " (image_undistorter), or reconstruct with OPENCV"
        )
    if len(values) != _COUNTS[name] or not np.isfinite(values).all():
        raise Broken(f"has a camera of the model {name} without its {_COUNTS[name]} numbers")
    fl_x, *rest = values
    fl_y, cx, cy, *k = rest if name in _TWO_FOCAL else (fl_x, *rest)
    if not (fl_x > 0 and fl_y > 0 and width > 0 and height > 0):
        raise Broken("has a camera whose focal length or size is not more than 0")
    lens: Lens
    if "FISHEYE" in name:
        k1, k2, k3, k4 = (*k, 0.0, 0.0, 0.0, 0.0)[:4]
        lens = Fisheye((k1, k2, k3, k4))
    else:
        k1, k2, p1, p2 = (*k, 0.0, 0.0, 0.0, 0.0)[:4]
        lens = Perspective((k1, k2, 0.0, 0.0), (p1, p2))
    return ModelCamera(width, height, fl_x, fl_y, cx, cy, lens)


def _binary_images(file: BinaryIO) -> list[ModelImage]:
    (count,) = _take(file, "Q")
    images = []
    for _ in range(count):
        _, *pose, camera = _take(file, "i7di")
        letters = bytearray()
        while (letter := _take(file, "c")[0]) != b"\0":
            letters += letter
        (points,) = _take(file, "Q")
        file.seek(24 * points, 1)
        images.append(_image(letters.decode("utf-8", "surrogateescape"), camera, pose))
    return images


def _text_images(lines: list[str]) -> list[ModelImage]:
    images = []
    while lines and not lines[0].strip():
        lines = lines[1:]
    for line in lines[::2]:  # every second one holds points
        if not line.strip():
            continue
        _, *pose, camera, name = line.split(maxsplit=9)
        images.append(_image(name.strip(), int(camera), list(map(float, pose))))
    return images


def _image(name: str, camera: int, pose: list[float]) -> ModelImage:
    """`pose` is the rotation from world to camera as a quaternion w, x, y, z, and the shift."""
    quaternion, shift = np.asarray(pose[:4]), np.asarray(pose[4:])
    length = float(np.linalg.norm(quaternion))
    if not (np.isfinite(pose).all() and length > 1e-9):
        raise Broken(f"has an image {plain(name)} whose pose is NaN, infinite or no rotation")
    w, x, y, z = quaternion / length
    world_to_cam = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    cam_to_world = np.eye(4)
    cam_to_world[:3, :3] = world_to_cam.T * (1.0, -1.0, -1.0)  # OpenCV's axes to OpenGL's
    cam_to_world[:3, 3] = -world_to_cam.T @ shift
    return ModelImage(name, camera, cam_to_world)


def _binary_points(file: BinaryIO) -> list[tuple[float, ...]]:
    """x, y, z and by how many images each is seen."""
    (count,) = _take(file, "Q")
    points = []
    for _ in range(count):
        _, x, y, z, _, _, _, _, track = _take(file, "Q3d3BdQ")
        file.seek(8 * track, 1)
        points.append((x, y, z, track))
    return points


def _text_points(lines: list[str]) -> list[tuple[float, ...]]:
    points = []
    for line in filter(str.strip, lines):
        values = line.split()
        points.append((*map(float, values[1:4]), (len(values) - 8) // 2))
    return points
