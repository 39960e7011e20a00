"""The tri-plane as a module: the op on planes of its own."""

import pytest
import torch

import fields
from fields import ops

dims = pytest.mark.parametrize("dim", [2, 3, 4])
combines = pytest.mark.parametrize("combine", ["sum", "product", "concatenation"])


@dims
@combines
def test_the_encoding_is_the_op_on_its_table(dim, combine):
    encoding = fields.TriPlaneEncoding(dim, resolution=6, channels=4, combine=combine, seed=3)
    coords = torch.rand(2, 5, dim)
    features = encoding(coords)
    assert features.shape == (2, 5, encoding.features)
    assert encoding(coords.bfloat16()).shape == features.shape
    flat = ops.triplane(coords.view(-1, dim), encoding.table, encoding.spec)
    assert torch.equal(features.view(10, -1), flat)
    value, jacobian = encoding.with_grad(coords)
    assert value.shape == features.shape and jacobian.shape == (*features.shape, dim)
    assert [name for name, _ in encoding.named_parameters()] == ["table"]


def test_the_encoding_begins_around_what_changes_nothing_and_follows_its_seed():
    for combine, mean, spread in (("sum", 0, 0.001), ("product", 1, 0.1)):
        table = fields.TriPlaneEncoding(combine=combine).table
        assert table.shape == (3, 32, 32, 16)
        assert abs(table.mean().item() - mean) < spread / 50
        assert table.std().item() == pytest.approx(spread, rel=0.02)
        assert torch.equal(table, fields.TriPlaneEncoding(combine=combine).table)
        assert not torch.equal(table, fields.TriPlaneEncoding(combine=combine, seed=1).table)
    assert fields.TriPlaneEncoding(spread=0.1).table.std().item() == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"dim": 1}, "dim must be from 2 to 4, got 1"),
        ({"resolution": 0}, "resolution"),
        ({"channels": 0}, "channels"),
        ({"spread": -1.0}, "spread"),
        ({"combine": "mean"}, "combine"),
    ],
)
def test_an_encoding_out_of_range_is_refused_by_name(bad, message):
    with pytest.raises(ValueError, match=message):
        fields.TriPlaneEncoding(**bad)
