"""Exchange of radiance fields with tiny-cuda-nn: the two networks of instant-ngp.

    density   NetworkWithInputEncoding(3, 16): a hash grid and an MLP; the first output is the log
              of the density
    colour    Network(32, 3) of these 16 and the 16 harmonics of the direction, in this order

A direction d goes into tiny-cuda-nn's harmonics as (d + 1) / 2, since its inputs lie in [0, 1]; the
order and the signs of the harmonics are those of `ops.spherical_harmonics`. In the snapshots of
instant-ngp the two lie in one vector: the density's network, the colour's, then the grid
(its nerf_network.h); `join` and `split` go between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fields.errors import FieldsError
from fields.models.radiance import RadianceField
from fields.ops.radiance import FEATURES
from fields.ops.specs import MlpSpec
from fields.tinycudann import grid_settings, network_settings, pack_layers, unpack_layers

DEGREE = 4  # of the harmonics: 16 of them, so that no input is padding
_DIRECTIONS = {"otype": "SphericalHarmonics", "degree": DEGREE}


def radiance_from_tinycudann(
    config: Mapping[str, Any], density: Tensor, colour: Tensor, **options: Any
) -> RadianceField:
    """A radiance field that computes what two tiny-cuda-nn models compute.

    Args:
        config: JSON as instant-ngp's for scenes: `encoding`, `network`, `dir_encoding` and
            `rgb_network`. The output of `rgb_network` is None or Sigmoid; here, as there, colours
            are its logistic.
        density: [n], any float dtype: `params` of the NetworkWithInputEncoding.
        colour: [m], those of the Network.
        options: of RadianceConfig, how rays are marched: `occupancy`, `march_steps` and so on.

    Returns the field in float32 on the device of `density`, a copy; all of its cells may have
    density. Coordinates are those of the unit cube on both sides.
    Raises FieldsError, a ValueError, which names what is supported.
    """
    _check_directions(config.get("dir_encoding"))
    own = network_settings("network", config.get("network"))
    rgb = network_settings("rgb_network", config.get("rgb_network"))
    _check_network("network", own, ("none",))
    _check_network("rgb_network", rgb, ("none", "sigmoid"))
    field = RadianceField(
        3,
        3,
        **grid_settings(config.get("encoding")),
        density_width=own["width"],
        density_depth=own["depth"],
        colour_width=rgb["width"],
        colour_depth=rgb["depth"],
        degree=DEGREE,
        **options,
    )
    field.to(density.device)
    flat = density.detach().reshape(-1).float()
    weights, rest = unpack_layers(flat, _density_shapes(field), field.table.numel(), "density")
    colours, _ = unpack_layers(
        colour.detach().reshape(-1).float(), _colour_shapes(field), 0, "colour"
    )
    with torch.no_grad():
        field.density_params.copy_(weights)
        field.table.copy_(rest.view_as(field.table))
        field.colour_params.copy_(colours)
    return field


def radiance_to_tinycudann(field: RadianceField) -> tuple[dict[str, Any], Tensor, Tensor]:
    """The inverse of `radiance_from_tinycudann`.

    Returns the configuration, every setting written out, and the parameters [n] and [m] of the two
    models, float32 copies on the field's device. The occupancy stays behind.
    Raises FieldsError for a field with a time, or with harmonics of another degree than 4.
    """
    settings = field.config
    if field.dim != 3 or settings.degree != DEGREE:
        raise FieldsError(
            f"radiance fields of 3 coordinates with degree {DEGREE} go to tiny-cuda-nn, this has"
            f" {field.dim} and degree {settings.degree}"
        )
    config = {
        "encoding": {
            "otype": "HashGrid",
            "n_levels": settings.num_levels,
            "n_features_per_level": settings.features_per_level,
            "log2_hashmap_size": settings.log2_table_size,
            "base_resolution": settings.base_resolution,
            "per_level_scale": settings.growth,
            "interpolation": settings.interpolation.capitalize(),
        },
        "network": _their_network(field.spec.density, "None"),
        "dir_encoding": dict(_DIRECTIONS),
        "rgb_network": _their_network(field.spec.colour, "Sigmoid"),
    }
    table = field.table.detach().float().reshape(-1)
    layers = pack_layers(field.density_params.detach().float(), _density_shapes(field))
    colour = pack_layers(field.colour_params.detach().float(), _colour_shapes(field))
    return config, torch.cat([layers, table]), colour


def join(density: Tensor, colour: Tensor, grid: int) -> Tensor:
    """The one vector of instant-ngp, of the parameters of the two models; `grid`: how many of the
    density's last numbers are the grid's."""
    return torch.cat([density[:-grid], colour, density[-grid:]])


def split(params: Tensor, colour: int, grid: int) -> tuple[Tensor, Tensor]:
    """The inverse of `join`; `colour`: how many numbers the colour's network has."""
    end = params.numel() - grid
    density = torch.cat([params[: end - colour], params[end:]])
    return density, params[end - colour : end]


def _their_network(spec: MlpSpec, output: str) -> dict[str, Any]:
    fused = spec.width in (16, 32, 64, 128) and spec.depth > 0
    return {
        "otype": "FullyFusedMLP" if fused else "CutlassMLP",
        "activation": "ReLU",
        "output_activation": output,
        "n_neurons": spec.width,
        "n_hidden_layers": spec.depth,
    }


def _check_directions(given: Any) -> None:
    """Harmonics of degree 4, alone or first of a Composite, as instant-ngp has them."""
    inner = given
    if isinstance(given, Mapping) and str(given.get("otype")).lower() == "composite":
        inner = (given.get("nested") or [None])[0]
    if (
        not isinstance(inner, Mapping)
        or str(inner.get("otype")).lower() != "sphericalharmonics"
        or inner.get("degree", DEGREE) != DEGREE
    ):
        raise FieldsError(f"dir_encoding must be SphericalHarmonics of degree {DEGREE}")


def _check_network(section: str, settings: Mapping[str, Any], outputs: tuple[str, ...]) -> None:
    if settings["activation"] != "relu" or settings["output_activation"] not in outputs:
        allowed = " or ".join(word.capitalize() for word in outputs)
        raise FieldsError(f"{section} must have activation ReLU and output_activation {allowed}")


def _density_shapes(field: RadianceField) -> list[tuple[int, int]]:
    return field.spec.density.layer_shapes(field.config.features)


def _colour_shapes(field: RadianceField) -> list[tuple[int, int]]:
    return field.spec.colour.layer_shapes(FEATURES + DEGREE**2)
