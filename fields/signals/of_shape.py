"""What the signals of a mesh and of points share: where the shape is, and what is said of it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fields.configs.shape import ShapeOptions
from fields.shapes import Shape, ShapeSpace
from fields.signals.colours import ColourSignal

CELLS = 200  # along an axis, by which models choose their sizes
NAME_LENGTH = 60  # characters of a source's name in a file


class ShapeSource:
    """A shape, its place in the unit cube, and what a checkpoint says of it.

    Attributes:
        source, options, device: as given.
        space: from units of the source to the unit cube.
        stores: sdf, udf or occupancy.
    """

    kind = "shape"
    decided: Mapping[str, Any] = {}
    metric = "iou"
    unit = ""
    dim = 3
    channels = 1
    shape = (CELLS, CELLS, CELLS)
    stores: str

    def __init__(self, shape: Shape, options: ShapeOptions, device: torch.device):
        self.source, self.options, self.device = shape, options, device
        self.space = ShapeSpace.around(shape.vertices)

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def notes(self) -> tuple[str, ...]:
        return self.source.notes

    def _as(self, stored: str) -> str:
        colours = " and colours" if self.source.colours is not None else ""
        return f"{self.source}, as {stored}{colours}"

    def estimate(self, loss: float, name: str) -> float | None:
        """No loss of distances says how well the inside is told."""
        return None

    def describe(self) -> dict[str, Any]:
        """What a checkpoint says of the signal."""
        coloured = {} if self.source.colours is None else {"coloured": True}
        return {
            "kind": "shape",
            "name": self.name[:NAME_LENGTH],
            "stores": self.stores,
            "up": self.source.up,
            "space": self.space.as_dict(),
            "box": [corner.tolist() for corner in self.source.box],
            "options": dataclasses.asdict(self.options),
            **coloured,
        }

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def colours(self) -> ColourSignal | None:
        """Those of its surface, where the source has any."""
        known = self.source.colours
        return None if known is None else ColourSignal(known, self.space, self.device)

    def world_to_unit(self) -> list[list[float]]:
        """4 x 4: points (x, y, z, 1) of the source to the unit cube."""
        return self.space.world_to_unit.tolist()

    def fingerprint(self) -> str:
        """A hash of vertices, faces, normals and colours."""
        source = self.source
        digest = hashlib.sha256(np.ascontiguousarray(source.vertices).data)
        digest.update(np.ascontiguousarray(source.faces).tobytes())
        if source.normals is not None:
            digest.update(np.ascontiguousarray(source.normals).data)
        if source.colours is not None:
            source.colours.update(digest)
        return digest.hexdigest()
