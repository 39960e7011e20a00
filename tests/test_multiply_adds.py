"""The multiply-adds that configurations tell are those of their methods."""

import pytest

from fields import catalogue
from fields.configs import (
    CamConfig,
    Config,
    FourierConfig,
    HashGridConfig,
    RbfConfig,
    SirenConfig,
)


@pytest.mark.parametrize("name", catalogue.MODELS)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_every_model_tells_its_multiply_adds(name, dim):
    if name == "triplane" and dim == 1:
        pytest.skip("planes span two axes")
    kind = catalogue.find(name).config
    one, more = kind(1, dim).multiply_adds, kind(4, dim).multiply_adds
    assert 0 < one < more < 10**6


def test_a_network_has_one_for_each_weight():
    config = SirenConfig(3, 2, width=256, depth=3)
    biases = 3 * 256 + 3
    assert config.multiply_adds == config.parameters - biases
    assert FourierConfig(3, 2, frequencies=10, width=8, depth=1).multiply_adds == 20 + 160 + 24


def test_a_hash_grid_interpolates_its_features():
    config = HashGridConfig(3, 3, num_levels=4, features_per_level=2, width=16, depth=1)
    assert config.multiply_adds == 8 * 8 + 8 * 16 + 16 * 3
    assert HashGridConfig(3, 2, num_levels=4, depth=0).multiply_adds == 4 * 8 + 8 * 3


def test_kernels_have_the_published_share_of_a_three_layer_mlp():
    # Bouzidi et al. 2025: about 78 % of 32-64-64-49.
    grid = {"num_levels": 16, "features_per_level": 2, "growth": 1.2}
    rbf = RbfConfig(49, 2, kernels=64, **grid).multiply_adds - 4 * 32
    mlp = HashGridConfig(49, 2, width=64, depth=2, **grid).multiply_adds - 4 * 32
    assert (rbf, mlp) == (7232, 9280)


def test_kernels_count_their_encoder_and_their_affine_part():
    small = {"num_levels": 2, "features_per_level": 4, "base_resolution": 4, "kernels": 1}
    plain = RbfConfig(1, 3, encoder="triplane", **small)
    assert plain.multiply_adds == 2 * 8 + 1 + 3 * 4 * 8 + 2 * 8
    periodic = {**small, "encoder": "dif", "affine": True}
    assert RbfConfig(1, 2, **periodic, coefficients=False).multiply_adds == 2 * 6 + 1 + 6 + 4 * 6
    assert RbfConfig(1, 2, **periodic).multiply_adds == 2 * 6 + 1 + 6 + (4 + 4 + 1) * 6


def test_modulation_is_counted_on_top_of_the_network():
    size = {"frequencies": 8, "width": 16, "depth": 2}
    bare = CamConfig(3, 2, grids=False, normalise="none", **size).multiply_adds
    assert bare == FourierConfig(3, 2, **size).multiply_adds
    assert CamConfig(3, 2, grids=False, **size).multiply_adds == bare + 2 * 2 * 16
    assert CamConfig(3, 2, normalise="none", **size).multiply_adds == bare + 2 * (2 * 4 + 16)
    each = CamConfig(3, 2, normalise="none", modulation="feature", **size).multiply_adds
    assert each == bare + 2 * (2 * 4 * 16 + 16)


def test_a_configuration_of_no_model_tells_none():
    with pytest.raises(NotImplementedError):
        _ = Config(1).multiply_adds
