"""Many small fields at once: values and steps against their twins, one field and one thread at a
time against all, edges and errors."""

import pytest
import reference_plane_fields as reference
import torch

from fields import ops

SETTINGS = {"lr_planes": 1e-2, "lr_params": 1e-3, "final_share": 0.1}


def spec_of(width=32, depth=2, channels=1, activation="sine", octaves=2):
    omegas = {"first_omega": 30.0, "omega": 30.0} if activation == "sine" else {}
    return ops.PlaneFieldSpec(
        ops.MlpSpec(width, depth, channels, True, activation, **omegas), octaves
    )


def make_fields(spec, fields=3, resolution=7, features=16, seed=0):
    """Planes [F, 3, R, R, C] and params [F, n] that give values of about 1."""
    generator = torch.Generator().manual_seed(seed)
    planes = 0.1 * torch.randn(fields, 3, resolution, resolution, features, generator=generator)
    numbers = spec.num_params(features)
    params = torch.rand(fields, numbers, generator=generator) * 2 - 1
    return planes, params * (0.02 if spec.mlp.activation == "sine" else 0.3)


def make_pool(spec, fields=3, count=500, seed=1):
    """Samples [F, count, 3 + channels] and a key for each field."""
    generator = torch.Generator().manual_seed(seed)
    samples = torch.rand(fields, count, 3 + spec.mlp.channels, generator=generator)
    samples[..., 3:] = (samples[..., 3:] * 3 - 1.5).clamp(-1, 1)
    keys = torch.randint(-(2**62), 2**62, (fields,), generator=generator)
    return samples, keys


def fitted(samples, keys, planes, params, spec, **settings):
    """State after the steps ((planes, m, v), (params, m, v)), and the losses."""
    states = [(t.clone(), torch.zeros_like(t), torch.zeros_like(t)) for t in (planes, params)]
    losses = ops.fit_plane_fields(samples, keys, *states, spec, **{**SETTINGS, **settings})
    return *states, losses


def change_error(actual, expected, start):
    wanted = expected - start.double()
    return ((actual.double() - start - wanted).norm() / wanted.norm()).item()


@pytest.mark.kernel
@pytest.mark.parametrize("activation", ["sine", "relu"])
@pytest.mark.parametrize(("features", "octaves"), [(1, 0), (5, 3), (16, 2), (24, 1)])
@pytest.mark.parametrize("count", [0, 1, 63, 64, 130, 5000])
def test_values_equal_the_twins(activation, features, octaves, count):
    spec = spec_of(24, 2, 2, activation, octaves)
    planes, params = make_fields(spec, features=features)
    coords = torch.rand(3, count, 3, generator=torch.Generator().manual_seed(2))
    values = ops.plane_fields(coords, planes, params, spec)
    assert values.shape == (3, count, 2)
    for i in range(3):
        wanted = reference.field(coords[i].double(), planes[i].double(), params[i].double(), spec)
        torch.testing.assert_close(values[i].double(), wanted, rtol=0, atol=3e-4)


@pytest.mark.kernel
@pytest.mark.parametrize("loss", list(ops.PLANE_FIELD_LOSSES))
@pytest.mark.parametrize("activation", ["sine", "relu"])
def test_the_first_step_equals_autograd_and_torchs_adam(loss, activation):
    spec = spec_of(activation=activation)
    planes, params = make_fields(spec)
    samples, keys = make_pool(spec)
    if loss == "binary":
        samples[..., 3:] = (samples[..., 3:] > 0).float()
    # A large eps makes the update nearly linear in the gradient: it can be compared closely.
    settings = {"steps": 1, "batch": 200, "loss": loss, "eps": 1e-3}
    (planes_1, *_), (params_1, *_), losses = fitted(samples, keys, planes, params, spec, **settings)
    for i in range(3):
        state = (samples[i], planes[i], params[i])
        doubles = [t.double() for t in state]
        wanted = reference.fit(
            doubles[0], int(keys[i]), *doubles[1:], spec, betas=(0.9, 0.99), **settings, **SETTINGS
        )
        assert change_error(planes_1[i], wanted[0], planes[i]) < 1e-3
        assert change_error(params_1[i], wanted[1], params[i]) < 1e-3
        torch.testing.assert_close(losses[i].double(), wanted[2], rtol=1e-4, atol=1e-6)


@pytest.mark.kernel
@pytest.mark.parametrize("batch", [1, 64, 100, 333])
def test_several_steps_equal_autograd_and_torchs_adam(batch):
    spec = spec_of(16, 1, 3, "relu", 1)
    planes, params = make_fields(spec, features=8)
    samples, keys = make_pool(spec)
    settings = {"steps": 5, "batch": batch, "loss": "l2", "eps": 1e-3}
    (planes_1, *_), (params_1, *_), losses = fitted(samples, keys, planes, params, spec, **settings)
    for i in range(3):
        doubles = [t.double() for t in (samples[i], planes[i], params[i])]
        wanted = reference.fit(
            doubles[0], int(keys[i]), *doubles[1:], spec, betas=(0.9, 0.99), **settings, **SETTINGS
        )
        assert change_error(planes_1[i], wanted[0], planes[i]) < 1e-3
        assert change_error(params_1[i], wanted[1], params[i]) < 1e-3
        torch.testing.assert_close(losses[i].double(), wanted[2], rtol=1e-4, atol=1e-6)


def flat(state):
    return [tensor for part in state for tensor in (part if isinstance(part, tuple) else [part])]


def test_a_field_is_the_same_bits_alone_and_for_any_number_of_threads():
    spec = spec_of()
    planes, params = make_fields(spec, fields=5)
    samples, keys = make_pool(spec, fields=5)
    settings = {"steps": 4, "batch": 130}
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(flat(fitted(samples, keys, planes, params, spec, **settings)))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
    one = slice(3, 4)
    alone = fitted(samples[one], keys[one], planes[one], params[one], spec, **settings)
    for a, b in zip(flat(alone), results[0], strict=True):
        assert torch.equal(a, b[one])


def test_a_fit_in_two_calls_equals_one():
    spec = spec_of()
    planes, params = make_fields(spec)
    samples, keys = make_pool(spec)
    whole = flat(fitted(samples, keys, planes, params, spec, steps=7, batch=64))
    states = [(t.clone(), torch.zeros_like(t), torch.zeros_like(t)) for t in (planes, params)]
    losses = [
        ops.fit_plane_fields(
            samples, keys, *states, spec, steps=n, first_step=first, total=7, batch=64, **SETTINGS
        )
        for first, n in ((1, 3), (4, 4))
    ]
    for a, b in zip(flat([*states, torch.cat(losses, 1)]), whole, strict=True):
        assert torch.equal(a, b)


def test_no_fields_no_points_and_no_steps():
    spec = spec_of()
    planes, params = make_fields(spec, fields=0)
    assert ops.plane_fields(torch.zeros(0, 9, 3), planes, params, spec).shape == (0, 9, 1)
    samples, keys = make_pool(spec, fields=0)
    *_, losses = fitted(samples, keys, planes, params, spec, steps=3)
    assert losses.shape == (0, 3)
    planes, params = make_fields(spec)
    samples, keys = make_pool(spec)
    (same, *_), _, losses = fitted(samples, keys, planes, params, spec, steps=0)
    assert losses.shape == (3, 0) and torch.equal(same, planes)


def test_coordinates_outside_and_nan_are_clamped():
    spec = spec_of()
    planes, params = make_fields(spec, fields=1)
    nan, inf = float("nan"), float("inf")
    wild = torch.tensor([[[nan, -3.0, 7.0], [inf, -inf, 0.5]]])
    tame = torch.tensor([[[0.0, 0.0, 1.0], [1.0, 0.0, 0.5]]])
    values = ops.plane_fields(wild, planes, params, spec)
    assert torch.equal(values, ops.plane_fields(tame, planes, params, spec))


def test_a_nan_in_the_pool_reaches_the_loss():
    spec = spec_of()
    planes, params = make_fields(spec)
    samples, keys = make_pool(spec, count=20)
    samples[1, :, 3] = float("nan")
    losses = fitted(samples, keys, planes, params, spec, steps=2, batch=64)[2]
    assert losses[1].isnan().all() and losses[[0, 2]].isfinite().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": torch.zeros(3, 500, 3)}, "samples must be"),
        ({"samples": torch.zeros(3, 0, 4)}, "samples must not be empty"),
        ({"samples": torch.zeros(3, 500, 4, dtype=torch.float64)}, "samples is"),
        ({"keys": torch.zeros(2, dtype=torch.int64)}, "keys must be"),
        ({"keys": torch.zeros(3)}, "keys must be int64"),
        ({"planes": torch.zeros(3, 3, 7, 6, 16)}, "planes must be"),
        ({"planes": torch.zeros(2, 3, 7, 7, 16)}, "params must be"),
        ({"params": torch.zeros(3, 5)}, "params must be"),
        ({"planes_m": torch.zeros(1)}, "planes_m must be"),
        ({"params_v": torch.zeros(3, 5)}, "params_v must be"),
        ({"loss": "huber"}, "loss must be one of"),
        ({"batch": 0}, "batch must be from 1"),
        ({"steps": -1}, "steps must be from 0"),
        ({"first_step": 0}, "first_step must be from 1"),
        ({"final_share": 0.0}, "final_share must be"),
    ],
)
def test_wrong_inputs_are_refused(change, message):
    spec = spec_of()
    planes, params = make_fields(spec)
    samples, keys = make_pool(spec)
    given = {"samples": samples, "keys": keys, "planes": planes, "params": params}
    for name in ("planes", "params"):
        given[name] = change.get(name, given[name])
        for suffix in ("_m", "_v"):
            given[name + suffix] = torch.zeros_like(given[name])
    given |= {"loss": "l2", "batch": 64, "steps": 1, "first_step": 1, "final_share": 0.1} | change
    states = [tuple(given.pop(n + s) for s in ("", "_m", "_v")) for n in ("planes", "params")]
    with pytest.raises(ValueError, match=message):
        ops.fit_plane_fields(given.pop("samples"), given.pop("keys"), *states, spec, **given)


def test_wrong_points_and_specs_are_refused():
    spec = spec_of()
    planes, params = make_fields(spec)
    with pytest.raises(ValueError, match=r"coords must be \[3, 4, 3\]"):
        ops.plane_fields(torch.zeros(2, 4, 3), planes, params, spec)
    with pytest.raises(ValueError, match="octaves must be from 0 to 16"):
        ops.PlaneFieldSpec(spec.mlp, 17)
    with pytest.raises(ValueError, match="float32"):
        ops.PlaneFieldSpec(ops.MlpSpec(32, 2, 1, precision="bf16"))


def test_opcheck():
    spec = spec_of()
    planes, params = make_fields(spec)
    samples, keys = make_pool(spec)
    coords = torch.rand(3, 10, 3)
    namespace = torch.ops.fields
    torch.library.opcheck(namespace.plane_fields.default, (coords, planes, params, *spec.args()))
    states = [t for p in (planes, params) for t in (p, torch.zeros_like(p), torch.zeros_like(p))]
    rest = (5, 64, 1, 2, 2, 1e-2, 1e-3, 0.1, 0.9, 0.99, 1e-15)
    torch.library.opcheck(
        namespace.fit_plane_fields.default, (samples, keys, *states, *spec.args(), *rest)
    )
