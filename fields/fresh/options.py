"""What may be said about a search; checked when it is made. Free of torch."""

import math
from dataclasses import dataclass

from fields import catalogue
from fields.configs import Config, settings
from fields.errors import FieldsError, either

LEAST_BINS = 8  # of fewer nothing is chosen
MOST_CANDIDATES = 1000
QUADRANTS = ("one", "both")


@dataclass(frozen=True)
class Fresh:
    """How FreSh looks for a frequency; FieldsError where a value is of no use.

    Args:
        candidates: frequencies to choose from; by default those of the model's configuration.
        bins: the spectra reach from 1 to so many cycles; by default 64, or what half the shorter
            side has.
        quadrants: one (waves whose cycles along x and y have like signs, as published) or both.
        published: ask every candidate ten times, the model itself, at all pixels of the square that
            the picture is resized to. Otherwise candidates that are far off are asked three times,
            fields are no wider than 64 neurons, and there are no more points than the bins need:
            hundreds of times less work for a choice that is the same or next to it.
    """

    candidates: tuple[float, ...] | None = None
    bins: int | None = None
    quadrants: str = "one"
    published: bool = False

    def __post_init__(self):
        if self.candidates is not None:
            values = tuple(float(value) for value in self.candidates)
            object.__setattr__(self, "candidates", values)
            if not values or len(values) > MOST_CANDIDATES or not all(map(math.isfinite, values)):
                raise FieldsError(
                    f"--fresh-candidates must be 1 to {MOST_CANDIDATES:,} numbers such as 10,20,30"
                )
        if self.bins is not None and (type(self.bins) is not int or self.bins < LEAST_BINS):
            raise FieldsError(
                f"--fresh-bins must be a whole number of at least {LEAST_BINS}, got {self.bins!r}"
            )
        if self.quadrants not in QUADRANTS:
            raise FieldsError(
                f"--fresh-quadrants must be {either(QUADRANTS)}, got {self.quadrants!r}"
            )

    def candidates_of(self, config: type[Config] | Config) -> tuple[float, ...]:
        """What there is to choose from for that model; FieldsError where it takes no such value."""
        assert config.frequency is not None
        known = next(item for item in settings(config) if item.name == config.frequency)
        return tuple(known.check(value) for value in self.candidates or config.candidates)


def no_frequency(config: Config) -> str:
    """The line for a model that has no frequency, or none that matters."""
    able = either(model.name for model in catalogue.MODELS.values() if model.config.frequency)
    own = catalogue.name_of(config)
    if config.frequency:
        return f"{own} with these options has no frequency that FreSh could choose"
    return f"{own} has no frequency that FreSh could choose; --model {able} has"
