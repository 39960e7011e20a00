"""Features on planes over pairs of axes, their jacobian, and the derivatives of both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import mul

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, check, one_of, real
from fields.ops.derivatives import first_order

extension.load()
_ops = torch.ops.fields

COMBINES = ("sum", "product", "concatenation")
PADDINGS = ("border", "zeros")
NUM_PLANES = {2: 1, 3: 3, 4: 6}
_MAX_RESOLUTION = 2**16
_MAX_CHANNELS = 4096


@dataclass(frozen=True)
class PlaneSpec:
    """How planes are laid on the unit cube, and what becomes of their features.

    Attributes:
        combine: the planes' features are added ("sum", tri-planes), multiplied ("product",
            K-planes) or put side by side ("concatenation").
        align_corners: True puts the outermost texel centres on the faces of the cube, at
            x (R - 1); False half a texel inside of them, at x R - 0.5, as pixels lie in a picture.
        padding: between the outermost centres and the faces, where align_corners is False, "border"
            continues the outermost value and "zeros" falls towards 0 half a texel outside of the
            cube. Where align_corners is True nothing lies there, and both are the same.
    """

    combine: str = "sum"
    align_corners: bool = True
    padding: str = "border"

    def __post_init__(self):
        one_of("combine", self.combine, COMBINES)
        one_of("padding", self.padding, PADDINGS)

    def outputs(self, dim: int, channels: int) -> int:
        """Features of a point, from planes of `channels`."""
        return channels * (NUM_PLANES[dim] if self.combine == "concatenation" else 1)

    def args(self) -> tuple:
        """As the ops take it; they know sums, and planes side by side."""
        return self.combine == "sum", self.align_corners, self.padding == "zeros"


def check_planes(coords: Tensor, planes: Tensor) -> None:
    """coords [N, D] and planes [P, R, R, C] fit each other."""
    check(coords.dim() == 2, f"coords must be [N, D], got {tuple(coords.shape)}")
    dim = coords.shape[1]
    check(dim in NUM_PLANES, f"coords must have 2 to 4 dimensions, got {dim}")
    square = planes.dim() == 4 and planes.shape[1] == planes.shape[2]
    check(square, f"planes must be [P, R, R, C], got {tuple(planes.shape)}")
    count, resolution, _, channels = planes.shape
    check(
        count == NUM_PLANES[dim],
        f"planes must be {NUM_PLANES[dim]} for {dim} dimensions, got {count}",
    )
    check(
        1 <= resolution <= _MAX_RESOLUTION,
        f"planes must have 1 to {_MAX_RESOLUTION} texels an axis, got {resolution}",
    )
    check(
        1 <= channels <= _MAX_CHANNELS,
        f"planes must have 1 to {_MAX_CHANNELS} channels, got {channels}",
    )
    real("coords", coords)
    alike("coords", coords, "planes", planes)


def triplane(coords: Tensor, planes: Tensor, spec: PlaneSpec | None = None) -> Tensor:
    """Features of points, from planes over every pair of axes: bilinear, then combined.

    Args:
        coords: [N, D] in [0, 1], D 2 to 4; clamped to it.
        planes: [P, R, R, C], channels last, one plane for each pair of axes in the order xy, xz,
            yz (xy, xz, xt, yz, yt, zt in four dimensions, one plane in two); the first axis of a
            pair is the column. `planes[p, j, i]` is thus the texel at (i, j) of (x, y) for p = 0.
        spec: combination, `align_corners` and padding; by default a sum, with the outermost texel
            centres on the faces of the cube.

    Returns:
        [N, C], or [N, P * C], plane major, where `combine` is "concatenation".

    Differentiable twice in coords and planes. Outside [0, 1] the derivatives by coordinates are
    those at the border; between a face and the outermost centres with padding "border" they are 0.
    Bilinear interpolation has no second derivative along one axis and a jump of the first where a
    coordinate passes a texel centre. A product is multiplied out in torch.
    Raises ValueError on shapes, dtypes or devices that do not fit.
    Chan et al. 2022 (EG3D), section 4; Fridovich-Keil et al. 2023 (K-Planes), section 3.1;
    grid_sample of torch has the same rules, on coordinates 2 x - 1.
    """
    spec = spec or PlaneSpec()
    check_planes(coords, planes)
    features = _ops.triplane(coords.contiguous(), planes.contiguous(), *spec.args())
    if spec.combine == "product":
        return reduce(mul, features.split(planes.shape[3], 1))
    return features


def triplane_with_grad(
    coords: Tensor, planes: Tensor, spec: PlaneSpec | None = None
) -> tuple[Tensor, Tensor]:
    """As triplane, and the derivative of each feature by the coordinates.

    Returns:
        features [N, F] and jacobian [N, F, D], F as triplane has it.

    Differentiable once in coords and planes: losses on normals need no double backward.
    """
    spec = spec or PlaneSpec()
    check_planes(coords, planes)
    features, jacobian = _ops.triplane_with_grad(
        coords.contiguous(), planes.contiguous(), *spec.args()
    )
    if spec.combine == "product":
        return _product_with_grad(features, jacobian, planes.shape[3])
    return features, jacobian


def _product_with_grad(features: Tensor, jacobian: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Planes side by side, multiplied one after the other by the rule for products."""
    parts = zip(features.split(channels, 1), jacobian.split(channels, 1), strict=True)
    value, slope = next(parts)
    for factor, factor_slope in parts:
        slope = slope * factor.unsqueeze(-1) + value.unsqueeze(-1) * factor_slope
        value = value * factor
    return value, slope


# ---- shapes without data


def _fake_features(coords, planes, sum_planes):
    outputs = planes.shape[3] if sum_planes else planes.shape[0] * planes.shape[3]
    return coords.new_empty(coords.shape[0], outputs)


@torch.library.register_fake("fields::triplane")
def _(coords, planes, sum_planes, align_corners, zero_padding):
    return _fake_features(coords, planes, sum_planes)


@torch.library.register_fake("fields::triplane_with_grad")
def _(coords, planes, sum_planes, align_corners, zero_padding):
    features = _fake_features(coords, planes, sum_planes)
    return features, coords.new_empty(*features.shape, coords.shape[1])


def _fake_plane_grads(coords, planes, need_coords, need_planes):
    return (
        coords.new_empty(coords.shape[0] if need_coords else 0, coords.shape[1]),
        planes.new_empty(planes.shape[0] if need_planes else 0, *planes.shape[1:]),
    )


@torch.library.register_fake("fields::triplane_backward")
def _(grad, coords, planes, s, a, z, need_coords, need_planes):
    return _fake_plane_grads(coords, planes, need_coords, need_planes)


@torch.library.register_fake("fields::triplane_with_grad_backward")
def _(grad, grad_jacobian, coords, planes, s, a, z, need_coords, need_planes):
    return _fake_plane_grads(coords, planes, need_coords, need_planes)


# ---- derivatives


def _save_planes(ctx, inputs, output):
    coords, planes, *spec = inputs
    ctx.save_for_backward(coords, planes)
    ctx.spec = spec


def _gradients(ctx, op, *grads):
    """What `op`, a backward, gives for the inputs that need it."""
    need_coords, need_planes = ctx.needs_input_grad[:2]
    grads = [grad.contiguous() for grad in grads]
    grad_coords, grad_planes = op(*grads, *ctx.saved_tensors, *ctx.spec, need_coords, need_planes)
    return (
        grad_coords if need_coords else None,
        grad_planes if need_planes else None,
        *[None] * 3,
    )


def _triplane_backward(ctx, grad):
    return _gradients(ctx, _ops.triplane_backward, grad)


def _triplane_with_grad_backward(ctx, grad, grad_jacobian):
    return _gradients(ctx, _ops.triplane_with_grad_backward, grad, grad_jacobian)


def _save_planes_backward(ctx, inputs, output):
    grad, coords, planes, *rest = inputs
    ctx.save_for_backward(grad, coords, planes)
    ctx.spec, (ctx.had_coords, ctx.had_planes) = rest[:3], rest[3:]


def _triplane_double_backward(ctx, v_coords, v_planes):
    """Backward of triplane_backward, which is linear in grad.

    With y = E(x, t) linear in the planes t, and cotangents v_x of J_x^T g and v_t of J_t^T g:
    d/dg = J_x v_x + E(x, v_t); d/dt and the first part of d/dx are those of the jacobian
    contracted with g v_x^T; the second part of d/dx is J_x^T g of the planes v_t.
    """
    grad, coords, planes = ctx.saved_tensors
    spec = ctx.spec
    need_grad, need_coords, need_planes = ctx.needs_input_grad[:3]
    out_grad = out_coords = out_planes = None
    if ctx.had_coords:
        if need_grad:
            jacobian = _ops.triplane_with_grad(coords, planes, *spec)[1]
            out_grad = torch.einsum("nfd,nd->nf", jacobian, v_coords)
        if need_coords or need_planes:
            outer = (grad.unsqueeze(-1) * v_coords.unsqueeze(1)).contiguous()
            c, t = _ops.triplane_with_grad_backward(
                torch.zeros_like(grad), outer, coords, planes, *spec, need_coords, need_planes
            )
            out_coords = c if need_coords else None
            out_planes = t if need_planes else None
    if ctx.had_planes:
        v_planes = v_planes.contiguous()
        if need_grad:
            more = _ops.triplane(coords, v_planes, *spec)
            out_grad = more if out_grad is None else out_grad + more
        if need_coords:
            more, _ = _ops.triplane_backward(grad, coords, v_planes, *spec, True, False)
            out_coords = more if out_coords is None else out_coords + more
    return out_grad, out_coords, out_planes, *[None] * 5


for _name, _backward, _setup in (
    ("triplane", _triplane_backward, _save_planes),
    ("triplane_with_grad", _triplane_with_grad_backward, _save_planes),
    ("triplane_backward", _triplane_double_backward, _save_planes_backward),
):
    torch.library.register_autograd(f"fields::{_name}", _backward, setup_context=_setup)
first_order("triplane_with_grad_backward", "triplane, which has two")
