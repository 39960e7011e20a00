"""What a shape is once it has been read: points, faces and the few facts that go with them."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fields.shapes.colours import Colours


@dataclass(frozen=True, eq=False)
class Shape:
    """A mesh or a point cloud in memory, in the units and axes of its file.

    Args:
        name: what the file is called, without folder and suffix; printable.
        vertices: [V, 3] float64, finite; of a mesh every one belongs to a face.
        faces: [F, 3] int64; no face names a vertex twice, none stands there twice. [0, 3] of a
            point cloud.
        kind: "mesh" or "points".
        normals: [V, 3] float64 of unit length, of a point cloud that has them.
        colours: of its surface, where the source has any.
        sign: what tells inside from outside: "pseudonormal" for a closed mesh whose faces agree,
            "winding" for one that is closed but touches or cuts itself, "none" for an open mesh
            and for points.
        notes: lines that say what was mended, for the user.
        up: the axis that points up: "z" in STL, and in glTF, which is turned; else "y".
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    kind: Literal["mesh", "points"] = "mesh"
    normals: np.ndarray | None = None
    colours: Colours | None = None
    sign: Literal["pseudonormal", "winding", "none"] = "none"
    notes: tuple[str, ...] = ()
    up: Literal["x", "y", "z"] = "y"

    @property
    def is_closed(self) -> bool:
        """The mesh has an inside: each edge is walked as often in one direction as in the other."""
        return self.sign != "none"

    def without_colours(self, why: str = "") -> "Shape":
        """The same but for its colours; `why` is a note, where it has some."""
        if self.colours is None:
            return self
        return replace(self, colours=None, notes=(*self.notes, *([why] if why else [])))

    @property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Its lowest and highest corner, [3] each."""
        return self.vertices.min(0), self.vertices.max(0)

    def __str__(self) -> str:
        if self.kind == "points":
            known = "points with normals" if self.normals is not None else "points"
            return f"{len(self.vertices):,} {known}"
        return f"{len(self.faces):,} faces, {'closed' if self.is_closed else 'open'}"


class Broken(Exception):
    """Why a shape is of no use: a clause that goes after the file's name in a message."""
