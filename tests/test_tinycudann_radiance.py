"""Radiance fields travel to tiny-cuda-nn's two networks and back, and mean the same there."""

import numpy as np
import pytest
import reference_march
import torch
from test_tinycudann import GRID, NETWORK, layout, tiny_cuda_nn

from fields import FieldsError
from fields.models.radiance import RadianceField
from fields.tinycudann_radiance import (
    join,
    radiance_from_tinycudann,
    radiance_to_tinycudann,
    split,
)

CONFIG = {
    "encoding": GRID,
    "network": {**NETWORK, "n_hidden_layers": 1},
    "dir_encoding": {"otype": "SphericalHarmonics", "degree": 4},
    "rgb_network": {**NETWORK, "output_activation": "Sigmoid"},
}
# As instant-ngp's files have them: more that a direction may be joined with, the logistic outside.
AS_NGP = {
    **CONFIG,
    "dir_encoding": {
        "otype": "Composite",
        "nested": [{"n_dims_to_encode": 3, "otype": "SphericalHarmonics", "degree": 4},
                   {"otype": "Identity"}],
    },
    "rgb_network": NETWORK,
}  # fmt: skip


def their_params():
    """Of both models; those of the padding are random as well."""
    rng = np.random.default_rng(0)
    density = rng.normal(0, 0.5, layout(CONFIG, 3, 16)[2])
    rgb = rng.normal(0, 0.5, 32 * 16 + 16 * 16 + 16 * 16)
    return density, rgb


def instant_ngp(density, rgb, coords, directions):
    """What the documented rules make of both, in NumPy float64."""
    raw = tiny_cuda_nn(CONFIG, density, coords, 16)
    x = np.concatenate([raw, reference_march.harmonics(directions).numpy()], axis=1)
    for out, into, last in ((16, 32, False), (16, 16, False), (16, 16, True)):
        weight, rgb = rgb[: out * into].reshape(out, into), rgb[out * into :]
        x = x @ weight.T
        x = x if last else np.maximum(x, 0)
    return np.exp(raw[:, 0]), 1 / (1 + np.exp(-x[:, :3]))


def places(count=50):
    generator = torch.Generator().manual_seed(1)
    coords = torch.rand(count, 3, generator=generator)
    directions = torch.randn(count, 3, generator=generator)
    return coords, torch.nn.functional.normalize(directions, dim=1)


@pytest.mark.parametrize("config", [CONFIG, AS_NGP], ids=["plain", "instant-ngp"])
def test_a_field_computes_what_the_documented_rules_say(config):
    density, rgb = their_params()
    coords, directions = places()
    expected = instant_ngp(density, rgb, coords.double().numpy(), directions.double())
    field = radiance_from_tinycudann(config, *map(torch.from_numpy, (density, rgb)), occupancy=32)
    assert field.march.resolution == 32
    sigma, colours = field(coords, directions)
    np.testing.assert_allclose(sigma.detach().numpy(), expected[0], rtol=2e-4)
    np.testing.assert_allclose(colours.detach().numpy(), expected[1], rtol=2e-4, atol=1e-6)


def test_there_and_back_is_exact():
    field = RadianceField(num_levels=5, log2_table_size=8, colour_depth=2, seed=3)
    config, density, rgb = radiance_to_tinycudann(field)
    assert config["rgb_network"]["n_hidden_layers"] == 2
    assert config["rgb_network"]["output_activation"] == "Sigmoid"
    again = radiance_from_tinycudann(config, density, rgb)
    for ours, theirs in zip(field.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert field.spec == again.spec


def test_one_vector_of_instant_ngp_is_two_of_ours():
    density, rgb = map(torch.from_numpy, their_params())
    grid = density.numel() - 16 * 16 - 16 * 16
    whole = join(density, rgb, grid)
    assert torch.equal(whole[:512], density[:512])
    assert torch.equal(whole[512 : 512 + rgb.numel()], rgb)
    for ours, theirs in zip(split(whole, rgb.numel(), grid), (density, rgb), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dir_encoding": {"otype": "Frequency"}}, "SphericalHarmonics of degree 4"),
        ({"dir_encoding": {"otype": "SphericalHarmonics", "degree": 3}}, "of degree 4"),
        ({"network": {**NETWORK, "output_activation": "Sigmoid"}}, "output_activation None"),
        ({"rgb_network": {**NETWORK, "activation": "Sine"}}, "activation ReLU"),
        ({"rgb_network": None}, "rgb_network"),
        ({"encoding": {**GRID, "n_levels": 4}}, "density must hold"),
        ({"rgb_network": {**NETWORK, "n_hidden_layers": 1}}, "colour must hold"),
    ],
)
def test_what_is_not_the_same_here_is_refused(change, message):
    density, rgb = map(torch.from_numpy, their_params())
    with pytest.raises(FieldsError, match=message):
        radiance_from_tinycudann({**CONFIG, **change}, density, rgb)


@pytest.mark.parametrize("settings", [{"dim": 4}, {"degree": 2}])
def test_a_field_that_has_no_place_there_is_refused(settings):
    with pytest.raises(FieldsError, match="3 coordinates with degree 4"):
        radiance_to_tinycudann(RadianceField(log2_table_size=8, **settings))


@pytest.mark.cuda
def test_tiny_cuda_nn_itself_agrees():
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    tcnn = pytest.importorskip("tinycudann", reason="tiny-cuda-nn is not installed")
    field = RadianceField(num_levels=5, log2_table_size=12, colour_depth=2)
    with torch.no_grad():
        field.table.normal_(0, 0.3)
    config, density, rgb = radiance_to_tinycudann(field)
    grid = tcnn.NetworkWithInputEncoding(3, 16, config["encoding"], config["network"])
    harmonics = tcnn.Encoding(3, config["dir_encoding"])
    network = tcnn.Network(32, 3, config["rgb_network"])
    with torch.no_grad():
        grid.params.copy_(density)
        network.params.copy_(rgb)
    coords, directions = places(256)
    raw = grid(coords.cuda())
    along = harmonics((directions.cuda() + 1) / 2)
    theirs = network(torch.cat([raw, along], 1)).float().cpu()
    sigma, colours = field(coords, directions)
    torch.testing.assert_close(raw[:, 0].float().cpu(), sigma.log(), rtol=0.02, atol=0.02)
    torch.testing.assert_close(theirs, colours, rtol=0.02, atol=0.02)
