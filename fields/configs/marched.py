"""How rays are walked through a radiance field: settings that all of them have."""

from dataclasses import dataclass

from fields.configs.base import Config, setting
from fields.errors import SettingError


@dataclass(frozen=True)
class MarchedConfig(Config):
    """Lengths are those of the unit cube."""

    channels: int = setting(3, help="of colour", choices=(3,), flag=False)
    dim: int = setting(3, help="coordinates: space, or space and time", choices=(3, 4), flag=False)
    occupancy: int = setting(64, help="cells that may be empty, along an axis",
                             choices=(32, 64, 128, 256))  # fmt: skip
    cascades: int = setting(1, help="cubes of such cells", low=1, high=8, flag=False)
    march_steps: int = setting(512, help="of a ray along the diagonal of the cube, or of the"
                               " smallest of them", low=16, high=8192)  # fmt: skip
    near: float = setting(0.0, help="where rays begin, in sides of the cube", low=0.0, high=100.0)
    contract: bool = setting(False, help="all of space is in the cube", flag=False)
    degree: int = setting(4, help="of the harmonics of the direction", low=1, high=4)

    def __post_init__(self):
        super().__post_init__()
        if self.contract and self.cascades > 1:
            raise SettingError("contracted space has one cascade", "contract", "cascades")

    @property
    def zoom(self) -> int:
        """How many times longer the cube is than the smallest of the cubes of cells."""
        return 2 ** (self.cascades - 1)

    @property
    def stored(self) -> int:
        return self.parameters + self.bits

    def file_bytes(self, bits: int) -> float:
        return super().file_bytes(bits) + 4 * self.bits  # words of 8 bytes

    @property
    def bits(self) -> int:
        """64-bit words of the occupancy: a bit for each cell, and for each 4 x 4 x 4 of them, and
        so on."""
        count, resolution = 0, self.occupancy
        while resolution >= 4:
            resolution //= 4
            count += resolution**3
        return count * self.cascades
