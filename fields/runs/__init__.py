"""Runs: fitted fields with what is known of them, to be asked and drawn."""

from fields.runs.opening import load, run_of
from fields.runs.picture import PictureRun, displayed
from fields.runs.run import Run
from fields.runs.scene import SceneRun
from fields.runs.shape import ShapeRun
from fields.runs.volume import VolumeRun

__all__ = ["PictureRun", "Run", "SceneRun", "ShapeRun", "VolumeRun", "displayed", "load", "run_of"]
