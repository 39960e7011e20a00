"""Twins of the tri-plane's ops in plain torch: its own bilinear sampling, and the same in steps.

`spec` is anything with the attributes of ops.PlaneSpec.
"""

import functools
import itertools
import operator

import torch


def axis_pairs(dim):
    """[(a, b), ...]: the axes of each plane, column first."""
    return list(itertools.combinations(range(dim), 2))


def combine(features, how):
    """[P] tensors [N, C] -> [N, C] or [N, P C]."""
    if how == "concatenation":
        return torch.cat(features, 1)
    return functools.reduce(operator.add if how == "sum" else operator.mul, features)


def by_grid_sample(coords, planes, spec):
    """Features by torch's grid_sample, for coordinates in [0, 1]."""
    features = []
    for plane, pair in zip(planes, axis_pairs(coords.shape[1]), strict=True):
        where = (2 * coords[:, list(pair)] - 1).view(1, 1, -1, 2)
        sampled = torch.nn.functional.grid_sample(
            plane.permute(2, 0, 1)[None],
            where,
            mode="bilinear",
            padding_mode=spec.padding,
            align_corners=spec.align_corners,
        )
        features.append(sampled[0, :, 0].t())
    return combine(features, spec.combine)


def triplane(coords, planes, spec):
    """The same, twice differentiable in coords and planes away from texel centres."""
    resolution, features = planes.shape[1], []
    if spec.align_corners:
        position = coords * (resolution - 1)
    else:
        position = coords * resolution - 0.5
    if spec.padding == "border":
        position = position.clamp(0, resolution - 1)
    cell = position.detach().floor()
    upper = position - cell
    for plane, (a, b) in zip(planes, axis_pairs(coords.shape[1]), strict=True):
        total = torch.zeros(len(coords), planes.shape[3], dtype=planes.dtype)
        for i, j in itertools.product((0, 1), repeat=2):
            column, row = (cell[:, a] + i).long(), (cell[:, b] + j).long()
            inside = (column >= 0) & (column < resolution) & (row >= 0) & (row < resolution)
            weight = (upper[:, a] if i else 1 - upper[:, a]) * (
                upper[:, b] if j else 1 - upper[:, b]
            )
            texel = plane[row.clamp(0, resolution - 1), column.clamp(0, resolution - 1)]
            total = total + (weight * inside)[:, None] * texel
        features.append(total)
    return combine(features, spec.combine)


def triplane_with_grad(coords, planes, spec):
    """Features [N, F] and d features / d coords [N, F, D]; both differentiable."""
    with torch.enable_grad():
        x = coords if coords.requires_grad else coords.detach().requires_grad_()
        features = triplane(x, planes, spec)
        columns = [
            torch.autograd.grad(features[:, j].sum(), x, create_graph=True)[0]
            for j in range(features.shape[1])
        ]
    return features, torch.stack(columns, 1)


def coords_away_from_centres(count, dim, resolution, spec, *, generator, margin=0.05):
    """[count, dim] in [0, 1], at least `margin` of a texel from every texel centre."""
    kept = torch.empty(0, dim, dtype=torch.float64)
    while len(kept) < count:
        coords = torch.rand(4 * count + 64, dim, dtype=torch.float64, generator=generator)
        position = coords * (resolution - 1) if spec.align_corners else coords * resolution - 0.5
        fraction = position % 1
        kept = torch.cat([kept, coords[((fraction > margin) & (fraction < 1 - margin)).all(1)]])
    return kept[:count]
