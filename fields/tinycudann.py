"""Exchange with tiny-cuda-nn: its JSON configuration and flat parameters, to and from HashGrid.

Its `params` hold the network, then the grid, as its DOCUMENTATION.md and its author's answers in
the issues NVlabs/tiny-cuda-nn 6, 96 and 111 say:

    network   weight matrices [out, in], row major, first layer first, no biases. The inputs of the
              first and the outputs of the last are padded to a multiple of 16.
    grid      the rows of each level, coarse to fine; a level has a multiple of 8 rows.

HashGrid has no padding. The columns of padded inputs are left out, since a grid feeds them zeros,
and so are the rows of padded outputs, which nobody reads; on the way back both are zeros.
tiny-cuda-nn computes in half precision, HashGrid in float32 if not told otherwise, so their values
agree to the rounding of half precision.

Nothing here needs tiny-cuda-nn to be installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fields.errors import FieldsError
from fields.models.hashgrid import HashGrid

# Old versions padded a CutlassMLP to 8: such parameters are refused by their number.
PADDING = 16

_GRIDS = ("HashGrid", "Grid")
_NETWORKS = ("FullyFusedMLP", "CutlassMLP")
_FUSED_WIDTHS = (16, 32, 64, 128)

# Their setting: ours, and their default.
_ENCODING = {
    "n_levels": ("num_levels", 16),
    "n_features_per_level": ("features_per_level", 2),
    "log2_hashmap_size": ("log2_table_size", 19),
    "base_resolution": ("base_resolution", 16),
    "per_level_scale": ("growth", 2.0),
    "interpolation": ("interpolation", "Linear"),
}
_NETWORK = {
    "activation": ("activation", "ReLU"),
    "output_activation": ("output_activation", "None"),
    "n_neurons": ("width", 128),
    "n_hidden_layers": ("depth", 5),
}
# Settings that have one value here.
_FIXED = {
    "type": "Hash",
    "hash": "CoherentPrime",
    "stochastic_interpolation": False,
    "feedback_alignment": False,
}
# Their Softplus is log(exp(10 x) + 1) / 10, another function than ours.
_WORDS = {
    "interpolation": {"Linear": "linear", "Smoothstep": "smoothstep"},
    "activation": {"ReLU": "relu", "Sine": "sine"},
    "output_activation": {"None": "none", "Sigmoid": "sigmoid", "Exponential": "exp"},
}


def from_tinycudann(
    config: Mapping[str, Any], params: Tensor, n_input_dims: int, n_output_dims: int
) -> HashGrid:
    """A HashGrid that computes what a tiny-cuda-nn model computes.

    Args:
        config: its JSON, with `encoding` and `network`; other entries (loss, optimizer) are not
            looked at. What is left out has tiny-cuda-nn's default.
        params: [n], any float dtype: `params` of its `NetworkWithInputEncoding`.
        n_input_dims: coordinates of a point, 2 to 4.
        n_output_dims: channels.

    Returns the field in float32 on the device of `params`, a copy.
    Raises FieldsError, a ValueError, which names what is supported.
    """
    settings = {
        **grid_settings(config.get("encoding")),
        **network_settings("network", config.get("network")),
    }
    _check_dims(n_input_dims)
    field = HashGrid(n_output_dims, n_input_dims, **settings)
    flat = params.detach().reshape(-1).float()
    weights, rest = unpack_layers(flat, _shapes(field), field.table.numel(), "params")
    field.to(flat.device)
    with torch.no_grad():
        field.params.copy_(weights)
        field.table.copy_(rest.view_as(field.table))
    return field


def to_tinycudann(field: HashGrid) -> tuple[dict[str, Any], Tensor]:
    """The inverse of `from_tinycudann`.

    Returns:
        config: JSON for tiny-cuda-nn, every setting written out.
        params: [n] float32 on the field's device, a copy: for `params` of its
            `NetworkWithInputEncoding(field.dim, field.channels, config["encoding"],
            config["network"])`.

    Raises FieldsError, a ValueError, for a field that tiny-cuda-nn cannot hold: one with biases or
    softplus outputs, or in one dimension.
    """
    settings = field.config
    if settings.bias:
        raise FieldsError("tiny-cuda-nn has no biases; only fields with bias=False go there")
    _check_dims(field.dim)
    fused = settings.width in _FUSED_WIDTHS and settings.depth > 0
    config = {
        "encoding": {"otype": "HashGrid", **_their_settings(settings, _ENCODING)},
        "network": {
            "otype": "FullyFusedMLP" if fused else "CutlassMLP",
            **_their_settings(settings, _NETWORK),
        },
    }
    weights = pack_layers(field.params.detach().float(), _shapes(field))
    return config, torch.cat([weights, field.table.detach().float().reshape(-1)])


def grid_settings(given: Any) -> dict[str, Any]:
    """The section `encoding` of a configuration, as settings of a grid here."""
    return _settings("encoding", given, _GRIDS, _ENCODING)


def network_settings(section: str, given: Any) -> dict[str, Any]:
    """A section that holds a network: activations, width and depth."""
    return _settings(section, given, _NETWORKS, _NETWORK)


Shapes = list[tuple[int, int]]


def unpack_layers(flat: Tensor, shapes: Shapes, more: int, name: str) -> tuple[Tensor, Tensor]:
    """Weights without padding, one vector, and the `more` numbers behind them.

    Args:
        flat: parameters of theirs, float32.
        shapes: [out, in] of each matrix.
        name: of the vector, for the message of FieldsError where it has another length.
    """
    padded = _padded_shapes(shapes)
    network = sum(out * into for out, into in padded)
    if flat.numel() != network + more:
        raise FieldsError(
            f"{name} must hold {network + more:,} numbers, {network:,} of the network and"
            f" {more:,} of the grid, got {flat.numel():,}"
        )
    blocks = torch.split(flat[:network], [out * into for out, into in padded])
    weights = [
        block.view(shape)[:out, :into].reshape(-1)
        for block, shape, (out, into) in zip(blocks, padded, shapes, strict=True)
    ]
    return torch.cat(weights), flat[network:]


def pack_layers(flat: Tensor, shapes: Shapes) -> Tensor:
    """The inverse: weights with zeros for padding."""
    blocks = torch.split(flat, [out * into for out, into in shapes])
    parts = []
    for block, padded, (out, into) in zip(blocks, _padded_shapes(shapes), shapes, strict=True):
        weight = block.new_zeros(padded)
        weight[:out, :into] = block.view(out, into)
        parts.append(weight.reshape(-1))
    return torch.cat(parts)


def _settings(
    section: str, given: Any, otypes: tuple[str, ...], names: Mapping[str, tuple[str, Any]]
) -> dict[str, Any]:
    """One section of their configuration as settings of ours."""
    given = dict(given) if isinstance(given, Mapping) else {}
    otype = str(given.pop("otype", None))
    if otype.lower() not in {name.lower() for name in otypes}:
        raise _unsupported(section, "otype", otype, otypes)
    settings = {}
    for theirs, (ours, default) in names.items():
        value = given.pop(theirs, default)
        settings[ours] = _our_word(section, theirs, value) if theirs in _WORDS else value
    for name, value in given.items():
        if name not in _FIXED:
            raise FieldsError(f"{section}.{name} is not supported; there are {', '.join(names)}")
        if str(value).lower() != str(_FIXED[name]).lower():
            raise _unsupported(section, name, value, (_FIXED[name],))
    return settings


def _our_word(section: str, name: str, value: Any) -> str:
    for theirs, ours in _WORDS[name].items():
        if str(value).lower() == theirs.lower():
            return ours
    raise _unsupported(section, name, value, _WORDS[name])


def _their_settings(settings: Any, names: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    """One section of their configuration, from settings of ours."""
    section = {}
    for theirs, (ours, _) in names.items():
        value = getattr(settings, ours)
        if theirs in _WORDS:
            words = {word: name for name, word in _WORDS[theirs].items()}
            if value not in words:
                known = ", ".join(words)
                raise FieldsError(
                    f"tiny-cuda-nn has no {theirs} {value} as it is here, only {known}"
                )
            value = words[value]
        section[theirs] = value
    return section


def _unsupported(section: str, name: str, value: Any, supported: Any) -> FieldsError:
    allowed = ", ".join(str(word) for word in supported)
    return FieldsError(f"{section}.{name} {value} is not supported; there is {allowed}")


def _check_dims(dim: int) -> None:
    if dim not in (2, 3, 4):
        raise FieldsError(f"tiny-cuda-nn's grids have 2, 3 or 4 dimensions, got {dim}")


def _shapes(field: HashGrid) -> Shapes:
    """[out, in] of each weight matrix."""
    return field.mlp.layer_shapes(field.config.num_levels * field.config.features_per_level)


def _padded_shapes(shapes: Shapes) -> Shapes:
    """The same in tiny-cuda-nn."""
    result = list(shapes)
    result[0] = (result[0][0], _padded(result[0][1]))
    result[-1] = (_padded(result[-1][0]), result[-1][1])
    return result


def _padded(size: int) -> int:
    return -(-size // PADDING) * PADDING
