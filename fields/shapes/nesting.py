"""Parts of a mesh and each other: which of them bound the solid, and which way they face."""

from typing import Literal

import numpy as np

from fields.shapes.edges import Edges, find_edges
from fields.shapes.joining import Tangled, join
from fields.shapes.orient import ONE_SIDED

_PROBES = 4  # vertices of a part that are asked which others they are in
_MAX_PARTS = 256
_MAX_ANGLES = 50_000_000  # solid angles that are taken at most, in about ten seconds
_CHUNK = 1 << 18

Sign = Literal["pseudonormal", "winding", "none"]


def sort_parts(
    vertices: np.ndarray, faces: np.ndarray, edges: Edges, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, Sign]:
    """Vertices and faces of what bounds the solid, normals outward, and what tells its inside: see
    `Shape`.

    A part that lies in no other is turned outward. A part in the solid of another that faces
    inward is a cavity; one that faces outward bounds nothing and is dropped. Parts that cut or
    touch each other become one surface around them all; where none can be told they stay, for the
    winding number to say what is inside.
    """
    if not edges.is_closed:
        return vertices, _open(vertices, faces, edges, notes), "none"
    number, part, solid = _parts(len(faces), edges)
    order = np.argsort(part, kind="stable")
    starts = np.searchsorted(part[order], np.arange(number))
    centre = (vertices.min(0) + vertices.max(0)) / 2
    corners = (vertices - centre)[faces[order]]
    sizes = np.add.reduceat(volumes(corners), starts)
    facing = np.where(sizes < 0, -1, 1)
    low = np.minimum.reduceat(corners.min(1), starts)
    high = np.maximum.reduceat(corners.max(1), starts)
    touch = _touch(low, high)
    within, clear = _within(corners, starts, touch, low, high)
    if touch.any() and solid:
        try:
            joined = join(vertices, np.split(faces[order], starts[1:]), sizes, within)
        except Tangled:
            clear = False
        else:
            if joined is not None:
                notes.append(f"{number:,} parts that cut or touch each other joined to one")
                return *joined, _sign(find_edges(joined[1]))
    if within is None or not clear:
        notes.append(
            f"{number:,} parts may cut or touch each other: inside is what winding numbers say"
        )
        return vertices, faces, "winding"
    turned, dropped = _resolved(within, facing)
    if turned.any():
        count = int(turned.sum())
        what = "the mesh" if number == 1 else f"{count:,} of {number:,} parts"
        notes.append(f"turned around: {what} inside out")
        faces = np.where(turned[part][:, None], faces[:, ::-1], faces)
    if dropped.any():
        count = int(dropped.sum())
        notes.append(
            f"{count:,} part{'s' * (count > 1)} dropped: inside the solid and facing outward; if "
            "they are cavities, turn their normals inward"
        )
        faces = faces[~dropped[part]]
    return vertices, faces, _sign(edges)


def _sign(edges: Edges) -> Sign:
    """What tells the inside of a closed mesh."""
    return "pseudonormal" if edges.is_manifold else "winding"


def _open(vertices, faces, edges: Edges, notes: list[str]) -> np.ndarray:
    """An open mesh; one with small holes alone is turned outward, as if they were closed."""
    odd = int((edges.balance != 0).sum())
    if any(ONE_SIDED in note for note in notes):
        return faces
    small = odd * 20 <= len(edges.counts)
    hint = "; --sign winding takes such small holes as closed" if small else ""
    notes.append(
        f"the mesh is open: {odd:,} of {len(edges.counts):,} edges lack a second face{hint}"
    )
    if not small:
        return faces
    if volumes((vertices - vertices.mean(0))[faces]).sum() < 0:
        notes.append("turned around: the mesh inside out")
        return np.ascontiguousarray(faces[:, ::-1])
    return faces


def _parts(count: int, edges: Edges) -> tuple[int, np.ndarray, bool]:
    """How many parts there are, of which each face is, and whether each is closed alone and no more
    than two of its faces meet at an edge.

    Those that share edges are one part. Where more than two faces meet at an edge, as where boxes
    stand side by side, they are of several parts if these are then such; else of one.
    """
    face = edges.halves // 3
    edge = np.repeat(np.arange(len(edges.counts)), edges.counts)
    of_two = edges.counts[edge] == 2
    number, part = _joined(count, face[edges.starts][edge][of_two], face[of_two])
    if of_two.all():
        return number, part, True
    key = edge[~of_two] * number + part[face[~of_two]]
    _, kind, counts = np.unique(key, return_inverse=True, return_counts=True)
    balance = np.bincount(kind, np.where(edges.forward[~of_two], 1, -1))
    if (counts == 2).all() and not balance.any():
        return number, part, True
    return *_joined(count, face[edges.starts][edge], face), False


def _joined(count: int, one: np.ndarray, other: np.ndarray) -> tuple[int, np.ndarray]:
    """Groups of `count` faces that are linked, and the group of each."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(one), np.int8), (one, other)), (count, count))
    number, part = connected_components(graph, directed=False)
    return int(number), part


def _touch(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[P, P]: whether the boxes of parts i and j, not the same, share a place; from corners [P, 3]
    of the boxes."""
    if len(low) > _MAX_PARTS:
        return np.ones((len(low), 1), bool)
    apart = (low[:, None] > high).any(2)
    return ~(apart | apart.T | np.eye(len(low), dtype=bool))


def _within(
    corners: np.ndarray, starts: np.ndarray, touch: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray | None, bool]:
    """[P, P]: whether part i lies in part j as a whole, as far as its box and some of its vertices
    tell; None if parts are too many to ask. And whether none was found that cuts or touches
    another.

    `corners` [F, 3, 3] are those of the faces, part by part; `low` and `high` those of boxes.
    """
    number = len(starts)
    ends = np.append(starts[1:], len(corners))
    if number > _MAX_PARTS or _PROBES * int((touch @ (ends - starts)).sum()) > _MAX_ANGLES:
        return None, False
    within, clear = np.zeros((number, number), bool), True
    for i, j in zip(*np.nonzero(touch), strict=True):
        at = np.linspace(starts[i], ends[i] - 1, _PROBES).astype(int)
        turns = winding(corners[at, 0], corners[starts[j] : ends[j]])
        inside = np.abs(np.round(turns)) > 0
        whole = np.abs(turns - np.round(turns)).max() <= 1e-3
        boxed = (low[i] >= low[j]).all() and (high[i] <= high[j]).all()
        whole &= inside.all() == inside.any() and (boxed or not inside.any())
        clear &= bool(whole)
        within[i, j] = whole and inside.all()
    return within, clear


def _resolved(within: np.ndarray, facing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[P] which parts to turn and which to drop, given which lie in which and how each faces."""
    facing = facing.copy()
    turned, dropped = np.zeros(len(facing), bool), np.zeros(len(facing), bool)
    for part in np.argsort(within.sum(1), kind="stable"):  # from the outermost inward
        around = facing[within[part] & ~dropped].sum()  # the winding number just outside the part
        if around == 0 and facing[part] < 0:
            turned[part], facing[part] = True, 1
        elif around > 0 and facing[part] > 0:
            dropped[part] = True
    return turned, dropped


def volumes(corners: np.ndarray) -> np.ndarray:
    """[F]: volumes between triangles [F, 3, 3] and the origin; their sum is that of the mesh."""
    a, b, c = corners.transpose(1, 0, 2)
    return (a * np.cross(b, c)).sum(1) / 6


def winding(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """[N]: how often triangles [F, 3, 3] wind around points [N, 3]; 1 inside, 0 outside.

    The sum of solid angles (Van Oosterom & Strackee 1983, eq. 8) over 4 pi; exact but for rounding.
    """
    result = np.zeros(len(points))
    for i, point in enumerate(points):
        for top in range(0, len(corners), _CHUNK):
            a, b, c = (corners[top : top + _CHUNK] - point).transpose(1, 0, 2)
            la, lb, lc = (np.linalg.norm(side, axis=1) for side in (a, b, c))
            over = (a * np.cross(b, c)).sum(1)
            under = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
            result[i] += np.arctan2(over, under).sum()
    return result / (2 * np.pi)
