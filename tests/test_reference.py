"""The twins against values worked out by hand, and against each other."""

from types import SimpleNamespace

import numpy as np
import pytest
import reference
import torch


def grid(num_levels=3, base=4, growth=1.7, log2=6, smoothstep=False):
    return SimpleNamespace(
        num_levels=num_levels,
        base_resolution=base,
        growth=growth,
        log2_table_size=log2,
        smoothstep=smoothstep,
    )


def test_one_level_in_one_dimension_is_a_polyline():
    spec = grid(num_levels=1, base=4)  # scale 3, 4 vertices, padded to 8 rows
    table = np.arange(8.0)[:, None] ** 2
    features = reference.hash_grid_numpy([[0.0], [0.5], [2 / 3], [1.0]], table, spec)
    # Positions 0.5, 2, 2.5, 3.5: the grid is shifted by half a cell.
    np.testing.assert_allclose(features[:, 0], [0.5, 4.0, (4 + 9) / 2, (9 + 16) / 2], rtol=1e-12)


def test_smoothstep_flattens_the_polyline_at_its_vertices():
    spec = grid(num_levels=1, base=4, smoothstep=True)
    table = np.arange(8.0)[:, None]
    features = reference.hash_grid_numpy([[0.25]], table, spec)  # position 1.25
    assert features[0, 0] == pytest.approx(1 + 0.25**2 * (3 - 2 * 0.25))


def test_geometry_of_a_known_configuration():
    spec = grid(num_levels=4, base=16, growth=2.0, log2=12)
    found = reference.levels(2, spec)
    assert [level.scale for level in found] == [15, 31, 63, 127]
    assert [level.resolution for level in found] == [16, 32, 64, 128]
    assert [level.rows for level in found] == [256, 1024, 4096, 4096]
    assert [level.hashed for level in found] == [False, False, False, True]
    assert [level.offset for level in found] == [0, 256, 1280, 5376]


def test_the_usual_grid_of_a_scene_has_as_many_numbers_as_in_tiny_cuda_nn():
    # 12,196,240: the published parameter count of instant-ngp's NeRF encoding.
    spec = grid(num_levels=16, base=16, growth=(2048 / 16) ** (1 / 15), log2=19)
    assert 2 * reference.num_rows(3, spec) == 12_196_240


def test_rows_of_a_dense_and_of_a_hashed_level():
    dense = reference.Level(scale=15.0, resolution=16, rows=256, offset=0, hashed=False)
    assert reference.vertex_row(dense, (3, 5)) == 83
    assert reference.vertex_row(dense, (16, 15)) == 0  # past the last vertex: wraps
    hashed = reference.Level(scale=99.0, resolution=100, rows=1024, offset=0, hashed=True)
    # 5 * 2654435761 = 387276917 modulo 2^32, whose last ten bits are 117; 117 ^ 3 = 118.
    assert reference.vertex_row(hashed, (3, 5)) == 118


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
@pytest.mark.parametrize("smoothstep", [False, True])
def test_the_torch_twin_equals_the_numpy_twin(dim, smoothstep):
    spec = grid(smoothstep=smoothstep)
    generator = torch.Generator().manual_seed(dim)
    coords = torch.rand(20, dim, dtype=torch.float64, generator=generator)
    coords[0], coords[1] = 0.0, 1.0
    table = torch.randn(reference.num_rows(dim, spec), 2, dtype=torch.float64, generator=generator)
    expected = reference.hash_grid_numpy(coords, table, spec)
    np.testing.assert_allclose(reference.hash_grid(coords, table, spec), expected, atol=1e-12)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_torch_twin_has_first_and_second_derivatives(dim):
    spec = grid(num_levels=2, log2=4, smoothstep=True)
    generator = torch.Generator().manual_seed(dim)
    coords = reference.coords_away_from_faces(3, dim, spec, generator=generator).requires_grad_()
    table = torch.randn(reference.num_rows(dim, spec), 1, dtype=torch.float64, generator=generator)
    table.requires_grad_()

    def features(coords, table):
        return reference.hash_grid(coords, table, spec)

    assert torch.autograd.gradcheck(features, (coords, table))
    assert torch.autograd.gradgradcheck(features, (coords, table))


def test_the_mlp_twin_is_a_stack_of_linear_layers():
    spec = SimpleNamespace(
        width=4,
        depth=1,
        channels=2,
        bias=True,
        activation="relu",
        output_activation="sigmoid",
        first_omega=1.0,
        omega=1.0,
    )
    generator = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2), torch.nn.Sigmoid()
    ).double()
    params = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    assert params.numel() == reference.num_params(3, spec)
    x = torch.randn(5, 3, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(reference.mlp(x, params, spec), model(x))


def test_touched_rows_are_those_that_the_samples_read():
    spec = grid(num_levels=1, base=8)  # scale 7, 8 vertices
    coords = torch.tensor([[0.5], [0.05]])  # positions 4 and 0.85
    assert reference.touched_rows(coords, spec).nonzero().flatten().tolist() == [0, 1, 4]
