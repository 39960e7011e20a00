"""The modules that every test of modules goes over, and how they are made."""

import pytest
import torch

import fields

GRID = {"num_levels": 4, "log2_table_size": 8, "base_resolution": 4, "growth": 1.6}


def hash_grid(seed=0, **settings):
    return fields.HashGrid(3, **GRID, width=32, seed=seed, **settings)


def encoding(seed=0):
    return fields.HashGridEncoding(**GRID, seed=seed)


def planes(seed=0):
    return fields.TriPlaneEncoding(2, resolution=8, channels=4, seed=seed)


def mlp(seed=0):
    return fields.MLP(2, 3, width=32, bias=True, seed=seed)


def siren(seed=0):
    return fields.Siren(3, width=32, depth=2, omega=5.0, seed=seed)


def finer(seed=0):
    return fields.Finer(3, width=32, depth=2, omega=5.0, seed=seed)


def fourier(seed=0):
    return fields.Fourier(3, width=32, depth=2, frequencies=20, seed=seed)


def cam(seed=0):
    return fields.Cam(3, width=32, depth=2, frequencies=20, grid_size=6, seed=seed)


def rbf(seed=0):
    return fields.Rbf(3, **GRID, kernels=16, centres="spread", seed=seed)


MAKERS = [hash_grid, encoding, planes, mlp, siren, finer, fourier, cam, rbf]


each = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


def trained(make, seed=0):
    """A module whose table is of order one, as after a fit: outputs are of order one too."""
    module = make(seed)
    if hasattr(module, "table") and make is not cam:  # whose scales are 1 before training too
        module.table.data.mul_(1e4)
    return module


def points(*shape, seed=1):
    return torch.rand(*shape, 2, generator=torch.Generator().manual_seed(seed))


def squared_grads(module, output):
    """Gradients of the mean square of an output by the parameters."""
    return torch.autograd.grad(output.square().mean(), list(module.parameters()))
