"""Opens a run."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fields import checkpoint, folder
from fields.device import computes
from fields.errors import FieldsError
from fields.many.reading import FieldSet, is_set, load_many
from fields.pictures.naming import likely_path, shown
from fields.precision import ask_in_float32, precision_of
from fields.runs.picture import PictureRun
from fields.runs.run import Run
from fields.runs.scene import SceneRun
from fields.runs.shape import ShapeRun
from fields.runs.volume import VolumeRun

KINDS: dict[str, type[Run]] = {
    "picture": PictureRun,
    "scene": SceneRun,
    "shape": ShapeRun,
    "volume": VolumeRun,
}


def run_of(
    path: Path,
    field: nn.Module,
    config: dict[str, Any],
    metrics: dict[str, Any] | None = None,
    tensors: dict[str, Tensor] | None = None,
) -> Run:
    """The run of the kind that a configuration names; FieldsError where there is none such."""
    kind = config["signal"].get("kind")
    if kind not in KINDS:
        raise FieldsError(f"{shown(path)} stores a {kind}, which this program does not know")
    return KINDS[kind](path, field, config, metrics, tensors)


def load(path: str | os.PathLike, *, model: nn.Module | None = None, device: str = "cpu") -> Run:
    """Open a run.

    Args:
        path: a run folder, or a field.safetensors alone; SET#N is field N of a set of many.
        model: a module of your own class to fill, where the run was fitted with one.
        device: where the field shall be.

    A field that was trained in arithmetic which the kernels here do not have is asked in float32,
    which its weights are; `Run.precision` says so.

    Runs no code of the file. Raises FieldsError, in one line, for what is missing, damaged, cut
    short, of a newer format, or does not fit `model`.
    """
    if not os.fspath(path):
        raise FieldsError(f"no run is named; give a run folder or a {folder.FIELD}")
    path = Path(path)
    if not os.path.lexists(path):
        place, _, number = str(path).rpartition("#")
        if is_set(Path(place)) and number.isdecimal():
            return _of_set(load_many(place), int(number), device)
        raise FieldsError(_missing(path))
    if is_set(path):
        raise FieldsError(f"{shown(path)} holds many fields; name one of them, {shown(path)}#0")
    file = path / folder.FIELD if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise FieldsError(
            f"{shown(path)} is no run: it holds no {folder.FIELD}; name a run folder, such as those"
            f" in {folder.RUNS}"
        )
    tensors, config = checkpoint.read(file)
    if config.get("kind") != "field":
        raise FieldsError(f"{shown(file)} is a {config.get('kind')}, not a field; name the run")
    if not _says_what_it_is(config):
        raise FieldsError(f"{shown(file)} does not say what it stores; fit again")
    field = checkpoint.restore(file, tensors, config, model)
    metrics = _metrics(path / folder.METRICS, config) if path.is_dir() else {}
    where = torch.device(device)
    if not computes(precision_of(field), where):
        ask_in_float32(field)
    return run_of(path, field.to(where), config, metrics, tensors)


def _says_what_it_is(config: dict[str, Any]) -> bool:
    """Whether a file, which others may have written, has what every kind of run asks it for."""
    signal = config.get("signal")
    words = ("kind", "name")
    return (
        isinstance(signal, dict)
        and all(isinstance(signal.get(word), str) for word in words)
        and all(type(config.get(number)) is int for number in ("steps", "seed"))
        and isinstance(config.get("version"), str)
    )


def _of_set(fields: FieldSet, number: int, device: str) -> Run:
    field = fields.field(number).to(device)
    path = fields.path / fields.entry(number)["shard"]
    return run_of(path, field, fields.configuration(number), fields.metrics_of(number))


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
