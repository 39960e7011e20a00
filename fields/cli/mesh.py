"""`fields mesh RUN`: turn a fitted shape, volume or scene into a mesh file."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fields.cli.notes import say_fallback
from fields.cli.parser import Parser, file_name, number, whole
from fields.errors import FieldsError, flag

if TYPE_CHECKING:
    from fields.runs import SceneRun

RESOLUTION = 256


def main(arguments: Sequence[str], started: float) -> None:
    parser = Parser("mesh", "Turn a fitted shape, volume or scene into a mesh.")
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder, a field.safetensors, or one of a set: SET#N")
    add(
        "-o", "--out", type=file_name, metavar="FILE",
        help="the suffix says the format: glb, ply, obj or stl (RUN/mesh.glb)",
    )  # fmt: skip
    add(
        "--resolution", type=whole, metavar="N",
        help=f"cells along an axis of the cube, 8 to 1024 ({RESOLUTION})",
    )  # fmt: skip
    add(
        "--level", type=number, metavar="V",
        help="distance from the surface in units of the source (0); of a volume a value; of a scene"
        " a density over a unit of the source (32 over the box's longest side)",
    )  # fmt: skip
    add("--faces", type=whole, metavar="N", help="about so many, by merging edges")
    add(
        "--drop-floaters", action="store_true",
        help="leave out parts with less than a hundredth of the faces of the largest",
    )  # fmt: skip
    add(
        "--keep-unseen", action="store_true",
        help="of a scene: also what none of its cameras sees, where the density is of no meaning",
    )  # fmt: skip
    add("--time", type=number, metavar="T", help="of a scene that moves, from 0 to 1 (0)")
    add(
        "--points", type=whole, metavar="N",
        help="of a scene: about N coloured points, as its cameras see them, in place of a mesh",
    )  # fmt: skip
    parsed = parser.parse(arguments)
    check(parsed)
    from fields.shapes import mesh_format

    if parsed.out:
        mesh_format(parsed.out)  # before anything is computed
    from fields.device import threads
    from fields.pictures.naming import shown
    from fields.progress import duration
    from fields.runs import PictureRun, SceneRun, ShapeRun, VolumeRun, load

    run = load(parsed.run)
    if isinstance(run, PictureRun):
        raise FieldsError(f"{shown(run.path)} stores a picture, which has no mesh; fields render")
    assert isinstance(run, (SceneRun, ShapeRun, VolumeRun))
    if isinstance(run, SceneRun):
        if parsed.time is not None and not run.moves:
            raise FieldsError("--time is for scenes that move, and this one stands still")
    else:
        given = {"--points": parsed.points, "--time": parsed.time}
        given["--keep-unseen"] = parsed.keep_unseen or None
        for option, value in given.items():
            if value is not None:
                raise FieldsError(f"{option} is not for the {run.kind} that this run stores")
    say_fallback(run)
    from fields.pictures.replacing import require_place

    beside = run.path if run.path.is_dir() else run.path.parent
    usual = "mesh.glb" if parsed.points is None else "points.ply"
    out = Path(parsed.out) if parsed.out else beside / usual
    require_place(out)
    if isinstance(run, SceneRun) and parsed.points is not None:
        return points(run, parsed, out)
    import time

    import numpy as np

    from fields.runs import scene_mesh
    from fields.shapes.floaters import small_parts, without
    from fields.shapes.with_open3d import open3d_for
    from fields.shapes.write import decimate, nearest, write_mesh

    if parsed.faces is not None:
        open3d_for("--faces")
    options = {} if parsed.level is None else {"level": parsed.level}
    if isinstance(run, SceneRun):
        options |= {"time": parsed.time, "keep_unseen": parsed.keep_unseen}
    begin = time.perf_counter()
    floaters = ""
    with threads():
        vertices, faces, normals = run.mesh(parsed.resolution or RESOLUTION, **options)
        if parsed.drop_floaters or isinstance(run, SceneRun):
            small = small_parts(faces)
            if parsed.drop_floaters:
                faces, used = without(faces, small)
                vertices, normals = vertices[used], normals[used]
            elif small.any():
                share = 100 * small.mean()
                floaters = f"; {share:.2g} % of the faces float apart: --drop-floaters"
        colours = None
        if isinstance(run, ShapeRun) and run.has_colours:
            places = run.on_surface(vertices, normals, parsed.level or 0.0)
            colours = np.asarray(run.colours(places))
        elif isinstance(run, SceneRun):
            colours = scene_mesh.colours(run, vertices, normals, parsed.time)
    seconds = time.perf_counter() - begin
    if parsed.faces is not None:
        all_vertices = vertices
        vertices, faces = decimate(vertices, faces, parsed.faces)
        colours = None if colours is None else colours[nearest(all_vertices, vertices)]
        normals = None
    write_mesh(out, vertices, faces, normals, colours, up=getattr(run, "up", "z"))
    counts = f"{len(faces):,} faces, {len(vertices):,} vertices"
    print(f"{shown(out)}: {counts}; {duration(seconds)}{floaters}")


def check(parsed: argparse.Namespace) -> None:
    """FieldsError for numbers of no use, and options that exclude one another."""
    from fields.shapes.limits import check_faces, check_resolution

    if parsed.resolution is not None:
        check_resolution(parsed.resolution)
    if parsed.faces is not None:
        check_faces(parsed.faces)
    if parsed.time is not None and not 0 <= parsed.time <= 1:
        raise FieldsError(f"--time must be from 0 to 1, got {parsed.time:g}")
    if parsed.points is None:
        return
    if parsed.points < 1:
        raise FieldsError(f"--points must be at least 1, got {parsed.points}")
    if parsed.out and Path(parsed.out).suffix.lower() != ".ply":
        raise FieldsError(f"--points writes a PLY; end {parsed.out} in .ply")
    for name in ("resolution", "level", "faces", "drop_floaters", "keep_unseen"):
        if getattr(parsed, name) not in (None, False):
            raise FieldsError(f"{flag(name)} is for meshes and does not go with --points")


def points(run: "SceneRun", parsed: argparse.Namespace, out: Path) -> None:
    """Write what cameras see as a cloud."""
    import numpy as np

    from fields.device import threads
    from fields.pictures.naming import shown
    from fields.pictures.replacing import replacing
    from fields.runs import scene_mesh
    from fields.shapes import ply

    with threads():
        places, colours = scene_mesh.points(run, parsed.points, parsed.time)
    none = np.zeros((0, 3), np.int64)
    with replacing(out) as file:
        file.write(ply.encode(places, none, colours=colours))
    print(f"{shown(out)}: {len(places):,} points")
