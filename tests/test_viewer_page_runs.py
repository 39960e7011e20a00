"""Runs in Chromium: what is shown of shapes and scenes, and of a fit under way."""

import json

import numpy as np
import pytest
from small import TINY, picture
from viewers import (  # noqa: F401
    InView,
    browser,
    exact,
    fitted_scene,
    fitted_shape,
    open_page,
    pixels_of,
    ready,
    until,
)

import fields
from fields.cli import main
from fields.pictures import read_picture
from fields_viewer import Viewer
from fields_viewer.protocol import TILE
from fields_viewer.subjects import Flat

SIZE = "[fieldsViewer.picture.width, fieldsViewer.picture.height]"


@pytest.fixture(scope="module")
def shape(tmp_path_factory, browser):  # noqa: F811
    return fitted_shape(tmp_path_factory.mktemp("shape"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory, browser):  # noqa: F811
    return fitted_scene(tmp_path_factory.mktemp("scene"))


def looked_at(browser, viewer):  # noqa: F811
    page = open_page(browser, viewer)
    ready(page)
    exact(page)
    return page


def ended(page):
    assert page.wrong == []
    page.close()


def changes(page, act):
    """Do something, and wait until the still picture is another."""
    before = pixels_of(page)
    act()
    until(lambda: page.evaluate("fieldsViewer.subject.exact"), "the still picture")
    until(lambda: not np.array_equal(pixels_of(page), before), "another picture")
    exact(page)
    return pixels_of(page)


@pytest.mark.parametrize("kind", ["shape", "scene"])
@pytest.mark.parametrize("form", ["toJSON", "toFrames"])
def test_the_still_picture_is_what_render_draws_of_the_camera_that_was_saved(
    browser, request, tmp_path, kind, form  # noqa: F811
):  # fmt: skip
    run = request.getfixturevalue(kind)
    with Viewer(run, port=0) as viewer:
        page = looked_at(browser, viewer)
        changes(page, lambda: page.evaluate("fieldsViewer.subject.camera.turn(0.6, 0.2)"))
        page.evaluate("fieldsViewer.addKey()")
        path = page.evaluate(f"fieldsViewer.path.{form}(...{SIZE})")
        seen = pixels_of(page)
        ended(page)
    (tmp_path / "camera.json").write_text(json.dumps(path))
    camera = ["--camera", str(tmp_path / "camera.json"), "-o", str(tmp_path / "drawn.png")]
    assert main(["render", str(run.path), *camera]) == 0
    drawn = read_picture(tmp_path / "drawn.png").pixels[..., :3]
    assert drawn.shape == seen.shape
    off = np.abs(drawn.astype(int) - seen)
    assert off.max() <= 1  # the camera was rounded once more
    assert (off > 0).mean() < 0.001


def test_every_output_of_a_scene_is_shown_and_told_from_the_others(browser, scene):  # noqa: F811
    with Viewer(scene, port=0, proxy="off") as viewer:
        page = looked_at(browser, viewer)
        seen = [pixels_of(page)]
        for key in "2345":
            seen.append(changes(page, lambda k=key: page.keyboard.press(k)))
        assert page.input_value("select[name=output]") == "occupancy"
        for i, one in enumerate(seen):
            assert all(not np.array_equal(one, other) for other in seen[:i])
        changes(page, lambda: page.select_option("select[name=colours]", "turbo"))
        changes(page, lambda: page.keyboard.press("1"))
        assert np.array_equal(pixels_of(page), seen[0])
        ended(page)


def test_a_scene_in_motion_says_that_it_is_its_proxy_and_at_rest_exact(browser, scene):  # noqa: F811
    with Viewer(scene, port=0) as viewer:
        page = looked_at(browser, viewer)
        until(lambda: page.evaluate("fieldsViewer.proxy?.state === 'ready'"), "the proxy")
        seen = page.evaluate(
            """() => new Promise((done) => {
              const badge = document.getElementById("badge"), words = new Set();
              let n = 0;
              fieldsViewer.drive = () => {
                words.add(badge.textContent);
                if (n++ < 40) fieldsViewer.subject.camera.turn(0.02, 0);
                else { fieldsViewer.drive = null; done([...words]); }
              }; })"""
        )
        assert "proxy" in seen
        exact(page)
        until(lambda: page.text_content("#badge") == "exact", "the word")
        page.uncheck("input[name=use_proxy]")
        page.evaluate("fieldsViewer.frames.measure()")
        changes(page, lambda: page.evaluate("fieldsViewer.subject.camera.turn(0.3, 0)"))
        assert page.evaluate("fieldsViewer.frames.log.every(({ drawn }) => drawn === 0)")
        ended(page)


def test_a_photo_and_the_error_stand_beside_a_scene(browser, scene):  # noqa: F811
    frame = scene.source().splits["train"][2]
    with Viewer(scene, port=0, proxy="off") as viewer:
        page = looked_at(browser, viewer)
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        name = f"train {frame.name.rpartition('/')[2]}"
        changes(page, lambda: page.select_option("select[name=photo]", label=name))
        page.select_option("select[name=compare]", "truth")
        until(lambda: page.is_visible("#truth"), "the photo")
        exact(page)
        truth = pixels_of(page, "truth")
        height = truth.shape[0]
        assert truth[height // 2].std() > 5  # the photo; beside it grey
        page.keyboard.press("c")
        until(lambda: not np.array_equal(pixels_of(page, "truth"), truth), "the error")
        page.keyboard.press("c")
        until(lambda: not page.is_visible("#truth"), "nothing beside it")
        ended(page)


def test_a_crop_box_is_drawn_and_cuts_by_the_panel(browser, shape):  # noqa: F811
    with Viewer(shape, port=0) as viewer:
        page = looked_at(browser, viewer)
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        page.check("input[name=crop]")
        until(lambda: page.is_visible("#box path"), "the box")
        exact(page)
        whole = pixels_of(page)

        def half():
            page.evaluate(
                """() => { const range = document.querySelector("input[name=box-3]");
                  range.value = (+range.min + +range.max) / 2;
                  range.dispatchEvent(new Event("input")); }"""
            )

        cut = changes(page, half)
        assert (cut < 250).any(2).sum() < 0.9 * (whole < 250).any(2).sum()
        ended(page)


def test_a_fit_is_watched_paused_kept_and_resumed_in_the_page(browser, tmp_path):  # noqa: F811
    with InView(tmp_path / "run", 600, slow=0.005) as fit:
        page = open_page(browser, fit.viewer)
        ready(page)

        def says(word):
            return lambda: (page.text_content("details p") or "").startswith(word)

        until(says("running"), "the training")
        page.keyboard.press("t")
        until(says("paused"), "a pause")
        step = fit.training.step
        page.get_by_text("Save", exact=True).click()
        until((tmp_path / "run" / "field.safetensors").exists, "the file")
        until(lambda: page.evaluate("fieldsViewer.training.points.length > 2"), "a curve")
        drawn = """[...document.querySelectorAll("canvas.curve")].some((c) => c.width &&
          c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some((v) => v))"""
        assert page.evaluate(drawn)
        page.evaluate(
            """() => { const share = document.querySelector("input[name=share]");
              share.value = 0.9; share.dispatchEvent(new Event("input")); }"""
        )
        until(lambda: fit.training.turns.share == 0.9, "the share")
        page.get_by_text("Resume (T)").click()
        until(lambda: fit.training.step > step, "more steps")
        until(says("ended"), "the end")
        exact(page)
        page.close()
    assert fit.run.steps == 600


def test_tiles_of_a_gigapixel_picture_are_drawn_once_and_kept_for_each_zoom(browser):  # noqa: F811
    drawn = []

    class Huge(Flat):
        title, kind = "huge", "picture"

        def size(self, settings):
            return 40_000, 30_000

        def crop(self, size, box, settings, cancel):
            x0, y0, x1, y1 = box
            if x0 % TILE == y0 % TILE == 0 and max(x1 - x0, y1 - y0) <= TILE:
                drawn.append((size, box))
            columns = (np.arange(x0, x1) / size[0] * 255).astype(np.uint8)
            rows = (np.arange(y0, y1) / size[1] * 255).astype(np.uint8)
            result = np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
            result[..., 0], result[..., 1] = columns, rows[:, None]
            return result

    with Viewer(Huge(), port=0) as viewer:
        page = looked_at(browser, viewer)

        def settled():
            exact(page)
            count = -1
            while count != len(drawn):  # tiles that may be seen next are drawn ahead
                count = len(drawn)
                page.wait_for_timeout(300)

        settled()
        page.evaluate("fieldsViewer.subject.zoomAt(16, 0.5, 0.5)")
        settled()
        before = len(drawn)
        assert before == len(set(drawn)) > 4
        fresh = page.evaluate(
            """() => new Promise((done) => {
              const { subject } = fieldsViewer, fresh = [];
              let n = 0;
              fieldsViewer.drive = () => {
                if (n) fresh.push(subject.fresh);
                subject.drag(0.01 * Math.cos(n / 3), 0.01 * Math.sin(n / 3));
                if (n === 20) subject.zoomAt(1 / 16, 0.5, 0.5);
                if (n === 24) subject.zoomAt(16, 0.5, 0.5);
                if (n++ > 40) { fieldsViewer.drive = null; done(fresh); }
              }; })"""
        )
        assert all(fresh)
        settled()
        assert len(drawn) == len(set(drawn))
        ended(page)


def test_fingers_turn_move_and_zoom(browser, tmp_path):  # noqa: F811
    run = fields.fit(picture(), out=tmp_path / "run", steps=3, **TINY)
    with Viewer(run, port=0) as viewer:
        context = browser.new_context(has_touch=True)
        page = open_page(context, viewer, size=(400, 600))
        ready(page)
        exact(page)
        touch = context.new_cdp_session(page)

        def fingers(kind, *places):
            points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        def place():
            return page.evaluate("[...fieldsViewer.subject.at, fieldsViewer.subject.zoom]")

        x, y, zoom = place()
        fingers("touchStart", (200, 150))
        fingers("touchMove", (230, 160))
        fingers("touchEnd")
        moved = until(lambda: (now := place()) != [x, y, zoom] and now, "a move")
        assert moved[:2] == pytest.approx([x - 30 / zoom, y - 10 / zoom], rel=1e-3)
        fingers("touchStart", (150, 150), (250, 150))
        fingers("touchMove", (125, 150), (275, 150))
        fingers("touchEnd")
        until(lambda: place()[2] > 1.3 * zoom, "a zoom")
        ended(page)
        context.close()
