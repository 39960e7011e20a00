"""Distances to a mesh: a hierarchy of boxes around its triangles, and what is asked of it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import check, in_range, one_of, shape

extension.load()
_ops = torch.ops.fields

SIGNS = {"none": 0, "pseudonormal": 1, "winding": 2}


@dataclass(frozen=True, eq=False)
class Bvh:
    """A mesh in the unit cube with a hierarchy of boxes, 16 children a node; from build_bvh.

    F faces in the order of the L leaves, which hold up to 16 each; M nodes. csrc/maths/bvh.h says
    what the rows mean.

    Attributes:
        corners: [F, 3, 3] float32.
        ids: [F] int32, number of each face in the list that the hierarchy was made from.
        normals: [F, 7, 3] float32, pseudonormals of the face, its sides and its corners.
        boxes: [M, 6, 16] float32.
        children: [M, 16] int32, a node or -1 - leaf.
        moments: [M, 13, 16] float32, the children seen from far away.
        leaves: [L, 18, 16] float32, triangles in frames of their own.
        first: [L + 1] int32, first face of each leaf.
        area: [L] float64, area of all faces up to and with this leaf.
        table: [32, 32, 32] int32, the leaf nearest to the middle of each cell (z, y, x).
        bounds: [6] float32, lowest and highest x, y, z.
        total_area: of all faces, in unit squares.
    """

    corners: Tensor
    ids: Tensor
    normals: Tensor
    boxes: Tensor
    children: Tensor
    moments: Tensor
    leaves: Tensor
    first: Tensor
    area: Tensor
    table: Tensor
    bounds: Tensor
    total_area: float

    @property
    def device(self) -> torch.device:
        return self.corners.device

    @property
    def num_faces(self) -> int:
        return self.ids.shape[0]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Those that the ops take, in their order."""
        return tuple(getattr(self, field.name) for field in fields(self)[:-1])

    def to(self, device: torch.device | str) -> Bvh:
        names = [field.name for field in fields(self)[:-1]]
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


def build_bvh(vertices: Tensor, faces: Tensor) -> Bvh:
    """The hierarchy of a mesh, by all threads of the CPU: about 0.1 s for 100,000 faces.

    Args:
        vertices: [V, 3], finite, meant to lie in the unit cube; rounded to float32. Vertices at one
            place count as one.
        faces: [F, 3] integers, vertices of each triangle, counter-clockwise seen from outside.
            Triangles without area are allowed: they are as near as their sides are.

    Returns:
        a Bvh on the device of the vertices; the same for any number of threads.
    """
    check(
        vertices.dim() == 2 and vertices.shape[1] == 3 and vertices.is_floating_point(),
        f"vertices must be [V, 3] real numbers, got {tuple(vertices.shape)} {vertices.dtype}",
    )
    check(
        faces.dim() == 2 and faces.shape[1] == 3 and faces.dtype in (torch.int32, torch.int64),
        f"faces must be [F, 3] int32 or int64, got {tuple(faces.shape)} {faces.dtype}",
    )
    check(faces.shape[0] > 0, "faces must not be empty")
    in_range("number of faces", faces.shape[0], 1, 2**31 // 3 - 1)
    device = vertices.device
    vertices = vertices.detach().to("cpu", torch.float32).contiguous()
    check(_is_small(vertices), "vertices must be finite, and less than 1e9")
    low, high = faces.aminmax()
    check(
        int(low) >= 0 and int(high) < vertices.shape[0],
        f"faces must name vertices from 0 to {len(vertices) - 1}, got {int(low)} to {int(high)}",
    )
    tensors = _ops.build_bvh(vertices, faces.to("cpu", torch.int32).contiguous())
    bvh = Bvh(*tensors, total_area=float(tensors[8][-1]))
    return bvh if device.type == "cpu" else bvh.to(device)


def closest_point(
    bvh: Bvh, points: Tensor, *, signed: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """The nearest point of a mesh.

    Args:
        bvh: from build_bvh.
        points: [N, 3] float32, finite, anywhere.
        signed: whether distances are negative inside. The sign is that of the angle-weighted
            pseudonormal (Baerentzen and Aanaes 2005), right for closed meshes whose faces look
            outwards; an open mesh has no inside, and wants False.

    Returns:
        distances [N], faces [N] int32 in the order given to build_bvh, and nearest points [N, 3].
        Of triangles equally near within rounding (1e-7 of distance and size) any may be named; the
        distance to it is computed in double.

    Not differentiable: the gradient of the distance is (point - nearest) / distance.
    """
    return _ops.closest_point(_checked(bvh, points), *bvh.tensors, signed)


def winding_number(bvh: Bvh, points: Tensor) -> Tensor:
    """How often the mesh goes around each point: 1 inside, 0 outside, between for open meshes.

    Args:
        bvh: from build_bvh.
        points: [N, 3] float32, finite, anywhere.

    Returns:
        numbers [N], within about 0.01: near triangles exactly, groups of them far away by the
        first two terms of their series (Barill et al. 2018). A mesh inside out gives -1.

    Not differentiable.
    """
    return _ops.winding_number(_checked(bvh, points), *bvh.tensors)


def sample_shape(
    bvh: Bvh,
    count: int,
    seed: int,
    step: int,
    *,
    surface: float = 0.5,
    near: float = 0.375,
    uniform: float = 0.125,
    jitter: float = 0.001,
    sigma: float = 0.01,
    truncation: float | None = None,
    sign: str = "pseudonormal",
) -> tuple[Tensor, Tensor]:
    """A batch of points with their distances to a mesh.

    Args:
        bvh: from build_bvh.
        count: samples.
        seed, step: together with count and the shares they determine the batch.
        surface, near, uniform: shares of the batch, in proportion. Surface and near samples are
            drawn by area and moved by what is nearly a normal distribution, the others lie
            anywhere.
        jitter: standard deviation of surface samples, in unit cubes. With 0 all their distances
            would be 0, from which a field learns a flat shell whose sign is noise.
        sigma: standard deviation of near samples.
        truncation: distances are clamped to [-truncation, truncation]; None leaves them.
        sign: "pseudonormal" for closed meshes; "winding", negative where the winding number is
            above 1/2, for open or broken ones; "none", distances >= 0.

    Returns:
        coords [count, 3] in [0, 1] and distances [count, 1], true ones of the coords, in unit
        cubes. First come surface and near samples in turn, then uniform ones; both parts are
        stratified, in an order in which neighbours are near one another: take a batch as a whole.

    The same on the CPU for any number of threads.
    """
    in_range("count", count, 1, 2**31 - 1)
    shares = {"surface": surface, "near": near, "uniform": uniform}
    for name, share in shares.items():
        in_range(name, share, 0, 1e9)
    total = sum(shares.values())
    check(total > 0, "surface, near and uniform must not all be 0")
    check(bvh.total_area > 0 or uniform == total, "the mesh has no area to draw from")
    in_range("jitter", jitter, 0, 1)
    in_range("sigma", sigma, 0, 1)
    if truncation is not None:
        check(truncation > 0, f"truncation must be more than 0, got {truncation}")
    one_of("sign", sign, SIGNS)
    ends = [round(count * part / total) for part in (surface, surface + near)]
    return _ops.sample_shape(
        *bvh.tensors,
        ends[0],
        ends[1] - ends[0],
        count - ends[1],
        seed,
        step,
        jitter,
        sigma,
        float("inf") if truncation is None else truncation,
        SIGNS[sign],
    )


def _is_small(tensor: Tensor) -> bool:
    """Whether all are finite, and nearer than what fills up leaves. NaN is not small."""
    return tensor.numel() == 0 or bool(tensor.abs().amax() < 1e9)


def _checked(bvh: Bvh, points: Tensor) -> Tensor:
    shape("points", points, (points.shape[0] if points.dim() else 0, 3))
    check(points.dtype == torch.float32, f"points must be float32, got {points.dtype}")
    check(
        points.device == bvh.device,
        f"points are on {points.device} but the mesh on {bvh.device}; move one",
    )
    # A GPU would have to be waited for; there NaN comes back as NaN.
    if points.device.type == "cpu" and not torch.compiler.is_compiling():
        check(_is_small(points), "points must be finite, and less than 1e9")
    return points.detach().contiguous()


# ---- shapes without data


@torch.library.register_fake("fields::closest_point")
def _(points, *_):
    count = points.shape[0]
    return (
        points.new_empty(count),
        points.new_empty(count, dtype=torch.int32),
        points.new_empty(count, 3),
    )


@torch.library.register_fake("fields::winding_number")
def _(points, *_):
    return points.new_empty(points.shape[0])


@torch.library.register_fake("fields::sample_shape")
def _(corners, *arguments):
    count = sum(arguments[10:13])
    return corners.new_empty(count, 3), corners.new_empty(count, 1)
