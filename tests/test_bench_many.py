"""The contest of many small fields: torch computes what our op does, on the same samples."""

import pytest
import reference_plane_fields as reference
import torch
from bench_command import check_rows

from fields import ops
from fields.bench import many_contest
from fields.bench.many_contest import ManyWork, Peer, draws
from fields.bench.torch_planes import LOOKUPS, TorchPlaneFields
from fields.many.options import ManyOptions


@pytest.fixture(scope="module")
def work():
    options = ManyOptions(resolution=8, channels=4, hidden=16, batch=100, pool=2000, steps=50)
    return ManyWork(options, count=3, steps=4)


def test_batches_are_those_that_the_op_draws(work):
    for step in (1, 7):
        rows = draws(work.keys, step, 100, 2000)
        for key, own in zip(work.keys.tolist(), rows, strict=True):
            assert torch.equal(own, reference.draw(key, step, 100, 2000))


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_torch_has_the_values_of_our_op(work, lookup):
    coords = torch.rand(3, 200, 3, generator=torch.Generator().manual_seed(1))
    coords[0, :3] = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.5]])
    field = TorchPlaneFields(work.planes + 0.1, work.params, work.spec, lookup)
    wanted = ops.plane_fields(coords, work.planes + 0.1, work.params, work.spec)
    torch.testing.assert_close(field(coords).detach(), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_torch_takes_the_steps_of_our_op(work, lookup):
    planes, params = work.begun(3)
    losses = work.fit(3, (planes, params))
    peer = Peer(work, 3, lookup)
    theirs = torch.stack([peer.fits.step(batch) for batch in peer.batches], 1)
    torch.testing.assert_close(theirs, losses, rtol=2e-3, atol=0)
    rows = peer.fits.field.planes.detach()
    if lookup == "grid_sample":
        rows = rows.view(3, 3, 4, 8, 8).permute(0, 1, 3, 4, 2)
    moved = (rows.reshape_as(planes[0]) - work.planes).abs()
    assert moved.max() > 0.01
    apart = (rows.reshape_as(planes[0]) - planes[0]).norm() / moved.norm()
    assert apart < 0.05


def test_a_peer_that_computes_something_else_ends_the_contest(work):
    peer = Peer(work, 1, "grid_sample")
    with torch.no_grad():
        peer.fits.field.weights[0].mul_(1.5)
    with pytest.raises(RuntimeError, match=r"torch \(grid_sample\) has losses that differ"):
        work.compare({(1, "grid_sample"): peer})


def test_rows_compare_ours_with_one_at_a_time_and_with_torch():
    rows = many_contest.rows(quick=True)
    check_rows(rows)
    assert [row["engine"] for row in rows] == [
        "fields", "fields, one at a time", "torch eager", "torch eager, one at a time",
    ]  # fmt: skip
    assert all(row["fields_per_second"] > 0 for row in rows)
    assert {"times_eager", "times_alone"} <= rows[0].keys()
