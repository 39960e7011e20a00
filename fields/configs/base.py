"""What a configuration is: a frozen dataclass whose fields know their meaning and their range.

The command line makes its flags, and the checkpoint its readable JSON, from these fields alone.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from fields.errors import FieldsError, SettingError, either

C = TypeVar("C", bound="Config")
SHAPES = ("shape", "points")  # kinds of signals


class TooSmall(FieldsError):
    """No configuration has so few parameters; `least` is the smallest number that one has."""

    def __init__(self, least: int):
        super().__init__(f"the smallest model with these options has {least:,} parameters")
        self.least = least


def setting(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple | None = None,
    flag: bool = True,
    only: tuple[str, tuple] | None = None,
) -> Any:
    """A field of a Config: its meaning, its range (both ends included) or its choices.

    `flag` is False where the signal or a general option decides, not a flag of the model. `only`
    names another field and the values of it with which this one means something.
    """
    metadata = {"help": help, "low": low, "high": high, "choices": choices, "flag": flag}
    metadata["only"] = only
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Setting:
    """One field of a Config as the command line sees it."""

    name: str
    type: type
    default: Any
    help: str
    low: float | None
    high: float | None
    choices: tuple | None
    flag: bool
    only: tuple[str, tuple] | None

    @property
    def usual(self) -> str:
        """The default as the user reads it."""
        return f"{self.default:g}" if self.type is float else str(self.default)

    def check(self, value: Any) -> Any:
        """The value in the setting's own type; FieldsError where it is of no use."""
        kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
        fits = isinstance(value, self.type) and (self.type is bool or not isinstance(value, bool))
        if self.type is float and isinstance(value, int) and not isinstance(value, bool):
            value, fits = float(value), True
        if not fits:
            raise self._refused(f"must be {kinds[self.type]}, got {value!r}")
        if self.choices and value not in self.choices:
            raise self._refused(f"must be {either(self.choices)}, got {value!r}")
        if self.type is float and not math.isfinite(value):
            raise self._refused(f"must be a finite number, got {value}")
        if self.low is not None and value < self.low:
            raise self._refused(f"must be at least {self.low}, got {value}")
        if self.high is not None and value > self.high:
            raise self._refused(f"must be at most {self.high}, got {value}")
        return value

    def _refused(self, why: str) -> SettingError:
        return SettingError(f"{self.name} {why}", self.name)


def settings(config: "type[Checked] | Checked") -> list[Setting]:
    """The fields of a class of settings, in their order."""
    result = []
    for f in dataclasses.fields(config):
        assert isinstance(f.type, type)
        default = None if f.default is dataclasses.MISSING else f.default
        result.append(Setting(f.name, f.type, default, **f.metadata))
    return result


@dataclass(frozen=True)
class Checked:
    """Settings, checked when they are made; FieldsError if one is wrong."""

    def __post_init__(self):
        for item in settings(self):
            object.__setattr__(self, item.name, item.check(getattr(self, item.name)))


@dataclass(frozen=True)
class Config(Checked):
    """What every field has: a domain and a range.

    A class whose spectrum before training hangs on one setting names it: `frequency`, and the
    values of it that are worth trying, `candidates`.
    """

    frequency: ClassVar[str | None] = None
    candidates: ClassVar[tuple[float, ...]] = ()

    channels: int = setting(help="values at each point", low=1, high=1024, flag=False)
    dim: int = setting(2, help="coordinates of each point", low=1, high=4, flag=False)
    seed: int = setting(0, help="of the initial weights", low=0, high=2**31 - 1, flag=False)

    @property
    def of_points(self) -> "Config":
        """The model from points to values, whose spectrum FreSh looks at: this one, or of a
        radiance field the one within."""
        return self

    @property
    def is_tunable(self) -> bool:
        """Whether `frequency` matters, with these settings."""
        return self.frequency is not None

    @property
    def parameters(self) -> int:
        """Number of trained values, without building the module."""
        raise NotImplementedError

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one point's values.

        Counted are layers, two for each feature and kernel, one for each feature and vertex that is
        interpolated; not what finds vertices and their weights, biases, or activations.
        """
        raise NotImplementedError

    @property
    def stored(self) -> int:
        """Numbers that a file holds: the trained ones and what the field keeps beside them."""
        return self.parameters

    def file_bytes(self, bits: int) -> float:
        """Of a file's tensors, at most: weights of 32 bits, or of 8 (see eight_bits, whose
        WEIGHT_BYTES this is, free of torch); all else has 32."""
        weight = 4.0 if bits == 32 else 1 + 8 / 256 + 1 / 16
        return weight * self.parameters + 4 * (self.stored - self.parameters)

    @classmethod
    def defaults(
        cls, kind: str, cells: int, sized: bool, seconds: float | None = None
    ) -> dict[str, Any]:
        """Settings that differ from the usual for signals of a kind: picture, shape or volume.

        Args:
            kind: of the signal; points are of a shape.
            cells: that it has along its longest axis.
            sized: whether the size of the model follows from a number of bytes; then none is here.
            seconds: that it will be trained for, where that is known.
        """
        return {}

    @classmethod
    def for_signal(
        cls: type[C],
        channels: int,
        shape: tuple[int, ...],
        *,
        max_parameters: int | None = None,
        **options: Any,
    ) -> C:
        """The configuration for a signal of `shape` samples along x, y, ...

        `options` stand as they are given; `max_parameters` asks for the largest that fits, and
        TooSmall names the least where none does. A pure function.
        """
        raise NotImplementedError

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls: type[C], values: dict[str, Any]) -> C:
        """The inverse of `as_dict`; FieldsError for an unknown or missing name."""
        known = {item.name for item in settings(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise FieldsError(f"{cls.__name__} has no setting {unknown[0]!r}")
        if "channels" not in values:
            raise FieldsError(f"{cls.__name__} needs channels")
        return cls(**values)
