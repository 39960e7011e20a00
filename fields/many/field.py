"""One small tri-plane field as a module, and what many of them begin with."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from fields import ops
from fields.many.options import TRUNCATION, ManyOptions
from fields.mlp import init_params, init_periodic
from fields.points import as_matrix

_SPREAD = 1e-3  # of initial planes (Cardace et al. 2024, section 4)
# Of a density: its logarithm where the MLP gives 0, and the largest.
_DENSE, _DENSEST = 2.0, 12.0
_OMEGA = 30.0  # of the first layer of sines; later ones have theirs in the weights


def spec_of(options: ManyOptions) -> ops.PlaneFieldSpec:
    """What each field of a set is, as the ops take it."""
    omega = _OMEGA if options.activation == "sine" else 1.0
    mlp = ops.MlpSpec(
        options.hidden, options.depth, options.outputs, True, options.activation, first_omega=omega
    )
    return ops.PlaneFieldSpec(mlp, options.octaves)


def key_of(*parts: object) -> int:
    """A number of 62 bits that hangs on nothing but what it is made of."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 2


def initial(options: ManyOptions, key: int) -> tuple[Tensor, Tensor]:
    """Planes [3, R, R, C] and the MLP's flat parameters, drawn by a key."""
    generator = torch.Generator().manual_seed(key)
    spec = spec_of(options)
    init = init_periodic if options.activation == "sine" else init_params
    params = init(spec.inputs(options.channels), spec.mlp, generator)
    shape = (3, options.resolution, options.resolution, options.channels)
    return _SPREAD * torch.randn(shape, generator=generator), params


def density_of(values: Tensor) -> Tensor:
    """What the MLP gives first, of a radiance field -> density over a length of the unit cube."""
    return (values + _DENSE).clamp(max=_DENSEST).exp()


class PlaneField(nn.Module):
    """A field of a set: the sum of three planes, the place in a few octaves, and a small MLP.

    Parameters: `planes` [3, R, R, C] over xy, xz and yz, as ops.triplane has them; `params`, the
    MLP's flat vector. Once differentiable in coordinates and parameters; without gradients it is
    one kernel.

    Args:
        options: of the set.
        planes, params: the weights, taken as they are; drawn by `seed` where they are not given.
    """

    dim = 3

    def __init__(
        self,
        options: ManyOptions,
        planes: Tensor | None = None,
        params: Tensor | None = None,
        seed: int = 0,
    ):
        super().__init__()
        if planes is None or params is None:
            planes, params = initial(options, seed)
        self.options = options
        self.channels = options.outputs
        self.spec = spec_of(options)
        self.planes = nn.Parameter(planes)
        self.params = nn.Parameter(params)

    def features(self, points: Tensor) -> Tensor:
        """Coordinates [N, 3] in [0, 1] -> what the MLP takes."""
        place = 2 * points - 1
        parts = [ops.triplane(points, self.planes), place]
        for k in range(self.spec.octaves):
            parts += [(2**k * place).sin(), (2**k * place).cos()]
        return torch.cat(parts, 1)

    def forward(self, coords: Tensor) -> Tensor:
        """coords [..., 3] in [0, 1] -> [..., 1]: distances in lengths of the unit cube, held within
        0.05 of 0, or the logit of being inside, which is a distance over -SOFTNESS. Of a radiance
        field -> [..., 4]: density over a length of the cube, and a colour of the images, in [0, 1].
        """
        points = as_matrix("coords", coords, 3, self.planes)
        if torch.is_grad_enabled() or self.planes.dtype != torch.float32:
            values = ops.mlp(self.features(points), self.params, self.spec.mlp)
        else:
            fields = self.planes[None], self.params[None]
            values = ops.plane_fields(points[None], *fields, self.spec)[0]
        if self.options.is_distance:
            values = TRUNCATION * values.clamp(-1, 1)
        if self.options.is_radiance:
            values = torch.cat([density_of(values[:, :1]), values[:, 1:].sigmoid()], 1)
        return values.reshape(*coords.shape[:-1], self.channels)
