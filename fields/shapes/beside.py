"""The files that a mesh names: buffers, materials and pictures, which lie beside it."""

from __future__ import annotations

import errno
import io
import os
import re
from urllib.parse import unquote

from fields.pictures.naming import shown
from fields.pictures.pointer import is_pointer, said_of_pointer

_NOT_THERE = "is not there"
_CALLED = {".mtl": "material", ".bin": "buffer"}  # by suffix; else a picture


class Lost(FileNotFoundError):
    """A file beside a mesh cannot be had.

    Attributes:
        why: a clause that goes behind its name.
    """

    def __init__(self, name: str, why: str):
        super().__init__(errno.ENOENT, why, name)
        self.why = why


class Beside:
    """Gives trimesh a file by the name that a mesh has for it.

    Attributes:
        lost: what was asked for and cannot be had, as a user knows it, and why.
        damaged: pictures that are there but do not open; those of a glTF its materials tell.
    """

    def __init__(self, path):
        whole = os.path.abspath(os.fsdecode(path))
        folder, self.file_name = os.path.split(whole)
        self._folders = [folder]
        self._of_gltf = whole.lower().endswith((".gltf", ".glb"))
        self.lost: dict[str, str] = {}
        self.damaged: list[str] = []

    def get(self, name: str) -> bytes:
        """The bytes of a file. Raises Lost where it is not there, or a pointer of Git LFS is."""
        why = _NOT_THERE
        for path in (os.path.join(f, place) for place in _places(name) for f in self._folders):
            if os.path.isfile(path):
                folder = os.path.dirname(path)  # pictures may lie beside an MTL
                if folder not in self._folders:
                    self._folders.append(folder)
                with open(path, "rb") as file:
                    data = file.read()
                what = _CALLED.get(os.path.splitext(path)[1].lower(), "picture")
                if is_pointer(data):
                    why = said_of_pointer(what)
                    break
                of_obj = not self._of_gltf and what == "picture" and b"newmtl" not in data
                if of_obj and not _opens(data):
                    self.damaged.append(os.path.basename(path))
                return data
        lost = os.path.basename(_plain(name)) or "a file without a name"
        self.lost[lost] = why
        raise Lost(lost, why)

    __getitem__ = get

    def notes(self) -> list[str]:
        """A line for the user for each file that is lost, and each picture that is damaged."""
        more = {_NOT_THERE: ": its colours are missing"}
        lost = [
            f"{shown(name)} {why}{more.get(why, ' for its colours')}"
            for name, why in self.lost.items()
        ]
        names = dict.fromkeys(self.damaged)
        return lost + [f"{shown(name)}: this picture cannot be read" for name in names]


def _opens(data: bytes) -> bool:
    """Whether the header of a picture is one."""
    from PIL import Image

    try:
        Image.open(io.BytesIO(data)).close()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # as Pillow has it
        return False
    return True


def _places(name: str) -> list[str]:
    """Where a file may be: as named, then what is left without options, then in this folder, since
    some programs write the path on the machine where a mesh was made."""
    plain = _plain(name)
    return list(dict.fromkeys([name, unquote(name), plain, os.path.basename(plain)]))


def _plain(name: str) -> str:
    """A name without the options of an MTL (`-s 1 1 1 skin.png`), with slashes as here."""
    without = re.sub(r"^(-[a-z]+(\s+(on|off|[-+.\d]+))*\s+)+", "", name.strip(), flags=re.I)
    return without.strip('"').replace("\\", "/")
