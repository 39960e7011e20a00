"""Configuration of a ReLU network on Fourier features."""

from dataclasses import dataclass
from typing import ClassVar

from fields.configs.base import setting
from fields.configs.network import SignedConfig


@dataclass(frozen=True)
class FourierConfig(SignedConfig):
    """Sines and cosines of the coordinates, then a network of ReLUs."""

    frequency: ClassVar[str | None] = "sigma"
    candidates: ClassVar[tuple[float, ...]] = tuple(float(i) for i in range(1, 21))

    encoding: str = setting(
        "gaussian", help="frequencies of the features", choices=("gaussian", "positional")
    )
    frequencies: int = setting(
        128, help="number of gaussian frequencies, each a sine and a cosine", low=1, high=4096,
        only=("encoding", ("gaussian",)),
    )  # fmt: skip
    sigma: float = setting(
        1.0, help="standard deviation of gaussian frequencies", low=0.01, high=1000,
        only=("encoding", ("gaussian",)),
    )  # fmt: skip
    octaves: int = setting(
        10, help="positional frequencies of an axis: 1/2, 1, 2, ...", low=1, high=24,
        only=("encoding", ("positional",)),
    )  # fmt: skip
    precision: str = setting(
        "float32", help="arithmetic of the MLP", choices=("float32", "bf16", "fp16")
    )

    @property
    def is_tunable(self) -> bool:
        return self.encoding == "gaussian"

    @property
    def rows(self) -> int:
        """Frequencies in all, each a vector of `dim` numbers."""
        return self.frequencies if self.encoding == "gaussian" else self.octaves * self.dim

    @property
    def inputs(self) -> int:
        return 2 * self.rows

    @property
    def multiply_adds(self) -> int:
        return super().multiply_adds + self.rows * self.dim

    @property
    def stored(self) -> int:
        return self.parameters + self.rows * self.dim
