"""Weights and configurations travel to tiny-cuda-nn and back, and mean the same there."""

import itertools
import json

import numpy as np
import pytest
import reference
import torch

from fields import HashGrid, ops
from fields.tinycudann import from_tinycudann, to_tinycudann

GRID = {
    "otype": "HashGrid",
    "n_levels": 5,
    "n_features_per_level": 2,
    "log2_hashmap_size": 8,
    "base_resolution": 4,
    "per_level_scale": 1.5,
}
NETWORK = {
    "otype": "FullyFusedMLP",
    "activation": "ReLU",
    "output_activation": "None",
    "n_neurons": 16,
    "n_hidden_layers": 2,
}


def config(**changes):
    """A small configuration, its sections changed by name__setting."""
    result = {"encoding": dict(GRID), "network": dict(NETWORK)}
    for name, value in changes.items():
        section, _, setting = name.partition("__")
        result[section][setting] = value
    return result


def layout(config, dim, channels):
    """By the documented rules: the grid's geometry, the padded matrices, the numbers of both."""
    grid, network = config["encoding"], config["network"]
    spec = ops.GridSpec(
        grid["n_levels"], grid["base_resolution"], grid["per_level_scale"],
        grid["log2_hashmap_size"], grid.get("interpolation") == "Smoothstep",
    )  # fmt: skip
    sizes = [spec.num_levels * grid["n_features_per_level"]]
    sizes += [network["n_neurons"]] * network["n_hidden_layers"] + [channels]
    sizes[0], sizes[-1] = (-(-size // 16) * 16 for size in (sizes[0], sizes[-1]))
    shapes = [(out, into) for into, out in itertools.pairwise(sizes)]
    numbers = reference.num_rows(dim, spec) * grid["n_features_per_level"]
    return spec, shapes, numbers + sum(out * into for out, into in shapes)


def tiny_cuda_nn(config, params, coords, channels):
    """What the documented rules make of a configuration and its parameters, in NumPy float64."""
    network = config["network"]
    spec, shapes, _ = layout(config, coords.shape[1], channels)
    start = sum(out * into for out, into in shapes)
    table = params[start:].reshape(-1, config["encoding"]["n_features_per_level"])
    x = reference.hash_grid_numpy(coords, table, spec)
    x = np.pad(x, ((0, 0), (0, shapes[0][1] - x.shape[1])))
    for index, (out, into) in enumerate(shapes):
        weight, params = params[: out * into].reshape(out, into), params[out * into :]
        x = x @ weight.T
        if index < len(shapes) - 1:
            x = np.maximum(x, 0) if network["activation"] == "ReLU" else np.sin(x)
    last = {"None": x, "Sigmoid": 1 / (1 + np.exp(-x)), "Exponential": np.exp(x)}
    return last[network["output_activation"]][:, :channels]


def random_params(config, dim, channels):
    """Parameters of a configuration; those of the padding are random as well."""
    return np.random.default_rng(0).normal(0, 0.5, layout(config, dim, channels)[2])


CASES = {
    "plain": ({}, 2, 3),
    "3d": ({"encoding__n_levels": 3}, 3, 1),
    "4d": ({"encoding__n_levels": 2, "encoding__base_resolution": 3}, 4, 20),
    "16 inputs, 16 outputs": ({"encoding__n_levels": 8}, 2, 16),
    "smoothstep": ({"encoding__interpolation": "Smoothstep"}, 2, 3),
    "sine": ({"network__activation": "Sine"}, 2, 3),
    "sigmoid": ({"network__output_activation": "Sigmoid"}, 2, 3),
    "exponential": ({"network__output_activation": "Exponential"}, 2, 1),
    "cutlass": ({"network__otype": "CutlassMLP", "network__n_neurons": 24}, 2, 3),
    "one layer": ({"network__otype": "CutlassMLP", "network__n_hidden_layers": 0}, 2, 3),
    "4 features": ({"encoding__n_features_per_level": 4}, 2, 3),
}  # fmt: skip
cases = pytest.mark.parametrize("changes, dim, channels", CASES.values(), ids=CASES.keys())


@cases
def test_a_field_computes_what_the_documented_rules_say(changes, dim, channels):
    theirs = config(**changes)
    params = random_params(theirs, dim, channels)
    coords = np.random.default_rng(1).random((50, dim))
    expected = tiny_cuda_nn(theirs, params, coords, channels)
    field = from_tinycudann(theirs, torch.from_numpy(params), dim, channels)
    values = field(torch.from_numpy(coords).float()).detach().numpy()
    np.testing.assert_allclose(values, expected, rtol=2e-4, atol=2e-4)


@cases
def test_what_comes_back_is_what_went_but_for_the_padding(changes, dim, channels):
    theirs = config(**changes)
    params = torch.from_numpy(random_params(theirs, dim, channels)).float()
    field = from_tinycudann(theirs, params, dim, channels)
    back, returned = to_tinycudann(field)
    for section in ("encoding", "network"):
        assert {k: back[section][k] for k in theirs[section]} == theirs[section]
    assert len(returned) == len(params)
    kept = returned != 0
    assert torch.equal(returned[kept], params[kept])
    assert int(kept.sum()) == field.params.numel() + field.table.numel()
    again = from_tinycudann(back, returned, dim, channels)
    assert torch.equal(again.params, field.params) and torch.equal(again.table, field.table)


def test_a_configuration_that_we_write_is_json_and_complete():
    back, _ = to_tinycudann(HashGrid(3, log2_table_size=8))
    assert json.loads(json.dumps(back)) == back
    assert set(back["encoding"]) == {*GRID, "interpolation"}
    assert set(back["network"]) == set(NETWORK)


def test_what_is_left_out_has_the_documented_default():
    written = {
        "encoding": {
            "n_levels": 16, "n_features_per_level": 2, "log2_hashmap_size": 19,
            "base_resolution": 16, "per_level_scale": 2.0, "interpolation": "Linear",
        },
        "network": {
            "n_neurons": 128, "n_hidden_layers": 5, "activation": "ReLU",
            "output_activation": "None",
        },
    }  # fmt: skip
    params = torch.zeros(layout(written, 2, 3)[2])
    short = {"encoding": {"otype": "Grid"}, "network": {"otype": "cutlassmlp"}}
    back, _ = to_tinycudann(from_tinycudann(short, params, 2, 3))
    for section, settings in written.items():
        assert {k: v for k, v in back[section].items() if k != "otype"} == settings


def test_half_precision_parameters_become_float32():
    params = torch.from_numpy(random_params(config(), 2, 3)).half()
    assert from_tinycudann(config(), params, 2, 3).params.dtype == torch.float32


@pytest.mark.parametrize(
    "changes, supported",
    [
        ({"encoding__otype": "Frequency"}, "HashGrid, Grid"),
        ({"encoding__otype": "TiledGrid"}, "HashGrid, Grid"),
        ({"encoding__type": "Dense"}, "Hash"),
        ({"encoding__interpolation": "Nearest"}, "Linear, Smoothstep"),
        ({"encoding__hash": "Prime"}, "CoherentPrime"),
        ({"encoding__n_features": 32}, "n_levels, n_features_per_level"),
        ({"encoding__n_features_per_level": 3}, "1, 2, 4 or 8"),
        ({"network__otype": "CutlassResNet"}, "FullyFusedMLP, CutlassMLP"),
        ({"network__activation": "Squareplus"}, "ReLU, Sine"),
        ({"network__output_activation": "Softplus"}, "None, Sigmoid, Exponential"),
        ({"network__n_blocks": 2}, "n_neurons, n_hidden_layers"),
    ],
)
def test_what_is_not_supported_is_refused_with_what_is(changes, supported):
    with pytest.raises(ValueError) as error:
        from_tinycudann(config(**changes), torch.zeros(0), 2, 3)
    assert supported in str(error.value) and "\n" not in str(error.value)


def test_a_section_that_is_missing_is_refused():
    with pytest.raises(ValueError, match=r"network\.otype"):
        from_tinycudann({"encoding": GRID}, torch.zeros(0), 2, 3)


@pytest.mark.parametrize(
    "field, reason",
    [
        ({"bias": True}, "no biases"),
        ({"output_activation": "softplus"}, "output_activation"),
        ({"dim": 1}, "2, 3 or 4 dimensions"),
    ],
)
def test_a_field_that_has_no_place_there_is_refused(field, reason):
    with pytest.raises(ValueError, match=reason):
        to_tinycudann(HashGrid(3, **{"log2_table_size": 8, **field}))


@pytest.mark.cuda
@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("interpolation", ["Linear", "Smoothstep"])
def test_tiny_cuda_nn_itself_agrees(dim, interpolation):
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    tcnn = pytest.importorskip("tinycudann", reason="tiny-cuda-nn is not installed")
    theirs = config(encoding__interpolation=interpolation, encoding__log2_hashmap_size=12)
    model = tcnn.NetworkWithInputEncoding(dim, 3, theirs["encoding"], theirs["network"])
    with torch.no_grad():
        model.params.normal_(0, 0.3)
    field = from_tinycudann(theirs, model.params, dim, 3).cpu()
    coords = torch.rand(256, dim)
    # Theirs rounds to half precision at every layer.
    torch.testing.assert_close(
        field(coords), model(coords.cuda()).float().cpu(), rtol=0.02, atol=0.02
    )
    back, params = to_tinycudann(field)
    twin = tcnn.NetworkWithInputEncoding(dim, 3, back["encoding"], back["network"])
    with torch.no_grad():
        twin.params.copy_(params)
    assert torch.equal(twin(coords.cuda()), model(coords.cuda()))
