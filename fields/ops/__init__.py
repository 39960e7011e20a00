"""The compiled ops with their shapes, checks and derivatives. The only user of torch.ops.fields.

Schemas stand in csrc/schemas.cpp, kernels in csrc/cpu and csrc/cuda. Ops take float32 or float64
(the slow reference instance), on the device of their inputs. On a CPU every op gives the same bits
for any number of threads.
"""

from fields import extension
from fields.ops.bricks import Bricks, bricks_render, bricks_seen
from fields.ops.cam import cam_mlp, cam_step
from fields.ops.composite import composite
from fields.ops.fourier import fourier
from fields.ops.hash_grid import hash_grid, hash_grid_with_grad
from fields.ops.in_bricks import radiance_in_bricks, rbf_radiance_in_bricks
from fields.ops.march import MarchSpec, march_rays, occupancy_update
from fields.ops.mesh import SIGNS, Bvh, build_bvh, closest_point, sample_shape, winding_number
from fields.ops.mlp import grid_mlp, mlp
from fields.ops.modulation import ModulationSpec, modulate
from fields.ops.paint import paint
from fields.ops.plane_fields import (
    PLANE_FIELD_LOSSES,
    PlaneFieldSpec,
    fit_plane_fields,
    plane_fields,
)
from fields.ops.radiance import RadianceSpec, radiance_render, radiance_step
from fields.ops.rbf import RbfSpec, grid_rbf, grid_rbf_step, rbf, rbf_with_grad
from fields.ops.rbf_radiance import RbfRadianceSpec, rbf_radiance_render, rbf_radiance_step
from fields.ops.sample_rays import Tiles, sample_rays
from fields.ops.specs import ACTIVATIONS, PRECISIONS, GridSpec, MlpSpec
from fields.ops.spherical_harmonics import spherical_harmonics
from fields.ops.trace import SQUARE, TraceSpec, trace_grid_mlp, trace_grid_rbf
from fields.ops.training import (
    LOSSES,
    adam_step,
    fma_peak,
    grid_mlp_step,
    mlp_step,
    sample_pixels,
    step_workspace,
)
from fields.ops.triplane import NUM_PLANES, PlaneSpec, triplane, triplane_with_grad

ACTIVE = extension.load()

__all__ = [
    "ACTIVATIONS",
    "ACTIVE",
    "LOSSES",
    "NUM_PLANES",
    "PLANE_FIELD_LOSSES",
    "PRECISIONS",
    "SIGNS",
    "SQUARE",
    "Bricks",
    "Bvh",
    "GridSpec",
    "MarchSpec",
    "MlpSpec",
    "ModulationSpec",
    "PlaneFieldSpec",
    "PlaneSpec",
    "RadianceSpec",
    "RbfRadianceSpec",
    "RbfSpec",
    "Tiles",
    "TraceSpec",
    "adam_step",
    "bricks_render",
    "bricks_seen",
    "build_bvh",
    "cam_mlp",
    "cam_step",
    "closest_point",
    "composite",
    "fit_plane_fields",
    "fma_peak",
    "fourier",
    "grid_mlp",
    "grid_mlp_step",
    "grid_rbf",
    "grid_rbf_step",
    "hash_grid",
    "hash_grid_with_grad",
    "march_rays",
    "mlp",
    "mlp_step",
    "modulate",
    "occupancy_update",
    "paint",
    "plane_fields",
    "radiance_in_bricks",
    "radiance_render",
    "radiance_step",
    "rbf",
    "rbf_radiance_in_bricks",
    "rbf_radiance_render",
    "rbf_radiance_step",
    "rbf_with_grad",
    "sample_pixels",
    "sample_rays",
    "sample_shape",
    "spherical_harmonics",
    "step_workspace",
    "trace_grid_mlp",
    "trace_grid_rbf",
    "triplane",
    "triplane_with_grad",
    "winding_number",
]
