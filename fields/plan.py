"""What a fit is going to do, decided before it starts: when it stops, how large its steps are.

Every number of the optimiser that was tuned stands here.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from fields.configs.base import SHAPES
from fields.errors import FieldsError
from fields.schedule import CONSTANT, Schedule


@dataclass(frozen=True)
class Stop:
    """Ends a fit at the first of these that is reached; None asks for nothing.

    Args:
        steps: optimiser steps, counted from the first fit of the run.
        seconds: of training (see `metrics.json`), counted likewise.
        target: score of the field on the whole signal; for pictures PSNR in dB.
    """

    steps: int | None = None
    seconds: float | None = None
    target: float | None = None

    def __post_init__(self):
        for name in ("steps", "seconds", "target"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise FieldsError(f"--{name} must be a finite number, got {value}")
            if value is not None and value <= 0:
                raise FieldsError(f"--{name} must be more than 0, got {value:g}")

    @property
    def is_empty(self) -> bool:
        return self == Stop()

    def done(self, steps: int, seconds: float) -> float:
        """The share of the fit that lies behind, 1 or more when it is over."""
        by_steps = steps / self.steps if self.steps else 0.0
        by_seconds = seconds / self.seconds if self.seconds else 0.0
        return max(by_steps, by_seconds)

    def described(self, unit: str = " dB") -> str:
        """In words; `unit` is that of the target."""
        parts = [f"{self.steps:,} steps"] if self.steps else []
        parts += [f"{self.seconds:g} s"] if self.seconds else []
        parts += [f"{self.target:g}{unit}"] if self.target else []
        return " or ".join(parts)


@dataclass(frozen=True)
class Training:
    """Hyper-parameters of the optimiser.

    Args:
        batch: samples of a step.
        rate: learning rate of Adam for everything but tables.
        table_rate: the same for the tables of features.
        beta1, beta2, eps: of Adam.
        weight_decay: L2 on everything but tables.
        touched_only: leave alone the rows of a table that the batch did not touch.
    """

    batch: int = 8192
    rate: float = 7e-3
    table_rate: float = 7e-3
    beta1: float = 0.9
    beta2: float = 0.99
    eps: float = 1e-15
    weight_decay: float = 0.0
    touched_only: bool = True

    def __post_init__(self):
        if not 1 <= self.batch <= 2**26:
            raise FieldsError(f"--batch must be from 1 to {2**26:,}, got {self.batch}")
        for name in ("rate", "table_rate"):
            if not 0 < getattr(self, name) <= 10:
                raise FieldsError(
                    f"--rate must be more than 0 and at most 10, got {getattr(self, name)}"
                )


@dataclass(frozen=True)
class Plan:
    """All that the loop goes by; `bits` are those of a stored weight."""

    training: Training
    schedule: Schedule
    stop: Stop
    seed: int = 0
    bits: int = 32

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Plan":
        return Plan(
            Training(**values["training"]),
            Schedule(**values["schedule"]),
            Stop(**values["stop"]),
            values["seed"],
            values.get("bits", 32),
        )


DEFAULT_SECONDS = 6.0  # of training, without flags: a picture is done within 10 s of wall
NETWORK_SECONDS = 30.0  # the same for models that are one network, which learn far more slowly
SHAPE_SECONDS = 5.5  # of shapes, acceleration structure included: done within 15 s of wall
LARGE_SIGNAL = 4_000_000  # samples; a photo of 14 MP reaches 35 dB in two thirds of the time
SCENE_SECONDS = 180.0
TARGET_SECONDS = 300.0  # with a target alone, which may never be reached


# Published is 1e-4, for 15,000 steps of all pixels; in half a minute of small batches 5e-4 gives
# 1.5 dB more.
_NETWORK = Training(rate=5e-4, beta2=0.999, eps=1e-8, touched_only=False)
_NETWORKS = ("siren", "finer", "fourier", "cam")

# Models that are not named here are trained as a module of the user's own is.
TRAINING = {
    "hashgrid": Training(),
    "siren": _NETWORK,
    "finer": _NETWORK,
    "fourier": dataclasses.replace(_NETWORK, rate=3e-3),
    # Published is 1e-2, with centres that begin at one place.
    "rbf": Training(rate=3e-2, table_rate=3e-2),
    "cam": dataclasses.replace(_NETWORK, rate=1e-3, table_rate=1e-2),  # as published
    "triplane": Training(rate=2e-3, table_rate=1e-2, eps=1e-8),
}


# Of shapes; half of the time at the full rate, then down to a fiftieth.
_SHAPE_GRID = Training(batch=16384, rate=4e-3, table_rate=4e-3)
SHAPE_TRAINING = {
    "hashgrid": _SHAPE_GRID,
    "rbf": dataclasses.replace(_SHAPE_GRID, rate=1e-2, table_rate=1e-2),
    "triplane": dataclasses.replace(
        _SHAPE_GRID, rate=2e-3, table_rate=1e-2, eps=1e-8, touched_only=False
    ),
    "siren": dataclasses.replace(_NETWORK, rate=4e-4),
    "finer": _NETWORK,
    "fourier": dataclasses.replace(_NETWORK, rate=1e-3),
    "cam": TRAINING["cam"],
}
# A distance is told to within what the last steps move it: IoU 0.99 of a statue takes 100 steps
# where a constant rate takes 140, and from there on it goes higher. Networks take thousands.
FADING = Schedule(fading=20.0)
SCHEDULES = {
    "picture": Schedule(hold=0.3, last=0.03),
    "shape": Schedule(hold=0.5, last=0.02),
    "scene": Schedule(hold=0.4, last=0.1, warming=64),
}

# Of scenes. A batch is counted in samples that are trained on; small ones learn more in a second
# (chair, 30 s: 33.1 dB with 8192, 32.6 with 16384).
SCENE_TRAINING = {
    "hashgrid": Training(batch=8192, rate=1e-2, table_rate=1e-2),
    "rbf": Training(batch=8192, rate=2e-2, table_rate=2e-2),  # as published; 1e-2 is 1.7 dB lower
    "triplane": Training(batch=8192, rate=2e-3, table_rate=1e-2, touched_only=False),
    "fourier": Training(batch=8192, rate=1e-3, beta2=0.999, eps=1e-8, touched_only=False),
    "cam": Training(
        batch=8192, rate=1e-3, table_rate=1e-2, beta2=0.999, eps=1e-8, touched_only=False
    ),
}

# Of the colours of a shape, after its distances: 1 to 2 s on two cores, with the points drawn.
_COLOURS = Training(batch=4096, rate=1e-2, table_rate=1e-2)
_COLOUR_STEPS = (400, 800)  # as many as the distances took, from the least to the most


def of_colours(taken: int, seed: int) -> Plan:
    """The plan of the colours of a shape whose distances took so many steps."""
    least, most = _COLOUR_STEPS
    stop = Stop(steps=min(max(taken, least), most))
    return Plan(_COLOURS, Schedule(hold=0.3, last=0.02), stop, seed)


def make(
    stop: Stop,
    *,
    kind: str = "picture",
    model: str | None,
    samples: int = 0,
    seed: int = 0,
    batch: int | None = None,
    rate: float | None = None,
    bits: int = 32,
) -> Plan:
    """The plan of a fit.

    Args:
        stop: what was asked for; empty is filled with what ends by itself.
        kind: of the signal.
        model: name in the catalogue, or None for a module of the user's own.
        samples: of the signal; a larger batch pays where tables outgrow the cache.
        batch, rate: replace the tuned ones.
        bits: of a stored weight, 32 or 8.
    """
    tuned = {"scene": SCENE_TRAINING}.get(kind, SHAPE_TRAINING if kind in SHAPES else TRAINING)
    training = tuned.get(model or "", Training(rate=1e-3, table_rate=1e-3, eps=1e-8))
    if kind not in (*SHAPES, "scene") and model == "hashgrid" and samples >= LARGE_SIGNAL:
        training = Training(batch=32768, rate=1e-2, table_rate=1e-2)
    if batch is not None:
        training = dataclasses.replace(training, batch=batch)
    if rate is not None:
        ratio = training.table_rate / training.rate if model in ("cam", "triplane") else 1.0
        training = dataclasses.replace(training, rate=rate, table_rate=ratio * rate)
    if stop.is_empty:
        stop = Stop(seconds=_usual_seconds(kind, model))
    elif stop == Stop(target=stop.target):
        stop = dataclasses.replace(stop, seconds=TARGET_SECONDS)
    # A cosine is worth its slower start only where the end of the fit is known.
    schedule = SCHEDULES.get("shape" if kind in SHAPES else kind, SCHEDULES["picture"])
    if stop.target:
        schedule = FADING if kind in SHAPES and model not in _NETWORKS else CONSTANT
    return Plan(training, schedule, stop, seed, bits)


def _usual_seconds(kind: str, model: str | None) -> float:
    """Where nothing is asked for."""
    if kind == "scene":
        return SCENE_SECONDS
    if model in _NETWORKS:
        return NETWORK_SECONDS
    return SHAPE_SECONDS if kind in SHAPES else DEFAULT_SECONDS
