"""Presets of published data sets: what they set, what they are for, and what is said."""

from dataclasses import replace

import pytest
import scene_files as files
from scene_fits import FLAGS, make
from small import one_line

from fields.cli import main
from fields.cli.presets import follow
from fields.errors import FieldsError
from fields.scenes import read_scene

presets = pytest.importorskip("fields_scenes.presets", reason="scenes/ is not installed")

PRESETS = presets.PRESETS


def photos(folder):
    """COLMAP's form, as far as it is looked at before images are."""
    (folder / "sparse" / "0").mkdir(parents=True)
    for name in ("cameras.bin", "images.bin"):
        (folder / "sparse" / "0" / name).write_bytes(b"")
    return folder


def test_presets_say_what_belongs_to_their_form():
    for preset in PRESETS.values():
        assert preset.source and preset.use and str(preset)
        if preset.form == "blender":
            assert preset.background == "white"
        else:
            assert preset.every == 8 and preset.background is None


@pytest.mark.parametrize(
    ("name", "folder", "factor"),
    [
        ("blender", "lego", 1),
        ("d-nerf", "jumpingjacks", 2),
        ("llff", "fern", 4),
        ("mip-nerf-360", "garden", 4),
        ("mip-nerf-360", "kitchen", 2),
        ("tanks-and-temples", "truck", 1),
    ],
)
def test_a_preset_sets_how_much_smaller_images_are(tmp_path, name, folder, factor):
    made = tmp_path / folder
    files.blender(made) if PRESETS[name].form == "blender" else photos(made)
    for given in (None, factor):
        values = {"downscale": given}
        follow(name, str(made), values, {})
        assert values["downscale"] == factor
    with pytest.raises(FieldsError, match=f"--preset {name} has --downscale {factor}, not 7"):
        follow(name, str(made), {"downscale": 7}, {})


def test_the_fox_is_one_file(tmp_path):
    folder = files.transforms(tmp_path / "fox", {"aabb_scale": 4}, channels=3)
    for path in (folder, folder / "transforms.json"):
        values = {"downscale": None}
        follow("fox", str(path), values, {})
        assert values["downscale"] == 1


def as_published(preset):
    """A scene of the size and number of views that a preset of Blender's format has."""

    def of(scene):
        frames = scene.splits["test"]
        width, height = preset.size
        camera = frames[0].camera.resized(width, height, 1.0, 1.0)
        views = tuple(replace(frames[0], camera=camera) for _ in range(preset.views))
        return replace(scene, splits={**scene.splits, "test": views})

    return of


def test_a_scene_is_told_by_its_size_views_and_times(tmp_path):
    still = read_scene(files.blender(tmp_path / "still"))
    moving = read_scene(files.blender(tmp_path / "moving", time=0.5))
    assert presets.of_scene(still) is presets.of_scene(moving) is None
    for name, scene in (("blender", still), ("d-nerf", moving)):
        published = as_published(PRESETS[name])(scene)
        assert presets.of_scene(published) is PRESETS[name]
        assert PRESETS[name].differs(published) == []
        assert PRESETS[name].differs(scene) == ["views are 12 x 8", "2 views are scored"]
    assert "it moves" in PRESETS["blender"].differs(moving)
    assert "it does not move" in PRESETS["d-nerf"].differs(still)
    assert "its images have an alpha" in PRESETS["llff"].differs(still)


def test_the_command_says_that_figures_do_not_compare(tmp_path, capsys):
    folder = make(tmp_path / "demo", views=8, size=16)
    out = str(tmp_path / "run")
    command = ["fit", str(folder), "--preset", "blender", "--steps", "2", "-o", out, *FLAGS]
    assert main(command) == 0
    assert (
        "--preset blender: 800 x 800, over white, 200 test views (Mildenhall et al. 2020, section"
        " 6.1), but views are 16 x 16, 2 views are scored: figures do not compare"
    ) in capsys.readouterr().err
    again = ["fit", str(folder), "--preset", "blender", "--steps", "3", "--resume", "-o", out]
    assert main(again) == 0


def test_all_of_them_are_listed(capsys):
    assert main(["scene", "--presets"]) == 0
    out = capsys.readouterr().out
    assert all(f"{name}\n" in out for name in PRESETS)
    assert "--downscale 2 or 4" in out and "every 8th view" in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("demo --preset lego", "there is no preset 'lego'; "),
        ("demo --preset blendr", "did you mean blender?"),
        (
            "demo --preset llff",
            "--preset llff is for COLMAP's sparse model beside images, and",
        ),
        ("demo --preset d-nerf --downscale 1", "--preset d-nerf has --downscale 2, not 1"),
        ("demo --preset blender --background black", "scores over white, not black"),
        ("astronaut --preset blender", "--preset is for scenes"),
        ("demo --downscale 0", "--downscale must be from 1"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    tmp_path, capsys, monkeypatch, arguments, line
):
    monkeypatch.chdir(tmp_path)
    files.blender(tmp_path / "demo")
    before = sorted(tmp_path.rglob("*"))
    assert main(["fit", *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert line in one_line(captured.err) and captured.out == ""
    assert sorted(tmp_path.rglob("*")) == before
