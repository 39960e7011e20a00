"""Many small tri-plane fields at once: their values, and all steps of their fit in one op."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, check, float32_state, in_range, one_of, shape
from fields.ops.specs import MlpSpec

extension.load()
_ops = torch.ops.fields

# Of a value and its target; those of the other fused steps, and one that holds values in [-1, 1].
PLANE_FIELD_LOSSES = {"l2": 0, "l1": 1, "relative": 2, "binary": 3, "clipped": 5}
_MAX_OCTAVES = 16


@dataclass(frozen=True)
class PlaneFieldSpec:
    """What each field of a set is: the sum of three planes, the place in a few octaves, an MLP.

    Attributes:
        mlp: takes the planes' C features, the place p = 2 x - 1, and for each octave k sin(2^k p)
            and cos(2^k p): C + 3 + 6 octaves numbers. In float32.
        octaves: 0 to 16.
    """

    mlp: MlpSpec
    octaves: int = 2

    def __post_init__(self):
        in_range("octaves", self.octaves, 0, _MAX_OCTAVES)
        check(self.mlp.precision == "float32", "many small fields are computed in float32")

    def inputs(self, features: int) -> int:
        """Numbers that the MLP takes, behind planes of `features` channels."""
        return features + 3 + 6 * self.octaves

    def num_params(self, features: int) -> int:
        """Parameters of one field's MLP."""
        return self.mlp.num_params(self.inputs(features))

    def args(self) -> tuple:
        """As the ops take it."""
        return self.octaves, *self.mlp.args()


def plane_fields(coords: Tensor, planes: Tensor, params: Tensor, spec: PlaneFieldSpec) -> Tensor:
    """Values of many fields, each at points of its own.

    Args:
        coords: [F, N, 3] float32 in [0, 1]; clamped to it.
        planes: [F, 3, R, R, C] float32, as ops.triplane has them: over xy, xz and yz, the outermost
            texel centres on the faces of the cube.
        params: [F, spec.num_params(C)] float32.
        spec: what a field is.

    Returns:
        [F, N, channels].

    Not differentiable; one field's values are, by ops.triplane and ops.mlp.
    """
    _check_fields(planes, params, spec)
    alike("coords", coords, "planes", planes)
    count = coords.shape[1] if coords.dim() == 3 else 0
    shape("coords", coords, (planes.shape[0], count, 3))
    return _ops.plane_fields(
        coords.detach().contiguous(),
        planes.detach().contiguous(),
        params.detach().contiguous(),
        *spec.args(),
    )


def fit_plane_fields(
    samples: Tensor,
    keys: Tensor,
    planes: tuple[Tensor, Tensor, Tensor],
    params: tuple[Tensor, Tensor, Tensor],
    spec: PlaneFieldSpec,
    *,
    steps: int,
    batch: int = 2048,
    loss: str = "clipped",
    first_step: int = 1,
    total: int | None = None,
    lr_planes: float = 1e-2,
    lr_params: float = 1e-3,
    final_share: float = 0.1,
    beta1: float = 0.9,
    beta2: float = 0.99,
    eps: float = 1e-15,
) -> Tensor:
    """Steps of the fit of many fields, in place: forward, loss, backward and Adam.

    Args:
        samples: [F, S, 3 + channels] float32, a pool for each field: coords in [0, 1] and the
            values there. A batch takes one from each of `batch` strata of it, in its order.
        keys: [F] int64; field, step and place in the batch alone decide what is drawn.
        planes: ([F, 3, R, R, C], first moment, second moment), updated in place.
        params: ([F, n], first moment, second moment), updated in place.
        spec: what a field is.
        steps: to take, >= 0.
        batch: samples of a step.
        loss: a name of PLANE_FIELD_LOSSES: those of grid_mlp_step, or "clipped", |value held in
            [-1, 1] - target|, for which beyond the ends the side alone counts.
        first_step: 1 for the first; a fit in several calls equals one in a single call.
        total: steps of the whole fit, over which the rates fall; by default those of this call.
        lr_planes, lr_params: learning rates at the start.
        final_share: of them at the end, reached geometrically.

    Returns:
        losses [F, steps] before each step.

    Not differentiable. On a CPU each thread takes whole fields, whose planes stay in its L2, and
    fields are the same bits for any number of threads and of other fields.
    """
    for name, state in (("planes", planes), ("params", params)):
        for suffix, tensor in zip(("", "_m", "_v"), state, strict=True):
            float32_state(name + suffix, tensor, state[0])
    _check_fields(planes[0], params[0], spec)
    fields = planes[0].shape[0]
    alike("samples", samples, "planes", planes[0])
    pool = samples.shape[1] if samples.dim() == 3 else 0
    shape("samples", samples, (fields, pool, 3 + spec.mlp.channels))
    check(fields == 0 or pool > 0, "samples must not be empty: there is nothing to draw from")
    shape("keys", keys, (fields,))
    check(keys.dtype == torch.int64, f"keys must be int64, got {keys.dtype}")
    check(
        keys.device == samples.device,
        f"keys are on {keys.device} but samples on {samples.device}; move one",
    )
    one_of("loss", loss, PLANE_FIELD_LOSSES)
    in_range("steps", steps, 0, 2**31 - 1)
    in_range("batch", batch, 1, 2**31 - 1)
    in_range("first_step", first_step, 1, 2**31 - 1)
    total = first_step + steps - 1 if total is None else total
    in_range("total", total, 0, 2**31 - 1)
    in_range("final_share", final_share, 1e-6, 1.0)
    return _ops.fit_plane_fields(
        samples.contiguous(),
        keys.contiguous(),
        *planes,
        *params,
        *spec.args(),
        PLANE_FIELD_LOSSES[loss],
        batch,
        first_step,
        steps,
        max(total, 1),
        lr_planes,
        lr_params,
        final_share,
        beta1,
        beta2,
        eps,
    )


def _check_fields(planes: Tensor, params: Tensor, spec: PlaneFieldSpec) -> None:
    check(planes.dtype == torch.float32, f"planes must be float32, got {planes.dtype}")
    square = planes.dim() == 5 and planes.shape[1] == 3 and planes.shape[2] == planes.shape[3]
    check(square, f"planes must be [F, 3, R, R, C], got {tuple(planes.shape)}")
    fields, _, resolution, _, features = planes.shape
    in_range("texels along an axis", resolution, 1, 2**16)
    in_range("channels of planes", features, 1, 4096)
    alike("params", params, "planes", planes)
    shape("params", params, (fields, spec.num_params(features)))


# ---- shapes without data


@torch.library.register_fake("fields::plane_fields")
def _(coords, planes, params, octaves, width, depth, channels, *_):
    return coords.new_empty(coords.shape[0], coords.shape[1], channels)


@torch.library.register_fake("fields::fit_plane_fields")
def _(samples, keys, planes, *arguments):
    # After five moments and parameters, the spec's ten, loss, batch and the first step.
    return planes.new_empty(planes.shape[0], arguments[18])
