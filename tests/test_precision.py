"""The arithmetic that a field is asked in is known of every kind of field."""

import pytest
import torch

from fields.models.hashgrid import HashGrid
from fields.models.radiance import RadianceField
from fields.models.siren import Siren
from fields.precision import ask_in_float32, precision_of

SMALL = {"log2_table_size": 8, "num_levels": 2}


@pytest.mark.parametrize(
    "field",
    [
        HashGrid(3, 2, precision="bf16", **SMALL),
        RadianceField(precision="bf16", base_resolution=4, **SMALL),
    ],
    ids=["hashgrid", "radiance"],
)
def test_a_field_trained_in_other_arithmetic_can_be_asked_in_float32(field):
    assert precision_of(field) == "bf16"
    ask_in_float32(field)
    assert precision_of(field) == "float32"


def test_a_radiance_field_draws_in_what_it_is_asked_in():
    exact, rough = (RadianceField(precision=p, base_resolution=4, **SMALL)
                    for p in ("float32", "bf16"))  # fmt: skip
    ask_in_float32(rough)
    rays = torch.full((5, 3), 0.5), torch.nn.functional.normalize(torch.randn(5, 3))
    for a, b in zip(exact.trace(*rays), rough.trace(*rays), strict=True):
        assert a.equal(b)


def test_a_field_without_the_choice_is_in_float32():
    assert precision_of(Siren(3, 2, width=8, depth=1)) == "float32"
    assert precision_of(torch.nn.Linear(2, 3)) == "float32"
