"""Configuration of FINER."""

from dataclasses import dataclass
from typing import Any, ClassVar

from fields.configs.base import setting
from fields.configs.network import SignedConfig


@dataclass(frozen=True)
class FinerConfig(SignedConfig):
    """A network of sines whose frequency grows with the distance from zero."""

    frequency: ClassVar[str | None] = "bias_scale"
    candidates: ClassVar[tuple[float, ...]] = tuple(i / 10 for i in range(31))

    omega: float = setting(30.0, help="frequency of the first layer", low=0.01, high=1000)
    hidden_omega: float = setting(30.0, help="frequency of later layers", low=0.01, high=1000)
    # What torch's Linear takes for two inputs.
    bias_scale: float = setting(
        2**-0.5, help="bound of the first layer's biases; larger is finer", low=0, high=100
    )

    @classmethod
    def fill(cls, dim: int, options: dict[str, Any]) -> dict[str, Any]:
        return {"bias_scale": dim**-0.5, **options}
