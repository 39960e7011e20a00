"""Second derivatives of fields, by which they become distances."""

import pytest
import torch

import fields
from fields import FieldsError
from fields.eikonal import eikonal
from fields.twice import values_and_gradient

GRID = {"num_levels": 3, "log2_table_size": 8, "base_resolution": 4, "growth": 1.5}
MODELS = {
    "hashgrid": lambda: fields.HashGrid(1, 3, **GRID, width=8, features_per_level=2),
    "rbf": lambda: fields.Rbf(1, 3, **GRID, kernels=4, centres="spread"),
    "triplane": lambda: fields.TriPlane(1, 3, resolution=5, features=4, width=8),
    "siren": lambda: fields.Siren(1, 3, width=8, depth=2, omega=3.0),
    "finer": lambda: fields.Finer(1, 3, width=8, depth=2, omega=3.0),
    "fourier": lambda: fields.Fourier(1, 3, width=8, depth=2, frequencies=4),
}
each = pytest.mark.parametrize("name", MODELS)


def made(name):
    field = MODELS[name]()
    generator = torch.Generator().manual_seed(0)
    if name in ("hashgrid", "rbf", "triplane"):
        with torch.no_grad():
            field.table.add_(0.3 * torch.randn(field.table.shape, generator=generator))
    return field.double(), torch.rand(7, 3, generator=generator, dtype=torch.float64)


@each
def test_values_are_those_of_the_fused_field_and_slopes_those_of_differences(name):
    field, coords = made(name)
    values, gradient = values_and_gradient(field, coords)
    assert torch.allclose(values, field(coords)[:, 0], rtol=1e-9, atol=1e-12)
    step = 1e-6
    for axis in range(3):
        move = torch.zeros(3, dtype=torch.float64)
        move[axis] = step
        quotient = (field(coords + move) - field(coords - move))[:, 0] / (2 * step)
        assert torch.allclose(gradient[:, axis], quotient, rtol=1e-4, atol=1e-6)


@each
def test_the_eikonal_term_is_differentiable_in_every_parameter(name):
    field, coords = made(name)
    parameters = dict(field.named_parameters())

    def term(*values):
        with torch.no_grad():
            for parameter, value in zip(parameters.values(), values, strict=True):
                parameter.copy_(value)
        return eikonal(values_and_gradient(field, coords)[1])

    gradients = torch.autograd.grad(
        eikonal(values_and_gradient(field, coords)[1]), list(parameters.values())
    )
    start = [parameter.detach().clone() for parameter in parameters.values()]
    generator = torch.Generator().manual_seed(1)
    moves = [torch.randn(s.shape, generator=generator, dtype=torch.float64) for s in start]
    step = 1e-6
    ahead = term(*[s + step * m for s, m in zip(start, moves, strict=True)])
    behind = term(*[s - step * m for s, m in zip(start, moves, strict=True)])
    slope = sum((g * m).sum() for g, m in zip(gradients, moves, strict=True))
    assert torch.allclose(slope, (ahead - behind) / (2 * step), rtol=1e-4, atol=1e-7)


def test_the_slope_of_a_distance_is_one():
    coords = torch.rand(50, 3)
    sphere = torch.nn.Module()
    sphere.forward = lambda x: (x - 0.5).norm(dim=1, keepdim=True) - 0.3  # type: ignore
    values, gradient = values_and_gradient(sphere, coords)
    assert eikonal(gradient).item() == pytest.approx(0, abs=1e-10) and values.shape == (50,)


def test_cam_says_that_it_has_none():
    with pytest.raises(FieldsError, match="cam has no second derivatives"):
        values_and_gradient(fields.Cam(1, 3, width=8, depth=1), torch.rand(2, 3))


def test_the_loss_of_points_compares_values_directions_and_lengths():
    import numpy as np

    from fields.configs.shape import ShapeOptions
    from fields.eikonal import PointsStep
    from fields.plan import Stop, make
    from fields.shapes import Shape
    from fields.signals.points import PointSignal

    normals = np.random.default_rng(0).normal(size=(4000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)

    class Ball(torch.nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.radius = torch.nn.Parameter(torch.tensor(0.45))  # the longest side is 0.9
            self.factor = factor

        def forward(self, x):
            return self.factor * ((x - 0.5).norm(dim=-1, keepdim=True) - self.radius)

    def loss(factor=1.0, outward=1.0):
        shape = Shape("ball", normals, np.empty((0, 3), np.int64), "points", outward * normals)
        signal = PointSignal(shape, ShapeOptions(surface=1.0, near=0.0), torch.device("cpu"))
        field = Ball(factor)
        plan = make(Stop(steps=1), kind="points", model=None)
        step = PointsStep(
            field, signal, plan, lambda values, targets: (values - targets).abs().mean(), 0.5
        )
        return step.value(*signal.with_normals(1000, 0, 1)).item()

    moved = 1e-3 * (2 / np.pi) ** 0.5  # the mean distance of samples from their points
    assert loss() == pytest.approx(0, abs=1e-4)
    # Half of (2 - 1)^2, and values that are twice as large.
    assert loss(factor=2.0) == pytest.approx(0.5 + moved, abs=1e-4)
    # Half of 1 - cos of opposite directions, and values of the wrong sign.
    assert loss(outward=-1.0) == pytest.approx(0.5 * 2 + 2 * moved, abs=2e-4)
