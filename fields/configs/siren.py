"""Configuration of SIREN."""

from dataclasses import dataclass
from typing import ClassVar

from fields.configs.base import setting
from fields.configs.network import SignedConfig


@dataclass(frozen=True)
class SirenConfig(SignedConfig):
    """A network of sines on the coordinates."""

    frequency: ClassVar[str | None] = "omega"
    candidates: ClassVar[tuple[float, ...]] = tuple(10.0 * i for i in range(1, 21))

    omega: float = setting(30.0, help="frequency of the first layer", low=0.01, high=1000)
    hidden_omega: float = setting(30.0, help="frequency of later layers", low=0.01, high=1000)
