"""`fields mesh RUN`: turn a fitted shape into a mesh file."""

from collections.abc import Sequence
from pathlib import Path

from fields.cli.notes import say_fallback
from fields.cli.parser import Parser, number, whole
from fields.errors import FieldsError


def main(arguments: Sequence[str], started: float) -> None:
    parser = Parser("mesh", "Turn a fitted shape into a mesh.")
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder, or a field.safetensors")
    add(
        "-o", "--out", metavar="FILE",
        help="the suffix says the format: glb, ply, obj or stl (RUN/mesh.glb)",
    )  # fmt: skip
    add(
        "--resolution", type=whole, default=256, metavar="N",
        help="cells along an axis of the cube, 8 to 1024 (256)",
    )  # fmt: skip
    add(
        "--level", type=number, metavar="V",
        help="distance from the surface in units of the source (0); of a volume a value",
    )  # fmt: skip
    add("--faces", type=whole, metavar="N", help="about so many, by merging edges")
    parsed = parser.parse(arguments)
    from fields.shapes import mesh_format

    if parsed.out:
        mesh_format(parsed.out)  # before anything is computed
    from fields.device import threads
    from fields.pictures.naming import shown
    from fields.progress import duration
    from fields.runs import PictureRun, ShapeRun, VolumeRun, load

    run = load(parsed.run)
    if isinstance(run, PictureRun):
        raise FieldsError(f"{shown(run.path)} stores a picture, which has no mesh; fields render")
    assert isinstance(run, (ShapeRun, VolumeRun))
    say_fallback(run)
    import time

    import numpy as np

    from fields.shapes.write import decimate, nearest, write_mesh

    options = {} if parsed.level is None else {"level": parsed.level}
    begin = time.perf_counter()
    with threads():
        vertices, faces, normals = run.mesh(parsed.resolution, **options)
    seconds = time.perf_counter() - begin
    colours = None
    if isinstance(run, ShapeRun) and run.has_colours:
        colours = np.asarray(run.colours(run.on_surface(vertices, normals, parsed.level or 0.0)))
    if parsed.faces is not None:
        all_vertices = vertices
        vertices, faces = decimate(vertices, faces, parsed.faces)
        colours = None if colours is None else colours[nearest(all_vertices, vertices)]
        normals = None
    beside = run.path if run.path.is_dir() else run.path.parent
    out = Path(parsed.out) if parsed.out else beside / "mesh.glb"
    write_mesh(out, vertices, faces, normals, colours, up=getattr(run, "up", "z"))
    print(f"{shown(out)}: {len(faces):,} faces, {len(vertices):,} vertices; {duration(seconds)}")
