"""Twins of the ops of many small fields in plain torch: one field after the other, by autograd."""

import reference
import reference_triplane
import torch

from fields import ops

PLANES = ops.PlaneSpec("sum", True, "border")
LOSSES = {
    **reference.LOSSES,
    "clipped": lambda value, target: (_held(value) - target).abs().mean(),
}


def _held(value):
    """Held in [-1, 1], with a slope of 1 everywhere: beyond the ends the side still counts."""
    return value + (value.clamp(-1, 1) - value).detach()


def encode(coords, planes, spec):
    """coords [N, 3], planes [3, R, R, C] -> what the MLP takes."""
    p = 2 * coords - 1
    parts = [reference_triplane.triplane(coords, planes, PLANES), p]
    for k in range(spec.octaves):
        parts += [(2**k * p).sin(), (2**k * p).cos()]
    return torch.cat(parts, 1)


def field(coords, planes, params, spec):
    """Values [N, channels] of one field; differentiable in all three."""
    return reference.mlp(encode(coords, planes, spec), params, spec.mlp)


def mix(x):
    """csrc/maths/random.h, on Python's integers."""
    x ^= x >> 16
    x = x * 0x21F0AAAD & 0xFFFFFFFF
    x ^= x >> 15
    x = x * 0x735A2D97 & 0xFFFFFFFF
    return x ^ (x >> 15)


def mix2(seed, index):
    return mix((mix(seed) + index) & 0xFFFFFFFF)


def draw(key, step, batch, pool):
    """Places [batch] in the pool."""
    of_field = mix2(key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF)
    of_step = mix2(mix2(of_field, step), 0x706F6F6C)
    within = [mix2(of_step, i) * pool >> 32 for i in range(batch)]
    return torch.tensor([(i * pool + within[i]) // batch for i in range(batch)])


def fit(samples, key, planes, params, spec, *, steps, batch, loss, lr_planes, lr_params,
        final_share, betas, eps):  # fmt: skip
    """One field's steps with torch's Adam; returns planes, params and losses [steps]."""
    planes, params = (t.clone().requires_grad_() for t in (planes, params))
    groups = [{"params": [planes]}, {"params": [params]}]
    adam = torch.optim.Adam(groups, betas=betas, eps=eps)
    losses = []
    for step in range(1, steps + 1):
        chosen = samples[draw(key, step, batch, len(samples))]
        value = LOSSES[loss](field(chosen[:, :3], planes, params, spec), chosen[:, 3:])
        share = final_share ** (step / steps)
        for group, rate in zip(adam.param_groups, (lr_planes, lr_params), strict=True):
            group["lr"] = rate * share
        adam.zero_grad()
        value.backward()
        adam.step()
        losses.append(value.detach())
    return planes.detach(), params.detach(), torch.stack(losses)
