"""A fit that goes on: from where, to what end, and what is refused."""

import pytest
from small import TINY, picture

import fields
from fields.progress import Silent


class Told(Silent):
    """Keeps the lines that a fit says."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def resumed(path, **options):
    """A run that went on, and what it said."""
    told = Told()
    run = fields.fit(picture(), out=path, resume=True, progress=told, **options)
    return run, told.lines


@pytest.mark.parametrize(
    ("stop", "more"),
    [({}, "such as --steps 20"), ({"steps": 7}, "--steps 20"), ({"seconds": 1e-3}, "--seconds ")],
)
def test_a_fit_that_is_at_its_end_says_so_and_what_to_ask_for(tmp_path, stop, more):
    begun = fields.fit(picture(), out=tmp_path / "run", steps=10, **TINY)
    run, lines = resumed(begun.path, **stop)
    said = [line for line in lines if "the run is at 10 steps" in line]
    assert len(said) == 1 and more in said[0]
    assert run.steps == 10 and run.metrics["psnr"] == begun.metrics["psnr"]


def test_a_fit_that_goes_on_says_nothing_of_its_end(tmp_path):
    fields.fit(picture(), out=tmp_path / "run", steps=10, **TINY)
    run, lines = resumed(tmp_path / "run", steps=11)
    assert run.steps == 11 and len(lines) == 2


@pytest.mark.parametrize("harm", ["flipped", "missing"])
def test_a_damaged_field_is_named_and_written_anew(tmp_path, harm):
    field = fields.fit(picture(), out=tmp_path / "run", steps=10, **TINY).path / "field.safetensors"
    sound = field.read_bytes()
    field.unlink()
    if harm == "flipped":
        field.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    _, lines = resumed(tmp_path / "run", steps=10)
    assert sum(str(field) in line and "written anew" in line for line in lines) == 1
    assert field.read_bytes() == sound


def test_a_damaged_state_is_named(tmp_path):
    state = fields.fit(picture(), out=tmp_path / "run", steps=10, **TINY).path / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-1])
    with pytest.raises(fields.FieldsError, match=r"state.safetensors is cut short"):
        resumed(tmp_path / "run", steps=11)
