"""Turns the faces of a mesh so that neighbours agree which side is out."""

import numpy as np

from fields.shapes.edges import Edges, find_edges

ONE_SIDED = "the surface has one side only: nothing is inside it"


def make_consistent(faces: np.ndarray, notes: list[str]) -> Edges:
    """Turn faces [F, 3] in place, as few as will do; returns the edges of the result.

    Across an edge of two faces both must walk it in opposite directions. Where that cannot be, as
    on a Moebius strip, the part stays as it is, and open.
    """
    edges = find_edges(faces)
    one, other, disagree = edges.pairs()
    if not disagree.any():
        return edges
    turned, one_sided = _to_turn(len(faces), one, other, disagree)
    if one_sided:
        notes.append(ONE_SIDED)
    if turned.any():
        faces[turned] = faces[turned][:, ::-1]
        count = int(turned.sum())
        notes.append(f"{count:,} face{'s' * (count > 1)} turned around, as the neighbours are")
    return find_edges(faces)


def _to_turn(count: int, one, other, disagree) -> tuple[np.ndarray, bool]:
    """Which of `count` faces to turn; whether some part has one side only.

    In the double cover, each face is there twice, as it is and turned; neighbours that agree are
    joined as they are. Its connected components are the consistent ways to turn a part: two, or
    one where the part has one side only.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    rows = np.concatenate([one, one + count])
    columns = np.concatenate([other + count * disagree, other + count * ~disagree])
    ones = np.ones(len(rows), np.int8)
    graph = coo_matrix((ones, (rows, columns)), (2 * count, 2 * count))
    number, label = connected_components(graph, directed=False)
    plain, turned = label[:count], label[count:]
    # A way of turning is named by its label; it turns the faces that it holds turned.
    cost = np.bincount(turned, minlength=number)
    one_sided = plain == turned
    # Of the two ways each face is in, the one that turns fewer; ties go to the lower label.
    as_is, flipped = cost[plain], cost[turned]
    turn = (flipped < as_is) | ((flipped == as_is) & (turned < plain))
    return turn & ~one_sided, bool(one_sided.any())
