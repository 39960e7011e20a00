"""Makes a mesh one that a distance can be taken to: each thing done is said, or it is refused."""

import numpy as np

from fields.shapes.colours import PointColours
from fields.shapes.edges import find_edges, is_even
from fields.shapes.nesting import sort_parts
from fields.shapes.orient import make_consistent
from fields.shapes.shape import Broken, Shape

_INWARD = 0.2  # the mean cosine to the middle, from which normals are said to point inward
_SOME = 4096  # faces that are asked at once whether any has an area
_TORN = 0.15  # of normals that point against their nearest neighbour's, from which it is said
_ASKED, _KNOWN = 2000, 500_000  # of them, at random; neighbours among no more
_FEW = 0.01  # of all faces or points may be dropped; more is another shape
NO_FACES = (
    "has no faces: it is cut short, or holds points, which are read from PLY, PCD, XYZ and NPY"
)
NO_VERTEX = "has a face that names a vertex which is not there; export it again"
_NO_AREA = "has no face with an area; export it again"
_FLAT = 1e-12  # area over the square of the longest edge of a face that has none


def mend(name: str, vertices: np.ndarray, faces: np.ndarray) -> Shape:
    """A mesh with its vertices welded, its faces turned alike, and what is wrong with it known.

    Args:
        name: of the shape.
        vertices: [V, 3] float64, as stored.
        faces: [F, 3] int64.

    Faces at a vertex that is NaN or infinite are dropped if they are few; vertices at the same
    place become one; faces that name a vertex twice and copies of faces are dropped. Where two
    faces lie on each other as a wall inside a solid, both go. Faces are turned so that neighbours
    agree, and so that the normals of a closed mesh point outward. Holes are not filled.

    Raises Broken, a clause to go behind the file's name, if nothing of use is there.
    """
    notes: list[str] = []
    if not len(faces):
        raise Broken(NO_FACES)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise Broken(NO_VERTEX)
    faces = _without_bad_vertices(vertices, faces, notes)
    vertices, faces = _welded(vertices, faces)
    faces = _without_twice_named(faces, notes)
    faces = _without_copies(faces, notes)
    if not len(faces):
        raise Broken(_NO_AREA)
    edges = make_consistent(faces, notes)
    if not edges.is_closed:
        faces, edges = _without_flat(vertices, faces, edges, notes)
    vertices, faces, sign = sort_parts(vertices, faces, edges, notes)
    vertices, faces = _compact(vertices, faces)
    _require_extent(vertices)
    parts = np.array_split(faces, max(1, len(faces) // _SOME))
    if not any(_with_area(vertices, part).any() for part in parts):  # the first has one, as a rule
        raise Broken(_NO_AREA)
    return Shape(name, vertices, faces, "mesh", sign=sign, notes=tuple(notes))


def mend_points(
    name: str,
    points: np.ndarray,
    normals: np.ndarray | None = None,
    colours: np.ndarray | None = None,
) -> Shape:
    """Points [N, 3] that are finite, with normals of unit length; those that are not are dropped.
    Colours are [N, 3] uint8 sRGB.

    Raises Broken if they are more than a hundredth of all, or if all points are in one place.
    """
    notes: list[str] = []
    points = np.asarray(points, np.float64)
    sound = np.all(np.isfinite(points), axis=1)
    if normals is not None:
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            normals = np.asarray(normals, np.float64) / lengths
        sound &= np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)
    bad = len(points) - int(sound.sum())
    if bad > _FEW * len(points):
        raise Broken(
            f"has {bad:,} of {len(points):,} points that are NaN, infinite or lack normals"
        )
    if bad:
        notes.append(f"{_number(bad, 'point')} dropped: NaN, infinite or without a normal")
        points = points[sound]
        normals = None if normals is None else normals[sound]
        colours = None if colours is None else colours[sound]
    _require_extent(points)
    if normals is not None and _inward(points, normals):
        notes.append("most normals point inward: what they point away from is taken for the inside")
    elif normals is not None and (share := _disagreeing(points, normals)) > _TORN:
        notes.append(
            f"{share:.0%} of the normals point away from their neighbours': turn them alike first,"
            " as MeshLab and Open3D do; what is inside is a guess"
        )
    faces = np.empty((0, 3), np.int64)
    known = None if colours is None else PointColours(points, normals, colours)
    return Shape(name, points, faces, "points", normals, known, "none", tuple(notes))


def unique_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For 64-bit rows [N, 3]: the first of each kind [K], in order, and the kind of each row [N].

    Rows are compared by a hash, which sorts many times faster than rows do, and then checked.
    """
    bits = np.ascontiguousarray(rows).view(np.uint64)
    key = np.zeros(len(rows), np.uint64)
    for column in bits.T:  # the mixing step of splitmix64 (Steele, Lea, Flood 2014)
        key = (key ^ column) * np.uint64(0x9E3779B97F4A7C15)
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key ^= key >> np.uint64(27)
    _, first, kind = np.unique(key, return_index=True, return_inverse=True)
    if not (bits[first][kind] == bits).all():  # two rows share a hash
        _, first, kind = np.unique(bits, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[kind.reshape(-1)]


def _without_bad_vertices(vertices: np.ndarray, faces: np.ndarray, notes: list[str]) -> np.ndarray:
    finite = np.all(np.isfinite(vertices), axis=1)
    if finite.all():
        return faces
    sound = np.all(finite[faces], axis=1)
    bad = len(faces) - int(sound.sum())
    if bad > _FEW * len(faces):
        count = int((~finite).sum())
        raise Broken(
            f"has {_number(count, 'vertex', 'vertices')} NaN or infinite, in {bad:,} of "
            f"{len(faces):,} faces; export it again"
        )
    if bad:
        notes.append(f"{_number(bad, 'face')} dropped: a vertex is NaN or infinite")
    return faces[sound]


def _welded(vertices, faces):
    """Vertices at the same place become one; those that no face names go."""
    first, kind = unique_rows(vertices + 0.0)  # so that -0 is 0
    if len(first) < len(vertices):
        vertices, faces = vertices[first], kind[faces]
    return _compact(vertices, faces)


def _compact(vertices, faces):
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    if used.all():
        return vertices, faces
    number = np.cumsum(used) - 1
    return vertices[used], number[faces]


def _without_twice_named(faces: np.ndarray, notes: list[str]) -> np.ndarray:
    a, b, c = faces.T
    sound = (a != b) & (b != c) & (c != a)
    if not sound.all():
        bad = len(faces) - int(sound.sum())
        notes.append(f"{_number(bad, 'face')} dropped: two corners in one place")
    return faces[sound]


def _without_copies(faces: np.ndarray, notes: list[str]) -> np.ndarray:
    """One of each face; or none of those that lie on each other, if that leaves a closed mesh."""
    first, kind = unique_rows(np.sort(faces, axis=1))
    if len(first) == len(faces):
        return faces
    counts = np.bincount(kind)
    single = first[counts % 2 == 1]
    if len(single) < len(first) and len(single) and is_even(faces[single]):
        gone = len(faces) - len(single)
        notes.append(f"{_number(gone, 'face')} dropped: they lie on each other inside the solid")
        return faces[single]
    gone = len(faces) - len(first)
    notes.append(f"{_number(gone, 'face')} dropped: copies of others")
    return faces[first]


def _without_flat(vertices, faces, edges, notes: list[str]):
    """An open mesh without its faces of no area; in a closed one they hold the others together."""
    sound = _with_area(vertices, faces)
    if sound.all() or not sound.any():
        return faces, edges
    bad = len(faces) - int(sound.sum())
    notes.append(f"{_number(bad, 'face')} dropped: without area")
    return faces[sound], find_edges(faces[sound])


def _with_area(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Which faces [F, 3] have an area: bool [F]."""
    sides = vertices[faces] - vertices[np.roll(faces, 1, axis=1)]
    longest = (sides**2).sum(2).max(1)
    return np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1) > _FLAT * longest


def _inward(points: np.ndarray, normals: np.ndarray) -> bool:
    """Most normals [N, 3] look towards the middle of their points, as those of a room do, and those
    of a shape should not."""
    away = points - points.mean(0)
    return float((away * normals).sum()) < -_INWARD * float(np.linalg.norm(away, axis=1).sum())


def _disagreeing(points: np.ndarray, normals: np.ndarray) -> float:
    """The share of normals that point against those of the nearest other point."""
    from scipy.spatial import KDTree

    every = -(-len(points) // _KNOWN)
    points, normals = points[::every], normals[::every]
    chosen = np.random.default_rng(0).permutation(len(points))[:_ASKED]
    itself, other = np.asarray(KDTree(points).query(points[chosen], k=2)[1]).T
    return float(((normals[itself] * normals[other]).sum(1) < 0).mean())


def _require_extent(points: np.ndarray) -> None:
    with np.errstate(over="ignore"):
        side = float((points.max(0) - points.min(0)).max())
    if side == 0:
        raise Broken("has all its points in one place; there is no shape")
    if not np.isfinite(side) or side > 1e150 or side < 1e-150:
        raise Broken(f"is {side:g} units long, which no distance can be computed in; scale it")


def _number(count: int, singular: str, plural: str | None = None) -> str:
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"
