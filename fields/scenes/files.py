"""Files of a scene: JSON, and the images that it names, which must lie in its folder."""

import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from fields.errors import FieldsError
from fields.pictures.naming import plain, shown
from fields.pictures.probe import open_file
from fields.scenes.scene import Broken

SUFFIXES = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG", ".webp")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; FieldsError, one line, where there is none."""
    name = shown(path)
    try:
        with open_file(path, "JSON") as file:
            content = json.loads(file.read().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise FieldsError(f"{name} is no JSON: it is not text; export it again") from None
    except RecursionError:
        raise FieldsError(f"{name} is no scene: it is nested too deeply; export it again") from None
    except json.JSONDecodeError as error:
        what = "it is empty" if not error.doc.strip() else f"line {error.lineno}: {error.msg}"
        raise FieldsError(f"{name} is no JSON ({what}); export it again") from None
    if not isinstance(content, dict):
        raise FieldsError(f"{name} must hold an object with frames, got {_kind(content)}")
    return content


def _kind(value: Any) -> str:
    kinds = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def inside(folder: Path, text: Any, key: str) -> Path:
    """The path of a file that a scene names; Broken if it leads out of the folder."""
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise Broken(f"{key} must be the path of a file, got {plain(repr(text))[:60]}")
    named = PurePosixPath(text)
    if not (folder / named).exists() and "\\" in text:  # written on Windows
        named = PurePosixPath(text.replace("\\", "/"))
    depth = 0
    for part in named.parts:
        depth += {"..": -1}.get(part, 1)
        if depth < 0:
            break
    if depth < 0 or named.is_absolute() or PureWindowsPath(text).drive:
        raise Broken(f"{key} {plain(text)} leads out of the folder; it must lie inside")
    return folder / named


def find_image(folder: Path, text: Any, key: str = "file_path") -> Path | None:
    """An image, named with or without its suffix; None if it is not there, Broken if it cannot be
    one."""
    path = inside(folder, text, key)
    try:
        for found in (path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES)):
            if found.is_file():
                return found
        is_folder = path.is_dir()
    except (OSError, ValueError):  # a name that no file can have
        return None
    if is_folder:
        raise Broken(f"{key} {plain(text)} is a folder; it must be an image")
    return None


def named(text: str) -> str:
    """A frame as it is called in messages and files: its path without ./ and without suffix."""
    path = PurePosixPath(plain(text).replace("\\\\", "/").replace("\\", "/"))
    return str(path.with_suffix("") if path.suffix in SUFFIXES else path)
