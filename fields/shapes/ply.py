"""Writes binary PLY, in doubles where floats would lose."""

import numpy as np


def encode(
    vertices: np.ndarray,
    faces: np.ndarray,
    normals: np.ndarray | None = None,
    colours: np.ndarray | None = None,
    *,
    exact: bool = False,
) -> bytes:
    """The bytes of a PLY (Turk 1994), little endian.

    Args:
        vertices: [V, 3] float64, written as float, or as double if `exact`.
        faces: [F, 3] integers.
        normals: [V, 3] of unit length.
        colours: [V, 3] uint8.
    """
    real = ("double", "<f8") if exact else ("float", "<f4")
    columns = [(name, *real, vertices[:, i]) for i, name in enumerate("xyz")]
    if normals is not None:
        columns += [(f"n{axis}", "float", "<f4", normals[:, i]) for i, axis in enumerate("xyz")]
    if colours is not None:
        names = ("red", "green", "blue")
        columns += [(name, "uchar", "u1", colours[:, i]) for i, name in enumerate(names)]
    points = np.empty(len(vertices), [(name, kind) for name, _, kind, _ in columns])
    for name, _, _, values in columns:
        points[name] = values
    triangles = np.empty(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    triangles["count"], triangles["corners"] = 3, faces
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        "comment written by fields",
        f"element vertex {len(vertices)}",
        *(f"property {kind} {name}" for name, kind, _, _ in columns),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    return "\n".join(lines).encode() + points.tobytes() + triangles.tobytes()
