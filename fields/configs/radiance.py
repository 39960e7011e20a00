"""Configuration of a radiance field: density and colour in space, as seen from any direction."""

from dataclasses import dataclass

from fields import grid_levels
from fields.configs.base import Config, setting
from fields.errors import SettingError


@dataclass(frozen=True)
class RadianceConfig(Config):
    """A hash grid, an MLP to density, and an MLP from that and the direction to colour."""

    channels: int = setting(3, help="of colour", choices=(3,), flag=False)
    dim: int = setting(3, help="coordinates: space, or space and time", choices=(3, 4), flag=False)
    num_levels: int = setting(8, help="grids, coarse to fine", low=1, high=32)
    features_per_level: int = setting(4, help="features at a vertex", choices=(1, 2, 4, 8))
    log2_table_size: int = setting(17, help="log2 of the largest rows of a level", low=3, high=24)
    base_resolution: int = setting(16, help="cells of the coarsest grid", low=1, high=4096)
    growth: float = setting(
        64 ** (1 / 7), help="resolution from one level to the next", low=1.0, high=4.0
    )
    interpolation: str = setting(
        "linear", help="between vertices", choices=("linear", "smoothstep")
    )
    density_width: int = setting(64, help="neurons of a layer to density", low=1, high=1024)
    density_depth: int = setting(1, help="hidden layers to density", low=0, high=16)
    colour_width: int = setting(64, help="neurons of a layer to colour", low=1, high=1024)
    colour_depth: int = setting(1, help="hidden layers to colour", low=0, high=16)
    degree: int = setting(4, help="of the harmonics of the direction", low=1, high=4)
    precision: str = setting("float32", help="arithmetic of the MLPs", choices=("float32", "bf16"))

    def __post_init__(self):
        super().__post_init__()
        wrong = grid_levels.too_fine(self.num_levels, self.base_resolution, self.growth)
        if wrong:
            raise SettingError(wrong, "num_levels", "growth", "base_resolution")

    @property
    def features(self) -> int:
        """Numbers that the MLP to density takes."""
        return self.num_levels * self.features_per_level

    @property
    def _layers(self) -> int:
        """Weights of both MLPs."""
        density = _weights(self.features, self.density_width, self.density_depth, 16)
        inputs = 16 + self.degree**2
        return density + _weights(inputs, self.colour_width, self.colour_depth, self.channels)

    @property
    def parameters(self) -> int:
        resolutions = grid_levels.resolutions(self.num_levels, self.base_resolution, self.growth)
        rows = sum(grid_levels.rows(r, self.dim, self.log2_table_size) for r in resolutions)
        return rows * self.features_per_level + self._layers

    @property
    def multiply_adds(self) -> int:
        return 2**self.dim * self.features + self._layers


def _weights(inputs: int, width: int, depth: int, outputs: int) -> int:
    """Of an MLP without biases."""
    if depth == 0:
        return inputs * outputs
    return (inputs + outputs + (depth - 1) * width) * width
