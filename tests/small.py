"""Small pictures and small models, so that a test fits in a moment."""

import numpy as np

TINY = {"num_levels": 4, "log2_table_size": 8, "width": 16, "batch": 512}


def picture(height=40, width=56, channels=3, dtype=np.uint8, seed=0):
    """Smooth waves with some noise: [height, width, channels]; floats span powers of ten."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    rng = np.random.default_rng(seed)
    waves = [0.5 + 0.4 * np.sin(9 * x * (c + 1) + 5 * y + c) for c in range(channels)]
    values = np.clip(np.stack(waves, axis=-1) + rng.normal(0, 0.01, (height, width, 1)), 0, 1)
    if np.dtype(dtype).kind == "f":
        light = 100 ** (2 * values - 1)
        alpha = channels in (2, 4)
        return np.concatenate(
            [light[..., : channels - alpha], values[..., channels - alpha :]], -1
        ).astype(dtype)
    return np.round(values * np.iinfo(dtype).max).astype(dtype)


def one_line(text):
    """The only line of a command's stderr, or of an error."""
    lines = str(text).splitlines()
    assert len(lines) == 1, lines
    return lines[0]
