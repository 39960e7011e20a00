"""Options of shapes that go together, and those that do not."""

import numpy as np
import pytest
from things import points, torus, volume

import fields
from fields import FieldsError

pytestmark = pytest.mark.usefixtures("coarse")

SMALL = {"num_levels": 4, "log2_table_size": 12, "growth": 1.5, "width": 16, "batch": 2048}


def asked(**options):
    """What `fields.fit` refuses before it reads anything."""
    return fields.fit("nothing.obj", steps=1, **options)


@pytest.mark.parametrize("loss", ["l2", "l1", "relative"])
def test_a_logit_is_not_learned_as_a_number(loss):
    with pytest.raises(FieldsError, match=rf"--loss {loss} does not go with --stores occupancy"):
        asked(stores="occupancy", loss=loss)


@pytest.mark.parametrize("stores", ["auto", "sdf", "udf"])
def test_a_distance_is_not_learned_as_a_logit(stores):
    with pytest.raises(FieldsError, match="--loss binary is for --stores occupancy; that of all"):
        asked(stores=stores, loss="binary")


def test_any_source_but_an_occupancy_refuses_the_loss_of_logits(tmp_path):
    for source in (np.zeros((8, 8, 3), np.uint8), volume(), torus(), points()):
        with pytest.raises(FieldsError, match="--loss binary is for --stores occupancy"):
            fields.fit(source, out=tmp_path / "no", steps=1, loss="binary")
    assert not (tmp_path / "no").exists()


def test_losses_that_fit_what_is_stored_are_taken(tmp_path):
    own = {"out": tmp_path / "run", "overwrite": True, "steps": 2, **SMALL}
    for options in ({"stores": "occupancy", "loss": "binary"}, {"loss": "l1"}, {"loss": "l2"}):
        assert fields.fit(torus(), **options, **own).steps == 2
    run = fields.fit(torus(), stores="occupancy", loss=lambda v, t: (v - t).abs().mean(), **own)
    assert run.steps == 2  # whoever brings a loss of their own knows why
    again = fields.fit(torus(), out=run.path, steps=2, stores="occupancy", overwrite=True, **SMALL)
    on = fields.fit(torus(), out=again.path, steps=3, loss="binary", resume=True)
    assert on.steps == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stores": "udf", "sign": "winding"}, ("--sign", "--stores", "udf")),
        ({"stores": "udf", "sign": "pseudonormal"}, ("--sign", "--stores", "udf")),
        ({"stores": "occupancy", "truncation": 0.1}, ("--truncation", "--stores", "occupancy")),
        ({"stores": "occupancy", "eikonal": 0.1}, ("--eikonal", "--stores", "occupancy")),
        ({"surface": 0.0, "jitter": 0.01}, ("jitter", "surface 0")),
        ({"near": 0.0, "spread": 0.01}, ("spread", "near 0")),
        ({"overwrite": True}, ("--overwrite", "--out")),
    ],
)
def test_an_option_that_does_nothing_beside_another_is_refused(options, words):
    with pytest.raises(FieldsError) as error:
        asked(**options)
    assert all(word in str(error.value) for word in words)


def test_options_at_their_defaults_go_with_all_others():
    with pytest.raises(FieldsError, match=r"nothing\.obj does not exist"):
        asked(stores="udf", sign="auto", truncation=0.0, surface=0.0, near=0.0)
