"""Parts of a mesh that cut or touch each other become one surface, around what they hold."""

import numpy as np

_SAME = 1e-9  # of a volume: what rounding changes of the sum of parts
_MOST = 4_000_000  # faces: a few GB and some ten seconds


class Tangled(Exception):
    """No surface around the parts can be told."""


def join(
    vertices: np.ndarray, parts: list[np.ndarray], volumes: np.ndarray, within: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """The surface around all that closed parts hold together.

    Args:
        vertices: [V, 3] float64.
        parts: faces [F, 3] of each, in which two faces meet at each edge.
        volumes: [P] of each, negative where it is inside out.
        within: [P, P] whether part i lies in part j as a whole; None if that is not known.

    Returns vertices and faces; None if no two parts cut or touch each other.
    Raises Tangled if a part is no solid, or a cavity has something in it besides.
    """
    from manifold3d import Error, Manifold, Mesh64, OpType

    if sum(map(len, parts)) > _MOST:
        raise Tangled
    centre = (vertices.min(0) + vertices.max(0)) / 2
    solids = []
    for faces, volume in zip(parts, volumes, strict=True):
        used, corner = np.unique(faces, return_inverse=True)
        corner = corner.reshape(-1, 3)
        outward = corner if volume > 0 else corner[:, ::-1]
        mesh = Mesh64(vertices[used] - centre, np.ascontiguousarray(outward, np.uint64))
        solid = Manifold(mesh)
        if solid.status() != Error.NoError:
            raise Tangled
        solids.append(solid)
    around = Manifold.batch_boolean(solids, OpType.Add)
    if within is not None:
        outermost = ~within.any(1)
        separate = np.abs(volumes[outermost]).sum()
        as_before = abs(around.volume() - separate) <= _SAME * separate
        if as_before and len(around.decompose()) == outermost.sum():
            return None
    cavities = (volumes < 0) & (True if within is None else within.any(1))
    if cavities.any():
        if within is None or within[:, cavities].any():
            raise Tangled
        kept = [solid for solid, hollow in zip(solids, cavities, strict=True) if not hollow]
        gone = [solid for solid, hollow in zip(solids, cavities, strict=True) if hollow]
        around = Manifold.batch_boolean(kept, OpType.Add)
        around -= Manifold.batch_boolean(gone, OpType.Add)
    mesh = around.to_mesh64()
    faces = np.asarray(mesh.tri_verts).astype(np.int64)
    if around.status() != Error.NoError or not len(faces):
        raise Tangled
    return np.asarray(mesh.vert_properties)[:, :3] + centre, faces
