"""Files of weights: whole, checked to the last byte, and read without running code."""

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file
from small import one_line

from fields import catalogue, checkpoint
from fields.configs import HashGridConfig
from fields.errors import FieldsError

CONFIG = HashGridConfig(3, num_levels=2, log2_table_size=4, width=4, depth=1)


@pytest.fixture
def file(tmp_path):
    """A field of a few hundred bytes."""
    path = tmp_path / "field.safetensors"
    field = catalogue.build(CONFIG)
    content = {
        "kind": "field",
        **checkpoint.describe_model(field, CONFIG),
        "name": "größe \U0001f600",
    }
    checkpoint.write(path, checkpoint.weights(field), content)
    return path


def refusal(path):
    """The line with which a file is refused."""
    with pytest.raises(FieldsError) as error:
        tensors, content = checkpoint.read(path)
        checkpoint.restore(path, tensors, content, None)
    return one_line(error.value)


def test_what_is_written_is_read_bit_for_bit(tmp_path):
    tensors = {
        "a": torch.randn(3, 4),
        "half": torch.randn(5).bfloat16(),
        "bytes": torch.arange(7, dtype=torch.uint8),
        "empty": torch.zeros(0, 2),
        "scalar": torch.tensor(2.0, dtype=torch.float64),
        "turned": torch.randn(4, 6).T,
    }
    content = {"name": "ä \udcff \n", "list": [1, 2.5, None], "digest_like": "0" * 64}
    checkpoint.write(tmp_path / "x", tensors, content)
    read, found = checkpoint.read(tmp_path / "x")
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)
    assert {name: found[name] for name in content} == content


def test_tensors_that_share_memory_are_written_each(tmp_path):
    whole = torch.randn(8)
    checkpoint.write(tmp_path / "x", {"a": whole, "b": whole, "part": whole[2:5]}, {})
    read, _ = checkpoint.read(tmp_path / "x")
    assert torch.equal(read["b"], whole) and torch.equal(read["part"], whole[2:5])


def test_the_configuration_is_readable_json_and_rebuilds_the_field(file):
    data = file.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    content = json.loads(header["__metadata__"]["fields"])
    assert content["model"] == "hashgrid" and content["config"]["width"] == 4
    tensors, content = checkpoint.read(file)
    field = checkpoint.restore(file, tensors, content, None)
    twin = catalogue.build(CONFIG)
    coords = torch.rand(9, 2)
    assert torch.equal(field(coords), twin(coords))


def test_the_same_content_gives_the_same_bytes(file, tmp_path):
    tensors, content = checkpoint.read(file)
    checkpoint.write(tmp_path / "again", tensors, content)
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_a_flipped_bit_is_found_in_every_byte(file):
    data = bytearray(file.read_bytes())
    for at in range(len(data)):
        mask = 1 << at % 8
        data[at] ^= mask
        file.write_bytes(data)
        assert str(file) in refusal(file)
        data[at] ^= mask


def test_a_file_cut_short_is_refused_wherever_it_ends(file):
    data = file.read_bytes()
    for length in range(0, len(data), 7):
        file.write_bytes(data[:length])
        assert "cut short" in refusal(file) or length < 9
    file.write_bytes(data + b"\0")
    refusal(file)


def test_a_newer_format_is_refused_by_its_version(file, monkeypatch):
    tensors, content = checkpoint.read(file)
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 7)
    del content["format_version"]
    checkpoint.write(file, tensors, content)
    monkeypatch.undo()
    assert "format version 7" in refusal(file) and "update fields" in refusal(file)


def test_a_file_of_another_program_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    assert "not written by fields" in refusal(path)
    path.write_bytes(pickle.dumps({"weight": 1}))
    assert "not a file of weights" in refusal(path)
    path.write_text("some text that is long enough to hold a header")
    assert "not a file of weights" in refusal(path)
    path.write_bytes(b"")
    refusal(path)
    assert "does not exist" in refusal(tmp_path / "missing")
    refusal(tmp_path)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"model": "nothing"}, "no model"),
        ({"config": {"channels": 3, "log2_table_size": 24, "num_levels": 24}}, "describes"),
        ({"config": {"channels": 3, "log2_table_size": 10**9}}, "at most"),
        ({"config": {"channels": 3, "surprise": 1}}, "surprise"),
        ({"config": {"channels": "3"}}, "whole number"),
        ({"config": {}}, "channels"),
        ({"config": None, "model": "my:Net"}, "my:Net"),
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused_before_memory_is_taken(
    file, changes, word
):
    tensors, content = checkpoint.read(file)
    checkpoint.write(file, tensors, {**content, **changes})
    assert word in refusal(file)


def test_weights_of_another_shape_are_refused_in_one_line(file):
    tensors, content = checkpoint.read(file)
    tensors["field.table"] = tensors["field.table"].reshape(-1)
    checkpoint.write(file, tensors, content)
    assert "does not fit" in refusal(file)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(file, monkeypatch):
    before = file.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(FieldsError, match="cannot be written"):
        checkpoint.write(file, {"a": torch.zeros(3)}, {})
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]
