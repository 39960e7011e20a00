"""Sizes of a hash grid's levels, by tiny-cuda-nn's rule (csrc/maths/hash_grid.h). Free of torch."""

import math
import struct


def resolutions(num_levels: int, base_resolution: int, growth: float) -> list[int]:
    """Vertices along an axis, level by level, in the float32 steps that the kernels take."""
    log2_growth = _float32(math.log2(_float32(growth)))
    found = []
    for level in range(num_levels):
        power = _float32(2.0 ** _float32(level * log2_growth))
        scale = _float32(_float32(power * base_resolution) - 1.0)
        found.append(math.ceil(scale) + 1)
    return found


FINEST_LOG2 = 24  # cells along an axis; beyond, a float32 has no bits for the place within one


def too_fine(
    num_levels: int, base_resolution: int, growth: float, most: int = FINEST_LOG2
) -> str | None:
    """What is wrong with a grid whose finest level has more than 2^most cells along an axis; None
    of others."""
    finest = math.log2(base_resolution) + (num_levels - 1) * math.log2(growth)
    if finest <= most:
        return None
    return (
        f"num_levels {num_levels} with growth {growth:g} and base_resolution {base_resolution}"
        f" makes 2^{finest:.0f} cells an axis; 2^{most} is the most"
    )


def rows(resolution: int, dim: int, log2_table_size: int) -> int:
    """Rows of a level's table: every vertex, in eights, or 2^log2_table_size where that is less."""
    return min((resolution**dim + 7) // 8 * 8, 1 << log2_table_size)


def _float32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]
