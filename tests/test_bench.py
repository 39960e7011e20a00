"""The benchmarks measure what they say: peers compute the same, ratios are those of the timings."""

import json

import pytest
import torch
from bench_command import check_rows, command

from fields import ops
from fields.bench import (
    cam_contest,
    drjit_peer,
    field_contest,
    kernels,
    machine,
    network_contest,
    rbf_contest,
    report,
    timing,
)
from fields.bench.contest import Contest
from fields.bench.field_work import FieldWork
from fields.bench.grid_contest import peer
from fields.bench.group import GROUPS, measure
from fields.bench.own_engines import FieldEngine, FusedEngine, LoopEngine
from fields.bench.torch_grid import LOOKUPS, TorchField
from fields.bench.torch_peer import MODES
from fields.bench.workload import Workload

PICTURE = Workload(log2_table_size=10, batch=512, points=32 * 32)
SCENE = Workload(dim=3, channels=4, log2_table_size=10, growth=1.4, batch=512, points=1000)

needs_drjit = pytest.mark.skipif(drjit_peer.why_not() is not None, reason=str(drjit_peer.why_not()))


# ---- timing


def test_a_spread_is_median_and_quartiles():
    assert timing.spread([3.0, 1.0, 2.0, 5.0, 4.0]) == timing.Spread(3.0, 2.0, 4.0)
    assert timing.spread([7.0]) == timing.Spread(7.0, 7.0, 7.0)


def test_ratios_are_taken_within_a_round():
    # The machine slows down in the last round, for both alike.
    assert timing.ratios([4.0, 4.0, 40.0], [1.0, 1.0, 10.0]) == timing.Spread(4.0, 4.0, 4.0)


def test_engines_run_in_turn():
    order = []
    measures = {name: lambda name=name: order.append(name) or float(len(order)) for name in "ABC"}
    values = timing.interleave(measures, rounds=2, pause=0)
    assert "".join(order) == "ABCABC"
    assert values == {"A": [1, 4], "B": [2, 5], "C": [3, 6]}


def test_a_slice_lasts_as_long_as_asked_and_leaves_its_first_call_out():
    calls = []
    seconds = timing.seconds_per_call(lambda: calls.append(0), 0.01)()
    assert 0.01 <= seconds * (len(calls) - 1) < 0.1


def test_the_fastest_variant_is_that_of_the_least_median():
    values = {"a": [1.0, 9.0, 9.0], "b": [2.0, 2.0, 20.0]}
    assert timing.fastest(values, ["a", "b"]) == "b"


# ---- peers


@pytest.mark.parametrize("work", [PICTURE, SCENE], ids=["2d", "3d"])
@pytest.mark.parametrize(
    ("lookup", "by_corner"),
    [(lookup, False) for lookup in LOOKUPS] + [(lookup, True) for lookup in LOOKUPS[:2]],
)
def test_plain_torch_has_the_values_and_gradients_of_the_kernels(work, lookup, by_corner):
    generator = torch.Generator().manual_seed(5)
    coords = torch.rand(700, work.dim, generator=generator)
    coords[:2] = torch.tensor([[0.0], [1.0]])  # the borders, where rows of dense levels wrap
    targets = torch.rand(700, work.channels, generator=generator)
    field = TorchField(work, lookup, by_corner=by_corner)
    with torch.no_grad():
        field.grid.table.copy_(torch.randn(field.grid.table.shape, generator=generator))
    table = field.grid.table.detach().clone().requires_grad_()
    params = work.weights()[1].requires_grad_()
    values = ops.grid_mlp(coords, table, params, work.grid, work.mlp())
    # At a resolution of 2000 a float32 position is known to 1e-4 of a cell.
    torch.testing.assert_close(field(coords), values, rtol=1e-3, atol=1e-3)

    torch.nn.functional.mse_loss(values, targets).backward()
    torch.nn.functional.mse_loss(field(coords), targets).backward()
    weights = torch.cat([gradient(weight).flatten() for weight in field.weights])
    for theirs, ours in [(weights, params), (gradient(field.grid.table), table)]:
        assert (theirs - gradient(ours)).norm() < 1e-3 * gradient(ours).norm()


def gradient(parameter):
    assert parameter.grad is not None
    return parameter.grad


def losses(engine, steps=6):
    return torch.tensor([float(engine.step(i)) for i in range(steps)])


@pytest.fixture(scope="module")
def own_losses():
    return losses(FusedEngine(PICTURE))


def test_training_steps_fall_at_all():
    result = losses(FusedEngine(PICTURE), 40)
    assert result[-5:].mean() < 0.5 * result[0]


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_plain_torch_has_our_loss_curve(own_losses, lookup):
    torch.testing.assert_close(losses(peer(PICTURE, lookup)), own_losses, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("fused", [True, False])
def test_a_users_own_loop_has_our_loss_curve(own_losses, fused):
    result = losses(LoopEngine(PICTURE, fused=fused))
    torch.testing.assert_close(result, own_losses, rtol=2e-3, atol=1e-5)


@needs_drjit
@pytest.mark.parametrize("frozen", [False, True], ids=["traced", "frozen"])
def test_drjit_has_our_loss_curve(own_losses, frozen):
    # Not to the last digit: its rows beyond the borders of the grid are others.
    result = losses(drjit_peer.DrjitPeer(PICTURE, frozen=frozen))
    torch.testing.assert_close(result, own_losses, rtol=1e-2, atol=1e-4)


@needs_drjit
@pytest.mark.parametrize("work", [PICTURE, SCENE], ids=["2d", "3d"])
def test_drjit_has_our_values_inside(work):
    inside = ((work.coords > 0.05) & (work.coords < 0.93)).all(1)
    ours = FusedEngine(work).infer()
    theirs = drjit_peer.DrjitPeer(work, frozen=False).values()
    error = (theirs - ours)[inside].abs()
    assert error.max() < 2e-3 * ours.abs().max()


def test_plain_torch_infers_what_the_module_does():
    ours = FusedEngine(PICTURE).infer()
    theirs = peer(PICTURE, "index").infer()
    assert theirs.shape == (32 * 32, 3)
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-8)


SETTINGS = {
    "siren": {"width": 32, "depth": 2},
    "cam": {"width": 16, "depth": 2, "frequencies": 8, "grid_size": 5},
    "rbf": {"num_levels": 4, "log2_table_size": 10, "kernels": 8},
}
PEERS = [
    ("siren", network_contest, network_contest.WAYS),
    ("cam", cam_contest, cam_contest.WAYS),
    ("rbf", rbf_contest, rbf_contest.WAYS),
]


@pytest.mark.parametrize(
    ("model", "contest", "way"),
    [(model, contest, way) for model, contest, ways in PEERS for way in ways],
)
def test_models_in_plain_torch_have_our_loss_curve_and_values(model, contest, way):
    work = FieldWork(batch=512, points=32 * 32, model=model, settings=SETTINGS[model])
    theirs, ours = contest.peer(work, way), FieldEngine(work)
    torch.testing.assert_close(theirs.infer(), ours.infer(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(losses(theirs), losses(ours), rtol=2e-3, atol=1e-5)
    torch.testing.assert_close(theirs.infer(), ours.infer(), rtol=2e-2, atol=2e-3)


def test_a_network_that_is_trained_from_its_coordinates_on_needs_no_gradient_of_them():
    mlp = ops.MlpSpec(8, 2, 3)
    assert field_contest.of_network(mlp, 2, "infer") == 16 + 64 + 24
    assert field_contest.of_network(mlp, 2, "step") == 2 * 16 + 3 * 64 + 3 * 24


# ---- rows


def synthetic(work=PICTURE):
    """A contest with timings made up: peers in two variants, of which the second is faster."""
    contest = Contest(work, FusedEngine, rounds=3)
    contest.variants = {
        "fields": ["fields: "],
        "fields bf16": ["fields bf16: "],
        "torch.compile": ["torch.compile: a", "torch.compile: b"],
    }
    contest.values = {
        "float32": [1e9, 1e9, 0.5e9],
        "bf16": [4e9, 4e9, 2e9],
        "fields: ": [0.01, 0.01, 0.02],
        "fields bf16: ": [0.005, 0.005, 0.01],
        "torch.compile: a": [0.09, 0.09, 0.18],
        "torch.compile: b": [0.05, 0.04, 0.10],
    }
    contest.absent = {"drjit": "drjit is not installed; pip install drjit"}
    return contest


def test_figures_follow_from_the_timings():
    contest = synthetic()
    rows = contest.rows("2D training step", samples=1000, multiply_adds=4000)
    contest.compare(rows, "fields bf16", "times_float32", "fields")
    fused, bf16, compiled, drjit = rows
    assert fused["samples_per_second"] == pytest.approx(1e5)
    assert fused["times_compile"] == pytest.approx(5)
    assert fused["times_compile_q1"] == pytest.approx(4.5)
    assert fused["share_of_peak"] == pytest.approx(4000 * 1e5 / 1e9)
    assert bf16["share_of_peak"] == pytest.approx(4000 * 2e5 / 4e9)
    assert bf16["times_float32"] == pytest.approx(2)
    assert compiled["variant"] == "b"
    assert compiled["samples_per_second"] == pytest.approx(1000 / 0.05)
    assert drjit == {
        "work": "2D training step",
        "engine": "drjit",
        "absent": "drjit is not installed; pip install drjit",
    }


def test_a_peer_that_fails_is_named_with_its_reason():
    contest = Contest(PICTURE, FusedEngine, rounds=1, quick=True)

    def broken():
        raise RuntimeError("no compiler\nand more")

    contest.enter("torch.compile", "default", "step", broken)
    (row,) = contest.rows("2D inference", 1, 1)
    assert row["absent"] == "RuntimeError: no compiler"


@pytest.mark.parametrize("method", ["step", "infer"])
def test_a_peer_that_computes_something_else_does_not_take_part(method):
    contest = Contest(PICTURE, FusedEngine, rounds=1, quick=True)
    wrong = peer(PICTURE, "index")
    with torch.no_grad():
        wrong.field.weights[-1].zero_()
    contest.enter("torch.compile", "default", method, lambda: wrong)
    assert not contest.variants
    assert contest.absent["torch.compile"].startswith("ValueError: wrong: its ")


def test_modes_of_the_compiler_are_those_that_torch_knows():
    known = torch._inductor.list_mode_options()
    assert set(MODES) <= known.keys()


@pytest.mark.parametrize("name", ["train", "infer", "mlp", "siren", "cam-small", "rbf"])
def test_a_group_gives_rows(name):
    found = measure(name, rounds=2, threads=None, quick=True)
    check_rows(found["rows"])
    own = [row for row in found["rows"] if row["engine"] == "fields"]
    assert own and own[0]["samples_per_second"] > 0 and 0 < own[0]["share_of_peak"]
    assert not [row for row in found["rows"] if row.get("absent", "").startswith("ValueError")]
    assert found["machine"]["kernels"] == ops.ACTIVE.cpu


def test_every_group_of_the_command_can_be_measured():
    assert kernels.GROUPS.keys() == GROUPS.keys()


def test_groups_are_asked_for_by_name_or_by_what_they_share():
    assert kernels.chosen("siren,mlp") == ["siren", "mlp"]
    assert {name for names in kernels.SETS.values() for name in names} == kernels.GROUPS.keys()
    assert kernels.chosen("models") == ["siren", "cam", "cam-small", "rbf"]


@pytest.mark.skipif(ops.ACTIVE.cpu == "base", reason="this processor has no AVX2")
def test_the_command_prints_one_json_object_and_forces_avx2():
    done = command("kernels", "--quick", "--json", "--only", "avx2")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result.keys() == {"machine", "commit", "rows"}
    assert result["machine"]["kernels"] == "avx2"
    check_rows(result["rows"])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("kernels", "--rounds", "2"), "--rounds"),
        (("kernels", "--threads", "0"), "--threads"),
        (("kernels", "--only", "cuda"), "cuda"),
        (("image", "--seeds", "0"), "--seeds"),
        (("image", "no/such/folder"), "no/such/folder"),
    ],
)
def test_wrong_options_get_a_line(arguments, word):
    done = command(*arguments)
    assert done.returncode == 2 and not done.stdout
    assert len(done.stderr.splitlines()) == 1 and word in done.stderr


def test_the_table_shows_medians_and_quartiles(capsys):
    contest = synthetic()
    rows = contest.rows("2D training step", 1000, 4000)
    about = {**machine.describe(1), "busy_before": 0.5}
    report.kernels({"machine": about, "commit": "0123456789abcdef", "rows": rows})
    out = capsys.readouterr().out
    assert "5.00 (4.50-5.00)" in out
    assert "fastest as b" in out and "absent: drjit is not installed" in out
    assert "not to be quoted" in out


# ---- the machine


def test_the_machine_is_described():
    about = machine.describe(2)
    assert about["threads"] == 2 and about["torch"] == torch.__version__
    assert about["busy_before"] is None or 0 <= about["busy_before"] <= 1
    assert json.loads(json.dumps(about)) == about


def test_a_commit_is_a_hash_or_nothing():
    commit = machine.commit()
    assert commit is None or len(commit.removesuffix("+")) == 40
