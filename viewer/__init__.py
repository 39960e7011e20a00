"""The live viewer: a page in the browser that shows a field, and answers the hand.

    import fields_viewer
    fields_viewer.view(fields.load("runs/chair-hashgrid"))
    fields_viewer.view(lambda camera, size, cancel: ...)

`fields view RUN` does the first from the command line.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fields_viewer.viewer import Viewer, view

__all__ = ["Viewer", "view"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module 'fields_viewer' has no attribute {name!r}")
    return getattr(import_module("fields_viewer.viewer"), name)
