"""A run: a fitted field with what is known of it, to be asked and drawn. `load` opens one."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fields import checkpoint, folder
from fields.device import computes
from fields.errors import FieldsError
from fields.models.hashgrid import HashGrid
from fields.models.network import Network
from fields.pictures import RelativeSpace, png, quantise, read_picture
from fields.pictures.naming import likely_path, shown
from fields.pictures.picture import Picture
from fields.render import Box, Size, bands, checked_box, enlarged
from fields.signals.picture_space import PictureSpace

_SHOWN_SIDE = 1024  # of the picture in a notebook
_WITH_MLP = (HashGrid, Network)  # whose arithmetic is a choice


class Run:
    """A fitted field.

    Attributes:
        path: the run folder, or the field file that was loaded alone.
        field: the module, in evaluation mode: coords [..., 2] in [0, 1] -> values [..., C].
        config: the whole configuration, as the file holds it.
        metrics: what metrics.json says; empty for a run that is not finished.
        space: how values become pixels.
        icc: the colour profile of the source, or None.
    """

    def __init__(
        self,
        path: Path,
        field: nn.Module,
        config: dict[str, Any],
        metrics: dict[str, Any],
        icc: bytes | None = None,
    ):
        self.path = path
        self.field = field.eval()
        self.config = config
        self.metrics = metrics
        self.icc = icc
        self.space = PictureSpace.from_dict(config["signal"])

    @property
    def steps(self) -> int:
        """Training steps that the field has behind it."""
        return self.config["steps"]

    @property
    def precision(self) -> str:
        """Arithmetic that the field is asked in here; `config` holds that of its training."""
        return self.field.mlp.precision if isinstance(self.field, _WITH_MLP) else "float32"

    @property
    def fallback(self) -> str | None:
        """A clause for the user where the field is asked in other arithmetic than it was trained
        in, which this machine lacks; None where it is not."""
        trained = (self.config["config"] or {}).get("precision", self.precision)
        if trained == self.precision:
            return None
        return f"{self.precision}, as there is no {trained} on this machine"

    @property
    def is_finished(self) -> bool:
        """The fit reached its end and was scored."""
        return bool(self.metrics)

    def render(
        self,
        size: Size | float | None = None,
        crop: Box | None = None,
        *,
        cancel: Tensor | None = None,
    ) -> np.ndarray:
        """Draw the picture, at any size.

        Args:
            size: (width, height) in pixels, or how many times larger than the source; by default
                that of the source.
            crop: (x0, y0, x1, y1) in those pixels, x1 and y1 not included.
            cancel: [1]; Cancelled is raised once it is not zero.

        Returns [h, w, C] in the encoding and the dtype of the source.
        """
        source = (self.space.width, self.space.height)
        if size is None:
            size = source
        elif isinstance(size, (int, float)):
            size = enlarged(source, size)
        x0, y0, x1, y1 = checked_box(size, crop)
        result = np.empty((y1 - y0, x1 - x0, self.space.channels), self.space.dtype)
        for top, values in bands(self.field, size, crop, source=source, cancel=cancel):
            result[top : top + len(values)] = self.space.to_pixels(values.numpy())
        return result

    def source(self, path: str | os.PathLike | None = None) -> Picture:
        """The picture that was fitted, as it was fitted; by default read from where it was.

        Raises FieldsError if the run does not know where, or it is no longer there.
        """
        from fields.signals.downscale import downscale

        if path is None:
            path = self.metrics.get("source")
            if path in (None, "array"):
                raise FieldsError(f"{shown(self.path)} does not say where its source is; name it")
        return downscale(read_picture(path), self.config["signal"]["downscale"])

    def figures(self) -> dict[str, Any]:
        """The metrics; of a run without them, what can be told from the field."""
        file = self.path / folder.FIELD if self.path.is_dir() else self.path
        return {
            "model": self.config["model"],
            "steps": self.steps,
            "parameters": sum(p.numel() for p in self.field.parameters()),
            "bytes": file.stat().st_size,
            "seed": self.config["seed"],
            "version": self.config["version"],
            **self.metrics,
        }

    def png(self, longest: int | None = None) -> bytes:
        """The picture as a PNG file of 8 or 16 bits; floats through the display curve.

        Args:
            longest: side that a larger picture is drawn at.
        """
        width, height = self.space.width, self.space.height
        shrink = min(1.0, (longest or max(width, height)) / max(width, height))
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        return png.encode(displayed(self.render(size), self.space), self.icc)

    def _repr_png_(self) -> bytes:
        return self.png(_SHOWN_SIDE)

    def __repr__(self) -> str:
        score = f", {self.metrics['psnr']:.2f} dB" if self.metrics.get("psnr") else ""
        return f"Run({shown(self.path)!r}: {self.config['model']}, {self.space}{score})"


def displayed(pixels: np.ndarray, space: PictureSpace) -> np.ndarray:
    """Pixels that a screen can show: integers as they are, floats through the display curve.

    The curve is that of the source: a crop is as bright as the whole, and what little a field makes
    of black stays black.
    """
    if not space.relative:
        return pixels
    curve = RelativeSpace(*space.relative).display_curve()
    result = np.clip(pixels.astype(np.float32), 0, 1)
    result[..., : space.colours] = curve.encode(pixels[..., : space.colours])
    return quantise(result, 8)


def load(path: str | os.PathLike, *, model: nn.Module | None = None, device: str = "cpu") -> Run:
    """Open a run.

    Args:
        path: a run folder, or a field.safetensors alone.
        model: a module of your own class to fill, where the run was fitted with one.
        device: where the field shall be.

    A field that was trained in arithmetic which the kernels here do not have is asked in float32,
    which its weights are; `Run.precision` says so.

    Runs no code of the file. Raises FieldsError, in one line, for what is missing, damaged, cut
    short, of a newer format, or does not fit `model`.
    """
    path = Path(path)
    if not os.path.lexists(path):
        raise FieldsError(_missing(path))
    file = path / folder.FIELD if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise FieldsError(
            f"{shown(path)} is no run: it holds no {folder.FIELD}; name a run folder, such as those"
            f" in {folder.RUNS}"
        )
    tensors, config = checkpoint.read(file)
    if config.get("kind") != "field":
        raise FieldsError(f"{shown(file)} is a {config.get('kind')}, not a field; name the run")
    field = checkpoint.restore(file, tensors, config, model)
    metrics = _metrics(path / folder.METRICS, config) if path.is_dir() else {}
    icc = bytes(tensors["signal.icc"].numpy()) if "signal.icc" in tensors else None
    where = torch.device(device)
    if isinstance(field, _WITH_MLP) and not computes(field.mlp.precision, where):
        field.mlp = dataclasses.replace(field.mlp, precision="float32")
    return Run(path, field.to(where), config, metrics, icc)


def _missing(path: Path) -> str:
    """The line for a run that is not there."""
    near = likely_path(path, folder.RUNS)
    if near is not None:
        return f"{shown(path)} does not exist; did you mean {shown(near)}?"
    return f"{shown(path)} does not exist; name a run folder or a {folder.FIELD}"


def _metrics(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The metrics of this field; none if they are of an earlier or a later one."""
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    sound = isinstance(metrics, dict) and metrics.get("steps") == config["steps"]
    return metrics if sound else {}
