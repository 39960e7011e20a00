"""Weights in 8 bits: blocks of values as bytes, each with a scale and an offset of its own.

Values that follow one another are alike: rows of a level of a grid, weights of one neuron. So a
range of its own for every block tells the levels of a table apart, and the layers of a network,
without a word of what a tensor is. The smallest tensors take half floats: they are the network
behind a grid, all of which every sample goes through, and weigh little (a picture of 50.1 dB has
48.8 dB with its network in bytes, 50.0 with its table alone).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

BLOCK = 256  # values; scale and offset take 8 bytes, a thirty-second of what they are for
_RANGES = "range."  # before the name of a tensor that is stored so
_HALVES = 16  # an nth of the values, in the smallest tensors, is stored as half floats
WEIGHT_BYTES = 1 + 8 / BLOCK + 1 / _HALVES  # at most


def packed(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """A float32 tensor of any shape -> uint8 of that shape, and [blocks, 2] scales and offsets.

    What `unpacked` gives differs by at most half a scale, which is a 255th of the range of the
    block.
    """
    values = _in_blocks(tensor.detach().flatten())
    low, high = values.amin(1), values.amax(1)
    scale = (high - low) / 255
    steps = (values - low[:, None]) / torch.where(scale > 0, scale, 1)[:, None]
    stored = steps.round().clamp(0, 255).to(torch.uint8).flatten()[: tensor.numel()]
    return stored.view(tensor.shape), torch.stack([scale, low], 1)


def unpacked(stored: Tensor, ranges: Tensor) -> Tensor:
    """The inverse of `packed`, float32; ValueError where the two do not belong together."""
    blocks = -(-stored.numel() // BLOCK)
    if ranges.shape != (blocks, 2) or (stored.dtype, ranges.dtype) != (torch.uint8, torch.float32):
        raise ValueError(f"{list(stored.shape)} bytes have {blocks} ranges")
    scale, low = ranges[:, :1], ranges[:, 1:]
    values = _in_blocks(stored.flatten()) * scale + low
    return values.flatten()[: stored.numel()].view(stored.shape)


def pack(tensors: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """Tensors of one field, those of `names` in 8 bits beside their ranges, or as half floats."""
    result = dict(tensors)
    ascending = sorted(names, key=lambda name: (tensors[name].numel(), name))
    left = sum(tensors[name].numel() for name in ascending) // _HALVES
    for name in ascending:
        half = tensors[name].detach().half()
        left -= half.numel()
        if left >= 0 and half.isfinite().all():
            result[name] = half
        else:
            result[name], result[_RANGES + name] = packed(tensors[name])
    return result


def unpack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bytes as floats again; ValueError or KeyError for what `pack` did not write."""
    result = {name: t for name, t in tensors.items() if not name.startswith(_RANGES)}
    for name, ranges in tensors.items():
        if name.startswith(_RANGES):
            own = name.removeprefix(_RANGES)
            result[own] = unpacked(tensors[own], ranges)
    return result


def names_of(field: nn.Module) -> list[str]:
    """Of what is stored so: what was trained. What is drawn once, as frequencies are, is not."""
    return [name for name, p in field.named_parameters() if p.dtype == torch.float32]


@contextmanager
def rounded(field: nn.Module) -> Iterator[None]:
    """Within, a field has the weights that it will be read back with."""
    own = {name: field.get_parameter(name).data for name in names_of(field)}
    held = {name: tensor.clone() for name, tensor in own.items()}
    for name, tensor in unpack(pack(own, own)).items():
        own[name].copy_(tensor)
    try:
        yield
    finally:
        for name, tensor in held.items():
            own[name].copy_(tensor)


def _in_blocks(values: Tensor) -> Tensor:
    """[N] -> [blocks, BLOCK], the last one filled up with its last value."""
    missing = -len(values) % BLOCK
    filled = torch.cat([values, values[-1:].expand(missing)]) if missing else values
    return filled.view(-1, BLOCK)
