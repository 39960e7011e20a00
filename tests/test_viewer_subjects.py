"""What the viewer draws of shapes, volumes and scenes is what `fields render` draws."""

import time
from typing import Any

import numpy as np
import pytest
import torch
from small import TINY
from viewers import Page, fitted_scene, fitted_shape, until

import fields
from fields.models.radiance import RadianceField
from fields.progress import Silent
from fields_viewer import Viewer
from fields_viewer.hub import Hub
from fields_viewer.protocol import FIELD, FRAME, PROXY
from fields_viewer.subjects import subject_of as any_subject_of
from fields_viewer.subjects.scene import SceneSubject
from fields_viewer.training import Training

GO_ON = torch.zeros(1, dtype=torch.uint8)


@pytest.fixture(scope="module")
def shape(tmp_path_factory):
    return fitted_shape(tmp_path_factory.mktemp("shape"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return fitted_scene(tmp_path_factory.mktemp("scene"))


def subject_of(thing) -> Any:
    """Solid or flat, as the test knows."""
    return any_subject_of(thing)


def usual(subject, **changed):
    return {setting.name: setting.value for setting in subject.settings()} | changed


def whole(parts, size):
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y, pixels in parts:
        picture[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return picture


@pytest.mark.parametrize("shading", ["lit", "normals", "depth"])
def test_the_parts_of_a_shape_make_up_its_render(shape, shading):
    subject = subject_of(shape)
    camera = shape.camera((300, 280))
    drawn = whole(subject.parts(camera, usual(subject, output=shading), GO_ON), (300, 280))
    assert np.array_equal(drawn, shape.render(camera=camera, shading=shading))


@pytest.mark.parametrize("shading", ["colour", "depth", "normals", "opacity"])
def test_the_parts_of_a_scene_make_up_its_render(scene, shading):
    subject = subject_of(scene)
    camera = scene.view((200, 150))
    drawn = whole(subject.parts(camera, usual(subject, output=shading), GO_ON), (200, 150))
    assert np.array_equal(drawn, scene.render(camera=camera, shading=shading))


def test_the_still_picture_of_a_scene_through_the_socket_is_its_render(scene):
    camera = scene.view((160, 120))
    with Viewer(scene, port=0, proxy="off") as viewer:
        try:
            page = Page(viewer)
            about = page.message("welcome")
            assert len(about["photos"]) >= 16
            assert about["box"] == pytest.approx(scene.box.ravel().tolist())
            page.look(camera)
            assert page.picture(FRAME)[0].drawn == FIELD
            assert np.array_equal(page.still(160, 120), scene.render(camera=camera))
        finally:
            Page.close_all()


def test_frames_in_motion_look_like_the_still_ones(shape, scene):
    for run, camera in ((shape, shape.camera((100, 100))), (scene, scene.view((100, 100)))):
        subject = subject_of(run)
        pixels, drawn = subject.draw(camera, usual(subject), GO_ON)
        wanted = run.render(camera=camera).astype(float)
        assert drawn == FIELD
        assert np.abs(pixels - wanted).mean() < 6


def test_a_glance_at_a_scene_is_its_render_to_40_decibels(scene):
    camera = scene.view((200, 150))
    difference = scene.glance(camera) / 255.0 - scene.render(camera=camera) / 255.0
    assert -10 * np.log10((difference**2).mean() + 1e-12) > 40


def test_a_crop_box_leaves_out_what_lies_beside_it(shape, scene):
    for run in (shape, scene):
        subject = subject_of(run)
        box = np.asarray(subject.box(), float)
        camera = subject.home()[0].resized(80, 80, 80 / 800, 80 / 800)
        all_of_it = subject.draw(camera, usual(subject), GO_ON)[0]
        same = subject.draw(camera, usual(subject, box=box.ravel().tolist()), GO_ON)[0]
        half = box.copy()
        half[1, 0] = half[:, 0].mean()
        cut = subject.draw(camera, usual(subject, box=half.ravel().tolist()), GO_ON)[0]
        seen = [int((picture < 250).any(2).sum()) for picture in (all_of_it, same, cut)]
        assert abs(seen[0] - seen[1]) <= 0.05 * seen[0] + 4
        assert 0.2 * seen[0] < seen[2] < 0.85 * seen[0]


def test_a_level_moves_the_surface_and_a_density_clears_what_is_thin(shape, scene):
    def seen(run, **changed):
        subject = subject_of(run)
        camera = subject.home()[0].resized(80, 80, 80 / 800, 80 / 800)
        return int((subject.draw(camera, usual(subject, **changed), GO_ON)[0] < 250).any(2).sum())

    reach = next(s.high for s in subject_of(shape).settings() if s.name == "level")
    assert seen(shape, level=reach) > seen(shape) > seen(shape, level=-reach)
    assert seen(scene, threshold=3.0) < seen(scene)


def test_occupancy_and_colour_maps_are_drawn(scene):
    subject = subject_of(scene)
    camera = scene.view((60, 60))
    grey = subject.draw(camera, usual(subject, output="occupancy"), GO_ON)[0]
    turbo = subject.draw(camera, usual(subject, output="occupancy", colours="turbo"), GO_ON)[0]
    assert (grey[..., 0] == grey[..., 1]).all()
    assert (turbo[..., 0] != turbo[..., 2]).any()
    assert np.array_equal((grey == 0).all(2), (turbo == 0).all(2))


def test_the_depth_of_a_shape_through_a_colour_map_stands_before_white(shape):
    subject = subject_of(shape)
    camera = shape.camera((60, 60))
    settings = usual(subject, output="depth", colours="viridis")
    drawn = whole(subject.parts(camera, settings, GO_ON), (60, 60))
    grey = shape.render(camera=camera, shading="depth", smooth=1)
    nothing = (grey == 255).all(2)
    assert np.array_equal((drawn == 255).all(2), nothing)
    assert (drawn[~nothing].std(1) > 5).all()


def test_of_the_photos_those_alone_are_read_that_are_asked_for(scene, monkeypatch):
    from fields_viewer.subjects import photos as module

    read = []
    original = module.load_images

    def load_images(source, split):
        read.append(len(source.splits[split]))
        return original(source, split)

    monkeypatch.setattr(module, "load_images", load_images)
    subject = SceneSubject(scene)
    for frame in [*scene.source().splits["train"][:3], scene.source().splits["train"][0]]:
        list(subject.truth(frame.camera, usual(subject, compare="truth"), GO_ON))
    assert read == [1, 1, 1]


def test_the_truth_of_a_scene_is_its_photo_at_the_photos_camera_alone(scene):
    subject = subject_of(scene)
    frame = scene.source().splits["train"][3]
    truth = whole(subject.truth(frame.camera, usual(subject, compare="truth"), GO_ON), (40, 40))
    photo = next(p for f, _, p, *_ in scene.views(scene.source(), "train") if f.name == frame.name)
    assert np.abs(truth - photo * 255).max() <= 1
    error = whole(subject.truth(frame.camera, usual(subject, compare="error"), GO_ON), (40, 40))
    assert error.any()
    with pytest.raises(ValueError, match="choose a photo"):
        list(subject.truth(scene.view((40, 40)), usual(subject, compare="truth"), GO_ON))


def test_the_truth_of_a_shape_is_its_mesh(shape):
    subject = subject_of(shape)
    camera = shape.camera((60, 60))
    truth = whole(subject.truth(camera, usual(subject, compare="truth"), GO_ON), (60, 60))
    assert np.abs(truth - shape.render(camera=camera).astype(float)).mean() < 8


@pytest.fixture(scope="module")
def baked(scene):
    """A subject whose proxy is there."""
    subject = SceneSubject(scene)
    for _ in subject.bake():
        pass
    return subject


def test_a_proxy_draws_frames_in_motion_labelled_and_no_still_ones(scene, baked):
    camera = scene.view((64, 48))
    for output in ("colour", "depth", "opacity", "normals"):
        settings = usual(baked, output=output)
        pixels, drawn = baked.draw(camera, settings, GO_ON)
        assert drawn == PROXY == baked.draws(settings)
        wanted = scene.render(camera=camera, shading=output).astype(float)
        assert np.abs(pixels - wanted).mean() < (6 if output == "normals" else 3)
    for changed in ({"use_proxy": False}, {"output": "occupancy"}):
        settings = usual(baked, **changed)
        assert baked.draw(camera, settings, GO_ON)[1] == FIELD == baked.draws(settings)
    drawn = whole(baked.parts(camera, usual(baked), GO_ON), (64, 48))
    assert np.array_equal(drawn, scene.render(camera=camera))


@pytest.fixture
def looks(monkeypatch):
    """Counts how often a field was asked where bricks say."""
    count, original = [0], RadianceField.look

    def look(*args, **options):
        count[0] += 1
        return original(*args, **options)

    monkeypatch.setattr(RadianceField, "look", look)
    return count


@pytest.mark.parametrize("cropped", [False, True])
def test_a_field_at_rest_is_asked_where_its_proxy_says(scene, baked, looks, cropped):
    camera, plain = scene.view((64, 48)), SceneSubject(scene)
    half = np.asarray(scene.box, float)
    half[1, 0] = half[:, 0].mean()
    settings = usual(baked, use_proxy=False, box=half.ravel().tolist() if cropped else None)
    found, drawn = baked.draw(camera, settings, GO_ON)
    assert drawn == FIELD
    # Bricks that are coarser than the cells that are left would show more of them.
    is_fine = baked.baked.bricks.resolution // 4 >= scene.field.march.resolution
    assert looks == [1 if is_fine or not cropped else 0]
    wanted, _ = plain.draw(camera, settings, GO_ON)
    assert np.abs(found.astype(float) - wanted).mean() < 1  # of 255; the scene is fog nearly


def test_a_field_that_is_trained_meanwhile_is_asked_everywhere(scene, baked, looks):
    """Its proxy is of an earlier state."""
    camera = scene.view((64, 48))
    live, later = SceneSubject(scene), SceneSubject(scene)
    Hub(live, Training(Silent()))
    for _ in live.bake():
        pass
    later.replaces(baked)
    for subject in (live, later):
        assert subject.baked is not None
        subject.draw(camera, usual(subject, use_proxy=False), GO_ON)
    assert looks == [0]


def test_the_proxy_leaves_out_what_the_field_does(scene, baked):
    camera, plain = scene.view((64, 64)), SceneSubject(scene)
    half = np.asarray(scene.box, float)
    half[1, 0] = half[:, 0].mean()
    for changed in ({"box": half.ravel().tolist()}, {"threshold": 2.5}):
        found, drawn = baked.draw(camera, usual(baked, output="opacity", **changed), GO_ON)
        wanted, _ = plain.draw(camera, usual(plain, output="opacity", **changed), GO_ON)
        everything, _ = plain.draw(camera, usual(plain, output="opacity"), GO_ON)
        assert drawn == PROXY
        assert np.abs(found.astype(float) - wanted).mean() < 3
        assert np.abs(everything.astype(float) - wanted).mean() > 3


def test_a_scene_is_baked_once_somebody_looks_and_then_moves_as_its_proxy(scene):
    with Viewer(scene, port=0) as viewer:
        try:
            page = Page(viewer)
            about = page.message("welcome")
            assert about["proxy"]["state"] == "baking"
            assert any(setting["name"] == "use_proxy" for setting in about["settings"])
            while (state := page.message("proxy"))["state"] != "ready":
                pass
            assert state["resolution"] >= 64 and state["bytes"] > 0
            camera = scene.view((64, 48))
            page.look(camera)
            assert page.picture(FRAME)[0].drawn == PROXY
            assert np.array_equal(page.still(64, 48), scene.render(camera=camera))
        finally:
            Page.close_all()


def test_no_proxy_is_baked_where_none_is_wanted_or_can_be(scene, shape):
    for run, proxy in ((scene, "off"), (shape, "on")):
        with Viewer(run, port=0, proxy=proxy) as viewer:
            try:
                about = Page(viewer).message("welcome")
                assert about["proxy"] is None
                assert all(setting["name"] != "use_proxy" for setting in about["settings"])
                assert not viewer.hub.baking.is_wanted
            finally:
                Page.close_all()
    with pytest.raises(fields.FieldsError, match="proxy must be auto, on or off"):
        Viewer(scene, proxy="sometimes")


def test_what_a_fit_ends_with_goes_on_moving_as_the_proxy_that_there_was(scene):
    with Viewer(scene, port=0) as viewer:
        try:
            page = Page(viewer)
            while page.message("proxy")["state"] != "ready":
                pass
            ended = SceneSubject(scene)
            viewer.hub.show(ended)
            before = ended.baked
            assert ended.draws(usual(ended)) == PROXY
            page.look(scene.view((64, 48)))
            assert page.picture(FRAME)[0].drawn == PROXY
            until(lambda: ended.baked is not before, "the proxy of what it ended with")
        finally:
            Page.close_all()


def test_a_proxy_is_baked_for_those_alone_who_want_it(scene):
    with Viewer(scene, port=0) as viewer:
        try:
            page = Page(viewer)
            while page.message("proxy")["state"] != "ready":
                pass
            page.send("set", name="use_proxy", value=False)
            until(lambda: not any(client.wants_proxy for client in viewer.server._clients))
            ended = SceneSubject(scene)
            viewer.hub.show(ended)
            before = ended.baked
            time.sleep(0.8)
            assert ended.baked is before
            page.send("set", name="use_proxy", value=True)
            until(lambda: ended.baked is not before, "the bake")
        finally:
            Page.close_all()


def test_slices_of_a_volume_are_those_of_render(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "v.npy", rng.random((20, 16, 12)).astype(np.float32))
    run = fields.fit(tmp_path / "v.npy", out=tmp_path / "run", steps=5, **TINY)
    subject = subject_of(run)
    settings = usual(subject, axis="x", at=0.3)
    size = subject.size(settings)
    assert size == (16, 12)
    drawn = subject.crop((32, 24), (4, 2, 20, 20), settings, GO_ON)
    wanted = run.render((32, 24), axis="x", at=0.3)[2:20, 4:20]
    assert np.array_equal(drawn, np.repeat(wanted, 3, axis=2))
    truth = subject.truth_crop(size, (0, 0, *size), settings | {"compare": "truth"}, GO_ON)
    assert truth.shape == (12, 16, 3)
    assert truth.std() > 10


def test_what_cannot_be_viewed_is_refused_in_one_line():
    with pytest.raises(fields.FieldsError, match="a run or a function that draws can be viewed"):
        subject_of(3)
