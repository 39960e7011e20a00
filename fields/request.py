"""What a user asks of a fit, checked before anything is read. Free of torch."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fields import catalogue
from fields import plan as plans
from fields.configs import Config, SceneOptions, ShapeOptions, TooSmall, settings
from fields.device import DEVICES
from fields.errors import FieldsError, either, flag
from fields.fresh.options import Fresh, no_frequency
from fields.plan import Plan, Stop
from fields.request_checks import check_number, check_only, unknown_option

if TYPE_CHECKING:
    from fields.signals.signal import Signal

LOSSES = ("l2", "l1", "relative", "binary")
SCENE_LOSSES = ("l2", "l1")  # of colours
OCCUPANCY_LOSSES = ("binary",)  # a logit is no value that differences from 0 and 1 teach
BITS = (8, 32)  # of a stored weight
DEFAULT_MODEL = "hashgrid"


@dataclass(frozen=True)
class Request:
    """The arguments of `fields.fit` but the source; see there. FieldsError where one is of no use.

    Attributes:
        model: a name, a Config, a module, or None for the default, or the one of the run resumed.
        options: settings of the model by name.
        signal_options: settings of the source by name, see ShapeOptions and SceneOptions.
        kind: of the source: scene, or picture for whatever else there is.
    """

    model: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    out: str | os.PathLike | None = None
    steps: int | None = None
    seconds: float | None = None
    target: float | None = None
    size_kb: float | None = None
    downscale: int | None = None
    seed: int | None = None
    device: str = "auto"
    threads: int | None = None
    resume: bool = False
    overwrite: bool = False
    batch: int | None = None
    rate: float | None = None
    loss: "str | Callable | None" = None
    fresh: "bool | Fresh | None" = None
    signal_options: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "picture"
    bits: int | None = None

    def __post_init__(self):
        if self.resume and self.overwrite:
            raise FieldsError("--resume goes on with a run, --overwrite replaces it: give one")
        if self.resume and self.size_kb is not None:
            raise FieldsError("--size-kb does not go with --resume: the run has its size")
        if self.out is not None and not os.fspath(self.out):
            raise FieldsError("--out is empty; name a folder")
        if self.overwrite and self.out is None:
            raise FieldsError("--overwrite replaces the run in --out; name it")
        if self.device not in DEVICES:
            raise FieldsError(f"--device must be {either(DEVICES)}, got {self.device!r}")
        check_number("--size-kb", self.size_kb, 0, 1e9)
        check_number("--downscale", self.downscale, 1, 1e6, whole=True)
        check_number("--seed", self.seed, 0, 2**31 - 1, whole=True)
        check_number("--threads", self.threads, 1, 1024, whole=True)
        check_number("--steps", self.steps, 1, 1e12, whole=True)
        if self.bits is not None and self.bits not in BITS:
            raise FieldsError(f"--bits must be {either(BITS)}, got {self.bits!r}")
        self.plan()
        self._check_loss()
        if self._is_module and (self.options or self.size_kb is not None):
            what = next(iter(self.options), "size_kb")
            raise FieldsError(f"{what} is for a model named; set it where you make your own")
        if not self._is_module and not isinstance(self.model, Config):
            self.check_options(self._model.config)
        self._check_fresh()
        self._check_options_of_source()

    @property
    def _model(self) -> catalogue.Model:
        """The model that was named."""
        return catalogue.find(self.model or DEFAULT_MODEL, self.kind)

    def options_of_source(self) -> ShapeOptions | SceneOptions:
        """Settings of the source."""
        return (SceneOptions if self.kind == "scene" else ShapeOptions)(**self.signal_options)

    def _check_options_of_source(self) -> None:
        """FieldsError for an option that the source does not have, a value of no use, or one that
        does nothing beside the others."""
        known = {item.name: item for item in settings(self.options_of_source())}
        asked = {n: v for n, v in self.signal_options.items() if v != known[n].default}
        if not self.resume:  # the other options are those of the run
            check_only(asked, known)

    def _check_loss(self) -> None:
        """FieldsError for a named loss by which what is stored cannot be learned."""
        if not isinstance(self.loss, str):
            return
        if self.loss not in LOSSES:
            raise FieldsError(f"--loss must be {either(LOSSES)}, got {self.loss!r}")
        if self.kind == "scene" and self.loss not in SCENE_LOSSES:
            raise FieldsError(
                f"--loss {self.loss} is for shapes; that of a scene is {either(SCENE_LOSSES)}"
            )
        if self.resume:  # it must be that of the run
            return
        is_occupancy = self.signal_options.get("stores") == "occupancy"
        if is_occupancy and self.loss not in OCCUPANCY_LOSSES:
            raise FieldsError(
                f"--loss {self.loss} does not go with --stores occupancy, whose loss is"
                f" {either(OCCUPANCY_LOSSES)}"
            )
        if not is_occupancy and self.loss in OCCUPANCY_LOSSES:
            others = either(loss for loss in LOSSES if loss not in OCCUPANCY_LOSSES)
            raise FieldsError(
                f"--loss {self.loss} is for --stores occupancy; that of all else is {others}"
            )

    @property
    def _is_module(self) -> bool:
        return hasattr(self.model, "state_dict")

    @property
    def module(self) -> Any:
        """The user's own module, or None."""
        return self.model if self._is_module else None

    @property
    def config(self) -> Config | None:
        """The configuration that was given, itself or by a module of the catalogue."""
        if self._is_module:
            return catalogue.config_of(self.model)
        if not isinstance(self.model, Config):
            return None
        config = replace(self.model, **self.options)
        return config if self.seed is None else replace(config, seed=self.seed)

    @property
    def model_name(self) -> str:
        """As part of a folder's name."""
        if self.config is not None:
            return catalogue.name_of(self.config)
        return type(self.model).__name__ if self._is_module else self.model or DEFAULT_MODEL

    @property
    def stop(self) -> Stop:
        return Stop(self.steps, self.seconds, self.target)

    @property
    def place(self) -> Path | None:
        return None if self.out is None else Path(self.out)

    @property
    def loss_name(self) -> str | None:
        if self.loss is None or isinstance(self.loss, str):
            return self.loss
        return getattr(self.loss, "__qualname__", type(self.loss).__qualname__)

    @property
    def search(self) -> Fresh | None:
        """How FreSh looks for the frequency of a new field; None where it does not look.

        Without a word it looks where the model has a frequency that nobody gave.
        """
        if self.resume or self.fresh is False:
            return None
        if self.fresh is not None:
            return self.fresh if isinstance(self.fresh, Fresh) else Fresh()
        if self._is_module or isinstance(self.model, Config):
            return None
        config = self._example
        tunable = config.is_tunable and config.frequency not in self.options
        return Fresh() if tunable else None

    @property
    def _example(self) -> Config:
        """A configuration of the model that was named or given, for no signal in particular."""
        if isinstance(self.model, Config):
            return replace(self.model, **self.options)
        return self._model.config(3 if self.kind == "scene" else 1, **self.options)

    def _check_fresh(self) -> None:
        """FieldsError where a search was asked for that makes no sense."""
        if self.fresh is None or self.fresh is False:
            return
        if not isinstance(self.fresh, (bool, Fresh)):
            raise FieldsError(f"fresh must be True, False or a Fresh, got {self.fresh!r}")
        if self.resume:
            raise FieldsError(
                "--resume goes on with the frequency of the run; leave FreSh's flags away"
            )
        if self._is_module:
            raise FieldsError("FreSh chooses a frequency for a model named, not for your own")
        config = self._example
        if config.frequency is None or not config.is_tunable:
            raise FieldsError(no_frequency(config))
        if config.frequency in self.options:
            given = f"{flag(config.frequency)} {self.options[config.frequency]:g}"
            raise FieldsError(f"{given} is what FreSh would choose; give one of the two")
        (self.fresh if isinstance(self.fresh, Fresh) else Fresh()).candidates_of(config)

    def plan(self, signal: "Signal | None" = None) -> Plan:
        """The plan of a new fit to a signal, or to any."""
        name = None if self._is_module and self.config is None else self.model_name
        return plans.make(
            self.stop,
            kind=signal.kind if signal else self.kind,
            model=name,
            samples=math.prod(signal.shape) if signal else 0,
            seed=self.seed or 0,
            batch=self.batch,
            rate=self.rate,
            bits=self.bits or 32,
        )

    def check_options(self, config: type[Config]) -> None:
        """FieldsError for an option that the model does not have, or a value of no use to it."""
        known = {item.name: item for item in settings(config) if item.flag}
        for name, value in self.options.items():
            if name not in known:
                raise FieldsError(unknown_option(name, config))
            known[name].check(value)
        if not self.resume:  # the other options are those of the run
            check_only(self.options, known)

    def config_for(self, signal: "Signal", extra_bytes: int) -> Config | None:
        """The configuration of a new field for a signal; None for a module of the user's own class.

        `extra_bytes` are those of the file beside the weights.
        """
        config = self.config
        channels, shape = signal.channels, signal.shape
        if config is not None:
            if (config.channels, config.dim) != (channels, len(shape)):
                raise FieldsError(
                    f"the model has {config.dim} coordinates and {config.channels} channels, the"
                    f" source has {len(shape)} and {channels}"
                )
            return config
        if self._is_module:
            return None
        kind = self._model.config
        usual = kind.defaults(
            signal.kind, max(shape), self.size_kb is not None, self.plan(signal).stop.seconds
        )
        options = {**usual, **signal.decided, **self.options, "seed": self.seed or 0}
        if self.size_kb is None:
            return kind.for_signal(channels, shape, **options)
        find = partial(kind.for_signal, channels, shape, **options)
        room = self.size_kb * 1000 - extra_bytes
        try:
            return find(max_parameters=int(room // 4)) if self.bits != 8 else _of_bytes(find, room)
        except TooSmall as error:
            smallest = error.least * 4
            if self.bits == 8:
                smallest = find(max_parameters=error.least).file_bytes(8)
            least = math.ceil((smallest + extra_bytes) / 1000)
            raise FieldsError(
                f"--size-kb {self.size_kb:g} is too small; the least here is {least}"
            ) from None


def _of_bytes(find: Callable[..., Config], room: float) -> Config:
    """The largest configuration whose weights of 8 bits, and what it keeps beside them in more,
    take at most `room` bytes; TooSmall where there is none."""
    found, error = None, None
    low, high = int(room // 4), int(room)  # a weight takes more than one byte, and at most four
    while low <= high:
        most = (low + high) // 2
        try:
            config = find(max_parameters=most)
        except TooSmall as refused:
            error, low = refused, most + 1
            continue
        if config.file_bytes(8) <= room:
            found, low = config, most + 1
        else:
            high = most - 1
    if found is None:
        raise error or TooSmall(find(max_parameters=int(room)).stored)
    return found
