"""The run of a shape: the field asked for distances, turned into a mesh, and drawn."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fields import cameras, colouring, folder, in_source, tracing
from fields.cameras import Camera
from fields.errors import FieldsError, MissingLibrary, NoSurface
from fields.leaps import leaps_of
from fields.models.hashgrid import HashGrid
from fields.models.rbf import Rbf
from fields.pictures import png
from fields.pictures.naming import shown
from fields.render import device_of
from fields.runs.run import Run
from fields.shapes import Shape, ShapeSpace, read_shape
from fields.shapes.extract import extract
from fields.shapes.limits import check_level
from fields.shapes.open_surface import extract_open
from fields.shapes.polish import field_normals
from fields.signals.colours import ColourSignal, to_bytes
from fields.signals.shape import NAMES
from fields.signals.walls import without_walls

RESOLUTION = 256  # cells along an axis of the mesh that scores and previews are made of
PREVIEW = (512, 512)
Mesh = tuple[np.ndarray, np.ndarray, np.ndarray]


class ShapeRun(Run):
    """A fitted shape: see Run.

    Attributes:
        space: from units of the source to the unit cube and back.
        stores: sdf, udf or occupancy.
        up: the axis that points up: x, y or z.
        low, high: [3], corners of the source's box, in its units.
        colour_field: points [N, 3] of the unit cube -> sRGB [N, 3], not clamped; None without
            colours.
    """

    def _read_signal(self, signal: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        try:
            self.space = ShapeSpace.from_dict(signal["space"])
            self.stores, self.up = signal["stores"], signal["up"]
            self.low, self.high = np.asarray(signal["box"], np.float64).reshape(2, 3)
            sound = self.stores in NAMES and self.up in cameras.UPS
            sides = self.high - self.low
            if not (sound and (sides >= 0).all() and 0 < sides.max() < np.inf):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise FieldsError(f"{shown(self.path)} describes no shape; fit again") from None
        colours = colouring.restore(self.path, tensors, self.config)
        self.colour_field = None if colours is None else colours.to(device_of(self.field))
        # So that a field alone can be asked in the units that the user knows.
        ask = functools.partial(in_source.distance, self.field, self.space, self.stores)
        object.__setattr__(self.field, "sdf", ask)

    @property
    def is_signed(self) -> bool:
        return self.stores != "udf"

    def sdf(self, points: np.ndarray | Tensor) -> np.ndarray | Tensor:
        """Distances from the surface, negative inside (of an open shape without a sign), in units
        of the source.

        Args:
            points: [..., 3] in those units; within the cube around the shape that was fitted, at
                whose faces they are held.

        Returns [...], float32: an array for an array, a tensor for a tensor. Of an occupancy it is
        the logit of being outside, which is no distance.
        """
        return in_source.distance(self.field, self.space, self.stores, points)

    def values(self, coords: Tensor) -> Tensor:
        """Coords [N, 3] in the unit cube -> [N], negative inside, in lengths of the cube."""
        values = self.field(coords.to(device_of(self.field)))[:, 0]
        return -values if self.stores == "occupancy" else values

    @property
    def has_colours(self) -> bool:
        return self.colour_field is not None

    def colours(self, points: np.ndarray | Tensor) -> np.ndarray | Tensor:
        """The colours of the surface at points on it, or near it.

        Args:
            points: [..., 3] in units of the source.

        Returns [..., 3] uint8 sRGB: an array for an array, a tensor for a tensor.
        Raises FieldsError where none are stored.
        """
        if self.colour_field is None:
            raise FieldsError(f"{shown(self.path)} stores no colours")
        return in_source.asked(self.colour_field, self.space, points, to_bytes)

    def on_surface(self, vertices: np.ndarray, normals: np.ndarray, level: float) -> np.ndarray:
        """Places on the surface itself, for the vertices [V, 3] of a mesh at another level, whose
        colours were not learned; of an occupancy, whose levels are no lengths, as they are."""
        return vertices - level * normals if self.stores == "sdf" else vertices

    def mesh(self, resolution: int | None = None, level: float = 0.0, **options: Any) -> Mesh:
        """The surface as a mesh, in units of the source.

        Args:
            resolution: cells along each axis of the cube, 8 to 1024; 256 by default.
            level: distance from the surface, in units of the source; of an occupancy a logit.

        Returns vertices [V, 3] float64, faces [F, 3] int64 and unit normals [V, 3].
        """
        resolution = RESOLUTION if resolution is None else resolution
        check_level(level)
        if not self.is_signed:
            if level:
                raise FieldsError("--level is for signed fields; this one stores no sign")
            vertices, faces, normals = extract_open(self.values, resolution, **options)
        else:
            scale = 1.0 if self.stores == "occupancy" else self.space.scale
            distance = self.stores == "sdf"
            try:
                vertices, faces = extract(
                    self.values, resolution, level=level * scale, is_distance=distance, **options
                )
            except NoSurface as error:
                raise in_units(error, level, lambda value: value / scale) from None
            normals = field_normals(self.values, vertices)
        return self.space.to_source(vertices), faces, normals

    @property
    def ball(self) -> tuple[np.ndarray, float]:
        """Centre and radius of a ball around the shape."""
        return (self.low + self.high) / 2, float(np.linalg.norm(self.high - self.low)) / 2

    def camera(
        self,
        size: tuple[int, int] = (800, 800),
        azimuth: float = cameras.AZIMUTH,
        elevation: float = 20.0,
    ) -> Camera:
        """One that sees the whole shape; angles in degrees, see cameras.around."""
        centre, radius = self.ball
        return cameras.around(
            centre, radius, size, azimuth=azimuth, elevation=elevation, up=self.up
        )

    def orbit(self, count: int, size: tuple[int, int] = (800, 800)) -> list[Camera]:
        """`count` cameras once around the shape."""
        centre, radius = self.ball
        return cameras.orbit(count, centre, radius, size, up=self.up)

    def render(
        self,
        size: tuple[int, int] | None = None,
        *,
        camera: Camera | None = None,
        shading: str = "lit",
        smooth: int = 2,
        cancel: Tensor | None = None,
    ) -> np.ndarray:
        """Draw the shape by sphere tracing its field.

        Args:
            size: (width, height) in pixels, 800 x 800 by default, for the usual camera.
            camera: another view.
            shading: lit, colour (as it is, without light), normals or depth.
            smooth: rays along an axis of a pixel.
            cancel: uint8 [1] on the CPU; Cancelled is raised once it is not zero.

        Returns [height, width, 3] uint8. Raises FieldsError for a size of no use, and for `colour`
        where none is stored.
        """
        camera = camera or self.camera(size or (800, 800))
        cameras.check_size(camera.width, camera.height)
        field = self.colour_field
        if field is None and shading == "colour":
            raise FieldsError(f"{shown(self.path)} stores no colours; --shading lit draws it grey")
        return tracing.draw(
            self.tracer(),
            camera,
            self.space,
            shading=shading,
            smooth=smooth,
            two_sided=not self.is_signed,
            colours=None if field is None else lambda points: field(points).clamp(0, 1),
            device=device_of(self.field),
            cancel=cancel,
        )

    @functools.cached_property
    def _leaps(self) -> tracing.Values | None:
        """Of an occupancy: asked once, for all pictures of an orbit."""
        with torch.inference_mode():
            return leaps_of(self.values, device_of(self.field))

    def tracer(self) -> tracing.Tracer:
        """How its field is walked through."""
        if self.stores == "occupancy":
            return tracing.Tracer(self.values, bound=None, least=1 / 384, leaps=self._leaps)
        walk = walk_of(self.field)
        if self.stores == "udf":
            return unsigned_tracer(self.values, walk)
        return tracing.Tracer(self.values, walk=walk)

    def png(self, longest: int | None = None) -> bytes:
        """A view of the shape as a PNG file."""
        side = min(longest or PREVIEW[0], PREVIEW[0])
        return png.encode(self.render((side, side)), None)

    def source(self, path: str | os.PathLike | None = None) -> Shape:
        """The shape that was fitted; by default read from where it was.

        Raises FieldsError if the run does not know where, or it is no longer there.
        """
        shape = read_shape(self._source_path() if path is None else path)
        if not (self.is_signed and shape.is_closed):
            return shape
        return without_walls(shape, ShapeSpace.around(shape.vertices))

    def scores(self, shape: Shape) -> dict[str, Any]:
        """How close the field is to a shape; see `score_shape`."""
        from fields.shapes.scores import score_shape

        vertices, faces, _ = self.mesh()
        inside = self.values if self.is_signed else None
        figures = score_shape(
            shape, vertices, faces, inside, space=self.space, is_distance=self.stores == "sdf"
        )
        return figures | self._colour_scores(shape)

    def _colour_scores(self, shape: Shape) -> dict[str, float]:
        if self.colour_field is None or shape.colours is None:
            return {}
        signal = ColourSignal(shape.colours, self.space, device_of(self.field))
        return {"colour_psnr": round(signal.score(self.colour_field), 4)}

    def finish(self, signal: Any, place: folder.RunFolder) -> dict[str, Any]:
        with place.replacing(folder.PREVIEW) as file:
            file.write(self.png())
        try:
            return self.scores(signal.source)
        except (MissingLibrary, NoSurface) as error:  # the run is kept
            iou = {"iou": signal.iou(self.field)} if signal.sampled else {"not_scored": str(error)}
            return iou | self._colour_scores(signal.source)

    @property
    def described(self) -> str:
        colours = " and colours" if self.has_colours else ""
        return NAMES[self.stores] + colours

    def __repr__(self) -> str:
        iou = self.metrics.get("iou")
        score = f", IoU {iou:.4f}" if iou else ""
        return f"Run({shown(self.path)!r}: {self.config['model']}, {self.described}{score})"


def unsigned_tracer(values: tracing.Values, walk: tracing.Walk | None = None) -> tracing.Tracer:
    """How distances without a sign are walked through."""
    return tracing.Tracer(values, near=1.5e-3, least=5e-4, back=6e-3, walk=walk)


def walk_of(field: nn.Module) -> tracing.Walk | None:
    """The walk of a field that has one of its own: float32 grids on a CPU with an MLP, or with
    Gaussians."""
    if isinstance(field, HashGrid) or (isinstance(field, Rbf) and field.is_fused):
        table = field.table
        if table.is_cpu and table.dtype == torch.float32 and field.channels == 1:
            return field.trace
    return None


def in_units(error: NoSurface, level: float, to_source: Callable[[float], float]) -> NoSurface:
    """The same in units of the source."""
    if error.low is None or error.high is None:
        return error
    low, high = sorted((to_source(error.low), to_source(error.high)))
    return NoSurface(
        f"there is no surface at {level:g}; the field goes from {low:.4g} to {high:.4g}"
    )
