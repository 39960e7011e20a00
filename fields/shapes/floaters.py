"""The small parts of a mesh that float beside the large ones."""

import numpy as np

SHARE = 0.01  # of the faces of the largest part: parts with fewer are small


def small_parts(faces: np.ndarray) -> np.ndarray:
    """Which faces [F, 3] belong to connected parts that have less than SHARE of the faces of the
    largest: bool [F]."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = int(faces.max()) + 1
    ends = faces[:, [0, 1, 1, 2]].reshape(-1, 2).T
    edges = coo_matrix((np.ones(ends.shape[1], bool), (ends[0], ends[1])), (count, count))
    part = connected_components(edges, directed=False)[1][faces[:, 0]]
    sizes = np.bincount(part)
    return sizes[part] < SHARE * sizes.max()


def without(faces: np.ndarray, dropped: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The faces that stay, and which vertices they use: faces count among these."""
    kept = faces[~dropped]
    used = np.unique(kept)
    return np.searchsorted(used, kept), used
