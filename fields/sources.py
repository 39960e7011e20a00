"""From what a user names to a signal: a picture, a shape or a volume."""

import os

import numpy as np
import torch
from torch import Tensor

from fields.configs import SceneOptions, ShapeOptions
from fields.errors import FieldsError, flag
from fields.pictures import SAMPLES, Picture, read_picture
from fields.pictures.downscale import downscale
from fields.pictures.naming import shown
from fields.pictures.picture import DTYPES
from fields.request import Request
from fields.scenes import Scene, is_meant, read_scene
from fields.shapes import Shape, Volume, find_kind, read_shape, read_volume
from fields.shapes.formats import AS_WELL
from fields.signals.picture import PictureSignal
from fields.signals.points import NO_NORMALS, PointSignal
from fields.signals.scene import SceneSignal
from fields.signals.shape import ShapeSignal
from fields.signals.signal import Signal
from fields.signals.volume import VolumeSignal

Source = str | os.PathLike | np.ndarray | Tensor | Picture | Shape | Volume | Scene
Thing = Picture | Shape | Volume | Scene


def kind_of(source: Source) -> str:
    """scene, or picture for whatever else there is: what of a request has to be known before the
    source is read."""
    if isinstance(source, (str, os.PathLike)):
        return "scene" if is_meant(source) else "picture"
    return "scene" if isinstance(source, Scene) else "picture"


def read(source: Source, request: Request) -> tuple[Thing, str]:
    """What is to be fitted, and how metrics.json names it: a sample, a path, or "array"."""
    if isinstance(source, (Picture, Shape, Volume, Scene)):
        return source, "array"
    if isinstance(source, (np.ndarray, Tensor)):
        pixels = source.detach().cpu().numpy() if isinstance(source, Tensor) else source
        return _from_array(pixels), "array"
    if request.kind == "scene":
        options = SceneOptions(**request.signal_options)
        scene = read_scene(source, downscale=request.downscale or 1, mask_of=options.mask_of)
        if "time_cells" in request.options and not scene.moves:
            raise FieldsError(
                f"--time-cells is of scenes that move; no view of {scene.name} has a time"
            )
        return scene, source_name(source)
    kind = find_kind(source)
    name = source_name(source)
    if kind == "volume":
        return read_volume(source), name
    if kind is None:
        return read_picture(source, others=AS_WELL), name
    shape = read_shape(source)
    if shape.kind == "points" and shape.normals is None:
        raise FieldsError(f"{shown(source)} {NO_NORMALS}")
    return shape, name


def reads_otherwise(one: Request, other: Request) -> bool:
    """Whether `read` makes something else of a source for one request than for another."""
    if one.kind != "scene":
        return False
    ways = {
        (request.downscale or 1, SceneOptions(**request.signal_options).mask_of)
        for request in (one, other)
    }
    return len(ways) > 1


def signal_of(thing: Thing, request: Request, device: torch.device) -> Signal:
    """The signal of a thing that was read, as the request wants it.

    Raises FieldsError for options that are of another kind of source.
    """
    if isinstance(thing, Scene):
        return SceneSignal(thing, SceneOptions(**request.signal_options), device)
    if not isinstance(thing, Shape) and request.signal_options:
        name = flag(next(iter(request.signal_options)))
        raise FieldsError(f"{name} is for shapes; {thing.name} is a {type(thing).__name__.lower()}")
    if not isinstance(thing, Picture) and (request.downscale or 1) != 1:
        raise FieldsError(f"--downscale is for pictures and scenes; {thing.name} is none")
    if isinstance(thing, Picture):
        factor = request.downscale or 1
        return PictureSignal(downscale(thing, factor), device, factor)
    if isinstance(thing, Volume):
        return VolumeSignal(thing, device)
    options = ShapeOptions(**request.signal_options)
    kind = PointSignal if thing.kind == "points" else ShapeSignal
    signal = kind(thing, options, device)
    if request.target is not None:
        if not signal.sampled:
            raise FieldsError(
                f"--target is the IoU of insides, and {thing.name} has none to compare"
            )
        if request.target > 1:
            raise FieldsError(f"--target of a shape is an IoU, at most 1, got {request.target:g}")
        if isinstance(signal, ShapeSignal):
            signal.prepare_scores()
    return signal


def source_name(source: str | os.PathLike) -> str:
    """A source's file, absolute, or the name of a sample."""
    text = os.fsdecode(source)
    is_sample = text in SAMPLES and not os.path.lexists(text)
    return text if is_sample else os.path.abspath(text)


def _from_array(pixels: np.ndarray) -> Picture:
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype == np.float64:
        pixels = pixels.astype(np.float32)
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or pixels.size == 0:
        raise FieldsError(f"pixels must be [H, W] or [H, W, 1 to 4], got {list(pixels.shape)}")
    if pixels.dtype not in DTYPES:
        raise FieldsError(f"pixels must be uint8, uint16 or floats, got {pixels.dtype}")
    if not np.isfinite(pixels).all():
        raise FieldsError("pixels hold NaN or infinite values")
    return Picture(np.ascontiguousarray(pixels), "array", "array")
