"""Many tri-plane fields in plain torch, all in one pass: what our op is compared with.

Written as well as plain torch allows: layers of all fields are one batched product, planes of all
of them one call, and Adam is torch's fused kernel. Planes are looked up by `grid_sample`, or all
twelve texels of a sample in one `embedding_bag`; a benchmark reports the faster.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fields.mlp import split_params
from fields.ops import PlaneFieldSpec

LOOKUPS = ("grid_sample", "embedding_bag")
_PAIRS = ((0, 1), (0, 2), (1, 2))  # the axes of each plane, column first


class TorchPlaneFields(nn.Module):
    """Values of F fields as ops.plane_fields has them, with sines between layers.

    Args:
        planes: [F, 3, R, R, C], copied.
        params: [F, P], copied.
        spec: what a field is.
        lookup: one of LOOKUPS.
    """

    def __init__(self, planes: Tensor, params: Tensor, spec: PlaneFieldSpec, lookup: str):
        super().__init__()
        fields, _, resolution, _, features = planes.shape
        self.sizes, self.spec, self.lookup = (fields, resolution, features), spec, lookup
        if lookup == "grid_sample":
            self.planes = nn.Parameter(planes.flatten(0, 1).permute(0, 3, 1, 2).contiguous())
        else:
            self.planes = nn.Parameter(planes.reshape(-1, features).clone())
        layers = zip(
            *(split_params(row, spec.inputs(features), spec.mlp) for row in params), strict=True
        )
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for layer in layers:
            self.weights.append(torch.stack([weight.t() for weight, _ in layer]).contiguous())
            self.biases.append(
                torch.stack([bias for _, bias in layer if bias is not None])[:, None]
            )

    def forward(self, coords: Tensor) -> Tensor:
        """coords [F, B, 3] -> [F, B, channels]."""
        place = 2 * coords - 1
        parts = [self._features(coords, place), place]
        for k in range(self.spec.octaves):
            parts += [(2**k * place).sin(), (2**k * place).cos()]
        x = torch.cat(parts, 2)
        last, mlp = len(self.weights) - 1, self.spec.mlp
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            # A layer's frequency is of its weights, not of its bias.
            omega = mlp.omega if i else mlp.first_omega
            x = torch.baddbmm(bias, x, weight, alpha=omega)
            if i < last:
                x = torch.sin(x)
        return x

    def _features(self, coords: Tensor, place: Tensor) -> Tensor:
        fields, resolution, features = self.sizes
        if self.lookup == "grid_sample":
            where = torch.stack([place[..., pair] for pair in _PAIRS], 1).flatten(0, 1)[:, None]
            found = F.grid_sample(self.planes, where, padding_mode="border", align_corners=True)
            return found.view(fields, 3, features, -1).sum(1).transpose(1, 2)
        position = coords * (resolution - 1)
        cell = position.floor().clamp_(max=resolution - 2)
        upper = position - cell
        cell = cell.to(torch.int32)
        sides = torch.stack([1 - upper, upper], -1)
        first = torch.arange(3 * fields, dtype=torch.int32).view(fields, 3, 1) * resolution**2
        rows, shares = [], []
        for plane, (column, row) in enumerate(_PAIRS):
            at = first[:, plane] + cell[..., row] * resolution + cell[..., column]
            for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
                rows.append(at + (i * resolution + j))
                shares.append(sides[..., row, i] * sides[..., column, j])
        bags, weights = (torch.stack(of, -1).flatten(0, 1) for of in (rows, shares))
        found = F.embedding_bag(bags, self.planes, mode="sum", per_sample_weights=weights)
        return found.view(*coords.shape[:2], features)


class TorchPlaneFits:
    """Steps of their fit: the loss `clipped`, on batches that are given.

    Args:
        field: the fields.
        rates: of planes and of MLPs at the start.
        final_share: of them at the end.
        total: steps of the whole fit.
        betas, eps: of Adam.
    """

    def __init__(
        self,
        field: TorchPlaneFields,
        *,
        rates: tuple[float, float],
        final_share: float,
        total: int,
        betas: tuple[float, float],
        eps: float,
    ):
        self.field = field
        layers = [*field.weights, *field.biases]
        groups = [{"params": [field.planes], "lr": rates[0]}, {"params": layers, "lr": rates[1]}]
        self.adam = torch.optim.Adam(groups, betas=betas, eps=eps, fused=True)
        decay = math.exp(math.log(final_share) / total)
        self.decay = torch.optim.lr_scheduler.ExponentialLR(self.adam, decay)
        for group in self.adam.param_groups:
            group["lr"] *= decay  # the first step is one down already

    def step(self, batch: Tensor) -> Tensor:
        """One step on [F, B, 4]: places and targets. Returns the losses [F] before it."""
        self.adam.zero_grad(set_to_none=True)
        value = self.field(batch[..., :3])[..., 0]
        # Held in [-1, 1], with a slope of 1 everywhere.
        held = value + (value.clamp(-1, 1) - value).detach()
        losses = (held - batch[..., 3]).abs().mean(1)
        losses.sum().backward()  # of each field alone: none has a share in another's
        self.adam.step()
        self.decay.step()
        return losses.detach()
