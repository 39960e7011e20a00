"""Boxes that are larger than what a scene is about: cubes in cubes, and steps that grow."""

import json

import numpy as np
import pytest
import scene_files as files
import torch
from scene_fits import SMALL, make

import fields
from fields.configs import RadianceConfig, SceneOptions
from fields.models.radiance import RadianceField
from fields.occupancy import THRESHOLD
from fields.runs import SceneRun
from fields.scenes import read_scene
from fields.signals.scene import SceneSignal


@pytest.mark.parametrize(
    ("keys", "zoom", "cascades"),
    [
        ({}, 1, 1),
        ({"aabb_scale": 1}, 1, 1),
        ({"aabb_scale": 2}, 2, 2),
        ({"aabb_scale": 3}, 3, 3),
        ({"aabb_scale": 4, "scale": 0.5}, 4, 3),
        ({"aabb_scale": 0.5}, 1, 1),
        ({"aabb": [[-1, -1, -1], [1, 1, 1]], "aabb_scale": 2}, 2, 2),
    ],
)
@pytest.mark.parametrize("form", ["transforms", "blender"])
def test_cubes_follow_from_the_box_that_a_file_states(tmp_path, form, keys, zoom, cascades):
    folder = getattr(files, form)(tmp_path)
    for path in folder.glob("transforms*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | keys))
    scene = read_scene(folder)
    assert scene.zoom == zoom and not scene.unbounded
    signal = SceneSignal(scene, SceneOptions(), torch.device("cpu"))
    assert signal.decided.get("cascades", 1) == cascades
    assert signal.shape[0] == max(files.SIZE) * zoom
    config = RadianceConfig.for_signal(3, signal.shape, **signal.decided)
    # The smallest cube is no larger than what is in the middle of the box.
    assert config.cascades == cascades and config.zoom >= zoom > config.zoom / 2


def test_a_world_beyond_the_box_is_contracted_and_has_one_cube(tmp_path):
    scene = read_scene(files.transforms(tmp_path, {"aabb_scale": 16}, channels=3))
    signal = SceneSignal(scene, SceneOptions(), torch.device("cpu"))
    assert scene.zoom == 1 and signal.decided["contract"] and "cascades" not in signal.decided


def test_steps_are_those_of_the_smallest_cube_and_grow_away_from_the_eye():
    one, three = RadianceField(), RadianceField(cascades=3)
    assert three.march.step == pytest.approx(one.march.step / 4)
    assert one.march.growth == 0 and three.march.growth == 1 / 256
    assert one.occupancy.threshold == THRESHOLD and three.occupancy.threshold == 4 * THRESHOLD
    assert three.occupancy.bits.shape[0] == 3
    assert three.config.stored == sum(t.numel() for t in three.state_dict().values())


def in_a_box_of(times, folder):
    """A made scene, whose files state a box so many times as large as theirs."""
    for path in folder.glob("transforms_*.json"):
        content = json.loads(path.read_text())
        stated = {"aabb": [[-1.5] * 3, [1.5] * 3], "aabb_scale": times}
        path.write_text(json.dumps(content | stated))
    return folder


def test_a_scene_in_a_box_four_times_too_large_is_learned_as_well(tmp_path):
    """Things on a quarter of each axis; with one cube they would be a 64th of its cells."""
    folder = in_a_box_of(4, make(tmp_path / "demo", size=48))
    run = fields.fit(folder, out=tmp_path / "run", steps=250, **SMALL | {"log2_table_size": 14})
    assert isinstance(run, SceneRun)
    assert np.allclose(run.box, [[-6] * 3, [6] * 3])
    assert run.field.occupancy.cascades == 3 and run.config["config"]["cascades"] == 3
    assert run.metrics["psnr"] > 19
    cells = run.field.occupancy.cells().float().mean((1, 2, 3))
    assert cells[0] > 3 * cells[2]  # fine cells lie where the things are
    again = fields.load(run.path)
    assert isinstance(again, SceneRun)
    assert np.array_equal(again.render((24, 24)), run.render((24, 24)))
    vertices, *_ = run.mesh(64, level=20.0)
    inside = (np.abs(vertices) < 1.5).all(1)
    assert inside.sum() > 100 and inside.mean() > 0.8
