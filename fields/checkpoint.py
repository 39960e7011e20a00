"""Files of weights: tensors with the whole configuration beside them, checked byte for byte.

A file is a safetensors file. Its metadata has one key, `fields`, which holds the configuration as
JSON (one key, so that the same content gives the same bytes). Among it stands `digest`, the SHA-256
of the whole file without the digest's own 64 digits: a flipped byte anywhere, in the header, the
JSON or the weights, is found when the file is read. Reading runs no code.

Two kinds are written: `field` (loads alone) and `state` (for a fit that goes on).
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as format_tensors
from torch import Tensor, nn

from fields import catalogue, eight_bits
from fields.configs import Config
from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.pictures.pointer import is_pointer, said_of_pointer
from fields.pictures.replacing import replacing

FORMAT_VERSION = 1
_HEADER_BYTES = 2048  # of a picture or a shape, whose description takes no more than a half
_RANGES_BYTES = 1024  # of the names of scales and offsets
_KEY = "fields"
_NO_DIGEST = "0" * 64


def write(
    path: Path,
    tensors: Mapping[str, Tensor],
    configuration: Mapping[str, Any],
    *,
    known_as: Path | None = None,
) -> int:
    """Write a file in one step; returns its bytes.

    Args:
        path: where to; what was there before stays until the new file is on the disk.
        tensors: by name, of any dtype and device.
        configuration: what JSON can hold.
        known_as: what errors call the file, where the user knows it by another name.

    Raises FieldsError where the disk is full or the folder cannot be written.
    """
    content = {"format_version": FORMAT_VERSION, **configuration, "digest": _NO_DIGEST}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = format_tensors(_unshared(plain), {_KEY: json.dumps(content, allow_nan=False)})
    # The digest is the last entry of the JSON, so these are the last 64 zeros before the tensors.
    start = data.rfind(_NO_DIGEST.encode(), 0, 8 + int.from_bytes(data[:8], "little"))
    digest = _digest(data, start)
    with replacing(path, known_as) as file:
        for part in (memoryview(data)[:start], digest, memoryview(data)[start + 64 :]):
            file.write(part)
    return len(data)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and configuration of a file written by `write`; those in 8 bits as floats again.

    Raises FieldsError, in one line, for a file that is missing, cut short, damaged, of another
    program or of a newer format.
    """
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
            raise FieldsError(f"{shown(path)} is no file; name a run or a field.safetensors")
        data = path.read_bytes()
    except FileNotFoundError:
        raise FieldsError(f"{shown(path)} does not exist") from None
    except OSError as error:
        raise FieldsError(f"{shown(path)} cannot be read: {error.strerror}") from None
    content = _content(path, data)
    try:
        tensors = eight_bits.unpack(parse_tensors(data))
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(path) from None
    return tensors, content


def _content(path: Path, data: bytes) -> dict[str, Any]:
    """The checked JSON of a file."""
    if is_pointer(data):
        raise FieldsError(f"{shown(path)} {said_of_pointer('field')}")
    header_end = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or (data[8:9] == b"{" and header_end > len(data)):
        raise FieldsError(f"{shown(path)} is cut short; take another copy, or fit again")
    if data[8:9] != b"{":
        raise FieldsError(f"{shown(path)} is not a file of weights (field.safetensors)")
    try:
        header = json.loads(data[8:header_end])
        metadata = header.pop("__metadata__", {})
        data_end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        cut_short = header_end + data_end > len(data)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise _damaged(path) from None
    if cut_short:
        raise FieldsError(
            f"{shown(path)} is cut short: {len(data):,} of {header_end + data_end:,} bytes;"
            " take another copy, or fit again"
        )
    if not isinstance(metadata, dict) or _KEY not in metadata:
        raise FieldsError(f"{shown(path)} was not written by fields: its metadata has no {_KEY!r}")
    try:
        content = json.loads(metadata[_KEY])
        version, digest = content["format_version"], content["digest"]
        newer = version > FORMAT_VERSION
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _damaged(path) from None
    if newer:
        raise FieldsError(
            f"{shown(path)} has format version {version}, this program reads up to"
            f" {FORMAT_VERSION}; update fields"
        )
    if not isinstance(digest, str) or len(digest) != 64 or not digest.isascii():
        raise _damaged(path)
    start = data.rfind(digest.encode(), 0, header_end)
    if start < 0 or digest.encode() != _digest(data, start):
        raise _damaged(path)
    return content


def _digest(data: bytes, start: int) -> bytes:
    """SHA-256 in hexadecimal of the file without the 64 digits at `start`."""
    result = hashlib.sha256(memoryview(data)[:start])
    result.update(memoryview(data)[start + 64 :])
    return result.hexdigest().encode()


def _damaged(path: Path) -> FieldsError:
    return FieldsError(
        f"{shown(path)} is damaged: its checksum does not match; take another copy, or fit again"
    )


def _unshared(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors that share memory (tied weights), which the format does not allow."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage()
        alone = storage.nbytes() == tensor.nbytes and storage.data_ptr() not in seen
        seen.add(storage.data_ptr())
        result[name] = tensor if alone else tensor.clone()
    return result


def header_bytes(signal: Mapping[str, Any], bits: int) -> int:
    """What the header is allowed for when a model is sized to a file; of `signal` it has all that
    is known, which of a scene are its cameras."""
    described = len(json.dumps(json.dumps(signal)))  # as a string in the header's own JSON
    beyond = max(described - _HEADER_BYTES // 2, 0)
    return _HEADER_BYTES + beyond + (_RANGES_BYTES if bits == 8 else 0)


def weights(field: nn.Module) -> dict[str, Tensor]:
    """A field's tensors under the names that they have in a file."""
    return {f"field.{name}": tensor for name, tensor in field.state_dict().items()}


def fill(path: Path, tensors: Mapping[str, Tensor], field: nn.Module) -> None:
    """Put the weights of a file into a field; FieldsError, naming `path`, if they do not fit."""
    held = {name[6:]: value for name, value in tensors.items() if name.startswith("field.")}
    try:
        field.load_state_dict(held, strict=True)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise FieldsError(
            f"{shown(path)} does not fit {class_name(field)}: {first[0].strip()}"
        ) from None


def describe_model(field: nn.Module, config: Config | None) -> dict[str, Any]:
    """What a file says of its model: a name of the catalogue, or the class of the user's own."""
    if config is not None:
        return {"model": catalogue.name_of(config), "config": config.as_dict()}
    return {"model": class_name(field), "config": None}


def class_name(field: nn.Module) -> str:
    return f"{type(field).__module__}:{type(field).__qualname__}"


def restore(
    path: Path, tensors: Mapping[str, Tensor], content: Mapping[str, Any], own: nn.Module | None
) -> nn.Module:
    """The field that a file describes, with its weights, on the CPU.

    Args:
        path: named in errors.
        tensors, content: what `read` gave.
        own: the user's own module to fill, where the file holds the weights of one.

    Raises FieldsError where the module is missing or of another shape.
    """
    values = sum(v.numel() for name, v in tensors.items() if name.startswith("field."))
    field = own if own is not None else _build(path, content, values)
    fill(path, tensors, field)
    return field


def _build(path: Path, content: Mapping[str, Any], values: int) -> nn.Module:
    name, options = content.get("model"), content.get("config")
    if options is None:
        raise FieldsError(
            f"{shown(path)} holds the weights of your own {name}; pass fields.load(..., model=...)"
        )
    try:
        kind = (content.get("signal") or {}).get("kind", "picture")
        config = catalogue.find(str(name), kind).config.from_dict(options)
    except FieldsError as error:
        raise FieldsError(f"{shown(path)} cannot be built: {error}") from None
    # Before memory is taken: a file may claim any size.
    if config.stored != values:
        raise FieldsError(
            f"{shown(path)} holds {values:,} values, its configuration describes {config.stored:,}"
        )
    return catalogue.build(config)
