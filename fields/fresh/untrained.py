"""The spectra of untrained fields."""

from dataclasses import replace

import torch
from torch import Tensor

from fields import catalogue
from fields.configs import Config, settings
from fields.fresh.spectrum import spectrum

# Each layer is initialised so that its outputs have the same distribution at any width; only how
# much one initialisation varies around it depends on the width, and little from here on.
WIDTH = 64
MOST_POINTS = 1 << 18  # asked at once


def spectra(
    config: Config,
    candidates: tuple[float, ...],
    initialisations: range,
    side: int,
    bins: int,
    quadrants: str,
    device: torch.device,
    axes: int | None = None,
) -> Tensor:
    """[candidates, initialisations, bins], each row adding up to one; NaN where an output is even.

    Initialisation i has the seed of the configuration plus i, for every candidate alike. The fields
    are asked at the centres of a grid of `side` cells along every axis, or along the first `axes`
    of them in the middle of the others: what slices of a signal are compared with.
    """
    assert config.frequency is not None
    axes = config.dim if axes is None else min(axes, config.dim)
    points = grid(axes, side, device)
    points = torch.nn.functional.pad(points, (0, config.dim - axes), value=0.5)
    shape = (len(candidates), len(initialisations), bins)
    result = torch.full(shape, torch.nan, dtype=torch.float64)
    for i, candidate in enumerate(candidates):
        for j, number in enumerate(initialisations):
            seed = (config.seed + number) % 2**31
            own = replace(config, **{config.frequency: candidate}, seed=seed)
            field = catalogue.build(own).to(device).eval()
            with torch.inference_mode():
                values = torch.cat([field(part) for part in points.split(MOST_POINTS)])
            found = spectrum(values.reshape(*[side] * axes, -1), bins, quadrants)
            if found is not None:
                result[i, j] = found
    return result


def grid(dim: int, side: int, device: torch.device) -> Tensor:
    """[side ** dim, dim], the centres of cells; the first coordinate runs fastest."""
    centres = (torch.arange(side, device=device, dtype=torch.float64) + 0.5) / side
    axes = torch.meshgrid(*[centres.float()] * dim, indexing="ij")
    return torch.stack(axes[::-1], -1).reshape(-1, dim)


def narrow(config: Config) -> Config:
    """The configuration with no more than WIDTH neurons a layer."""
    widths = [item for item in settings(config) if item.name == "width"]
    return replace(config, width=min(config.width, WIDTH)) if widths else config  # pyright: ignore
