"""A run: a fitted field with what is known of it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from fields import folder
from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.precision import precision_of

_SHOWN_SIDE = 1024  # of the picture in a notebook


class Run:
    """A fitted field; each kind of signal has a run of its own.

    Attributes:
        path: the run folder, or the field file that was loaded alone.
        field: the module, in evaluation mode: coords [..., D] in [0, 1] -> values [..., C].
        config: the whole configuration, as the file holds it.
        metrics: what metrics.json says; empty for a run that is not finished.
    """

    def __init__(
        self,
        path: Path,
        field: nn.Module,
        config: dict[str, Any],
        metrics: dict[str, Any] | None = None,
        tensors: dict[str, Tensor] | None = None,
    ):
        """`tensors` are those of the file that belong to the signal (`signal.*`)."""
        self.path = path
        self.field = field.eval()
        self.config = config
        self.metrics = metrics or {}
        self._read_signal(config["signal"], tensors or {})

    def _read_signal(self, signal: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Take what a kind of run needs of the signal that its file describes; FieldsError where
        that is missing."""

    @property
    def kind(self) -> str:
        """Of its signal: picture or shape."""
        return self.config["signal"]["kind"]

    @property
    def steps(self) -> int:
        """Training steps that the field has behind it."""
        return self.config["steps"]

    @property
    def precision(self) -> str:
        """Arithmetic that the field is asked in here; `config` holds that of its training."""
        return precision_of(self.field)

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

    def figures(self) -> dict[str, Any]:
        """The metrics; of a run without them, what can be told from the field."""
        file = self.path / folder.FIELD if self.path.is_dir() else self.path
        return {
            "model": self.config["model"],
            "steps": self.steps,
            "parameters": sum(p.numel() for p in self.field.parameters()),
            "bytes": file.stat().st_size,
            "bits": self.config.get("bits", 32),
            "seed": self.config["seed"],
            "version": self.config["version"],
            **self.metrics,
        }

    def render(self, size: Any = None, **view: Any) -> np.ndarray:
        """Draw it; what else can be said of the view is up to the kind of the run."""
        raise NotImplementedError

    def png(self, longest: int | None = None) -> bytes:
        """A picture of it as a PNG file of 8 or 16 bits, at most `longest` pixels wide and high."""
        raise NotImplementedError

    def source(self, path: str | os.PathLike | None = None) -> Any:
        """What was fitted, as it was fitted; by default read from where it was."""
        raise NotImplementedError

    def _source_path(self) -> str:
        path = self.metrics.get("source")
        if not isinstance(path, str) or path == "array":
            raise FieldsError(f"{shown(self.path)} does not say where its source is; name it")
        return path

    def view(self, **options: Any) -> Any:
        """Show it in the browser, live; in a notebook the result is a frame that shows it.

        Args:
            options: of fields_viewer.Viewer, such as the port, and the origins of a proxy.

        Returns a Viewer; its `close` ends it.
        """
        from fields_viewer import Viewer

        return Viewer(self, **options)

    def _repr_png_(self) -> bytes:
        return self.png(_SHOWN_SIDE)

    @property
    def described(self) -> str:
        """What was fitted, in a few words."""
        raise NotImplementedError

    def scores(self, source: Any) -> dict[str, Any]:
        """How close the field is to what `source` gives, as metrics.json has it."""
        raise NotImplementedError

    def finish(self, signal: Any, place: folder.RunFolder) -> dict[str, Any]:
        """Write the preview of a run that has just ended; returns its scores."""
        raise NotImplementedError
