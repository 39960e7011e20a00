"""What readers are shown of the fields of a set; each kind is computed once, for all rows."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from fields import ops
from fields.errors import FieldsError
from fields.many.field import density_of, spec_of
from fields.many.reading import FieldSet
from fields.readers.explicit import Explicit, explicit_of
from fields.readers.images import channel_energy
from fields.readers.measures import measured_values

SIDE = 24  # points along an axis of a grid of values
_AT_ONCE = 64  # fields
_LEAST = 1e-6  # of sizes
_WAY = 0.05  # through a radiance field, lengths of the unit cube

KINDS = {
    "planes": "the planes [3, C, R, R]",
    "weights": "planes and MLP in a row",
    "params": "the MLP alone in a row",
    "energy": "energy of planes and of their slopes [3, 2, R, R]",
    "values": f"the field's values at {SIDE}^3 points [1, {SIDE}, {SIDE}, {SIDE}]",
    "measures": "numbers that are measured of these values",
    "points": "points on the mesh [1024, 3]",
    "numbers": "logarithms of nine numbers of the mesh",
}


class Inputs:
    """The rows of a set of fields as readers take them: `inputs["planes"]` is [N, 3, C, R, R].

    Attributes:
        found: the set.
        classes: names, in the order of `labels`.
        labels: [N] int64 from 0, -1 where a shape has none.

    Args:
        found: a finished set, with labels.
        explicit: what is known of its meshes; read from where the set says they lie if it is not
            given and asked for.
    """

    def __init__(self, found: FieldSet, explicit: Explicit | None = None):
        known = {e["label"]: e["class"] for e in found.index if e["label"] is not None}
        if len(known) < 2:
            raise FieldsError(f"readers need at least two classes; the set has {len(known)}")
        self.found = found
        self.explicit = explicit
        order = sorted(known)
        self.classes = [known[label] for label in order]
        self.labels = torch.tensor(
            [-1 if e["label"] is None else order.index(e["label"]) for e in found.index]
        )
        self._made: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, kind: str) -> Tensor:
        """Float32 [N, ...]; see `KINDS`."""
        if kind not in self._made:
            self._made[kind] = self._make(kind)
        return self._made[kind]

    def _make(self, kind: str) -> Tensor:
        found = self.found
        if kind == "planes":
            return found.planes
        if kind == "weights":
            return torch.cat([found.planes.flatten(1), found.params], 1)
        if kind == "params":
            return found.params
        if kind == "energy":
            return torch.cat([channel_energy(part) for part in found.planes.split(_AT_ONCE)])
        if kind == "values":
            return field_values(found, SIDE)
        if kind == "measures":
            return torch.cat([measured_values(part) for part in self["values"].split(_AT_ONCE)])
        if self.explicit is None:
            self.explicit = explicit_of(Path(found.about["source"]), found.index)
        if kind == "points":
            return self.explicit.points
        return self.explicit.numbers.clamp_min(_LEAST).log()


def field_values(found: FieldSet, side: int) -> Tensor:
    """Values [N, 1, side, side, side] of all fields over (x, y, z), from face to face of the unit
    cube: distances in units in which they are told apart, from -1 inside to 1 outside; of an
    occupancy the same by how likely a point is inside, of a radiance field by how much light is
    lost over a short way."""
    axis = torch.linspace(0, 1, side)
    places = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    planes, spec = found.planes.permute(0, 1, 3, 4, 2), spec_of(found.options)
    parts = []
    for some, params in zip(planes.split(_AT_ONCE), found.params.split(_AT_ONCE), strict=True):
        coords = places.expand(len(some), -1, -1)
        parts.append(ops.plane_fields(coords, some, params, spec)[..., 0])
    values = torch.cat(parts).view(-1, 1, side, side, side)
    if found.options.is_distance:
        return values.clamp(-1, 1)
    if found.options.is_radiance:
        return 2 * torch.exp(-_WAY * density_of(values)) - 1
    return 1 - 2 * values.sigmoid()
