"""Scenes made, not taken: pictures of meshes and of solids from all sides, in Blender's format.

Installed as `fields_scenes`. `render_model` makes a scene of any mesh file, `demo_scene` one that
needs none, `PRESETS` says how published data sets are read.
"""

from fields_scenes.demo import demo_scene
from fields_scenes.generate import Wanted, render_model, render_thing
from fields_scenes.presets import PRESETS, Preset

__all__ = ["PRESETS", "Preset", "Wanted", "demo_scene", "render_model", "render_thing"]
