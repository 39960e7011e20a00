"""Scenes: views with cameras, in the formats that they come in. Free of torch.

`read_scene` is the way in, `load_images` reads what it found.
"""

from fields.scenes.images import Images, load_images
from fields.scenes.read import find_scene, is_meant, read_scene, require_scene
from fields.scenes.scene import Frame, Scene

__all__ = [
    "Frame",
    "Images",
    "Scene",
    "find_scene",
    "is_meant",
    "load_images",
    "read_scene",
    "require_scene",
]
