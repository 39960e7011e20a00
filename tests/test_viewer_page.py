"""The page in Chromium: what a reader sees and does."""

import json

import numpy as np
import pytest
from small import TINY, picture
from viewers import (  # noqa: F401
    browser,
    exact,
    open_page,
    pixels_of,
    ready,
    until,
)

import fields
from fields import cameras
from fields_viewer import Viewer

SIZE = "[fieldsViewer.picture.width, fieldsViewer.picture.height]"


def sphere(camera, size, cancel):
    """A ball before white, lit from above."""
    eye, directions = camera.rays()
    b = directions @ eye
    root = b**2 - (eye @ eye - 0.6)
    hit = root > 0
    points = eye + (-b - np.sqrt(np.where(hit, root, 0)))[:, None] * directions
    light = np.where(hit, 0.5 + 0.4 * points[:, 2] + 0.1 * np.sign(points[:, 0]), 1)
    return np.repeat(light.reshape(size[1], size[0], 1), 3, axis=2)


@pytest.fixture(scope="module")
def ball(browser):  # noqa: F811
    with Viewer(sphere, port=0) as made:
        yield made


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from fields.pictures import write_picture

    folder = tmp_path_factory.mktemp("viewer")
    write_picture(folder / "p.png", picture(90, 120))
    return fields.fit(folder / "p.png", out=folder / "run", steps=20, **TINY)


@pytest.fixture
def page(browser, ball):  # noqa: F811
    made = open_page(browser, ball)
    ready(made)
    yield made
    assert made.wrong == []
    assert {url.split("/")[2] for url in made.asked} == {f"127.0.0.1:{ball.port}"}
    made.close()


def test_the_still_picture_is_that_of_the_camera(page, tmp_path):
    exact(page)
    width, height = page.evaluate(SIZE)
    c2w = np.array(page.evaluate("fieldsViewer.subject.camera.c2w()")).reshape(4, 4)
    fov = page.evaluate("fieldsViewer.subject.camera.fov")
    focal = height / 2 / np.tan(np.radians(fov) / 2)
    camera = cameras.Camera.simple(c2w, width, height, focal)
    wanted = (sphere(camera, (width, height), None) * 255).round()
    assert np.array_equal(pixels_of(page), wanted)
    assert page.text_content("#badge") == "exact" or until(
        lambda: page.text_content("#badge") == "exact"
    )


def test_a_drag_a_wheel_and_keys_change_the_picture(page):
    exact(page)
    seen = [pixels_of(page)]

    def changed():
        exact(page)
        seen.append(pixels_of(page))
        assert not np.array_equal(seen[-1], seen[-2])

    def moved():
        until(lambda: not page.evaluate("fieldsViewer.subject.exact"), "a move")

    page.mouse.move(150, 150)
    page.mouse.down()
    page.mouse.move(220, 180, steps=6)
    page.mouse.up()
    changed()
    page.mouse.wheel(0, 300)
    moved()
    changed()
    page.keyboard.down("ArrowLeft")
    moved()
    page.keyboard.up("ArrowLeft")
    changed()
    page.keyboard.press("f")
    page.keyboard.down("w")
    moved()
    page.keyboard.up("w")
    changed()
    page.keyboard.press("0")
    exact(page)
    until(lambda: np.array_equal(pixels_of(page), seen[0]), "the first view")


def test_frames_are_counted_once_and_soon_after_their_views(page):
    exact(page)
    page.evaluate(
        """() => { fieldsViewer.frames.measure();
          fieldsViewer.drive = () => {
            if (fieldsViewer.frames.log.length < 20) fieldsViewer.subject.camera.turn(0.02, 0);
          }; }"""
    )
    until(lambda: page.evaluate("fieldsViewer.frames.log.length") > 15, "frames")
    ids = page.evaluate("fieldsViewer.frames.log.map((f) => f.id)")
    assert ids == sorted(set(ids))
    assert page.evaluate("fieldsViewer.frames.log.every((f) => f.t >= f.sent)")


def test_without_the_token_the_page_says_what_to_do(browser, ball):  # noqa: F811
    page = open_page(browser, ball, ball.url.partition("#")[0])
    until(lambda: "token" in (page.text_content("#message") or ""))
    assert page.is_visible("#message")
    page.close()


def test_a_render_that_raises_shows_its_error_and_goes_on(browser, capfd):  # noqa: F811
    state = {"broken": True}

    def render(camera, size, cancel):
        if state["broken"]:
            raise RuntimeError("no light")
        return sphere(camera, size, cancel)

    with Viewer(render, port=0) as viewer:
        page = open_page(browser, viewer)
        until(lambda: page.text_content("#message") == "RuntimeError: no light")
        state["broken"] = False
        page.focus("#stage")
        page.keyboard.press("ArrowLeft")
        exact(page)
        assert not page.is_visible("#message")
        assert page.wrong == []
        page.close()


def test_a_path_is_recorded_saved_loaded_and_made_a_film(page, tmp_path):
    exact(page)
    page.keyboard.press("k")
    page.evaluate("fieldsViewer.subject.camera.turn(0.7, 0.2)")
    page.keyboard.press("k")
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    with page.expect_download() as saved:
        page.get_by_text("Save JSON").click()
    file = tmp_path / "path.json"
    saved.value.save_as(file)
    content = json.loads(file.read_text())
    assert len(content["keyframes"]) == 2
    assert len(content["camera_path"]) == 60
    from fields import camera_paths

    path = camera_paths.read(file, None, (100, 100))
    assert len(path.shots) == 60
    first = page.evaluate("fieldsViewer.path.keys[0].c2w")
    assert path.shots[0].camera.cam_to_world.ravel() == pytest.approx(first)
    page.evaluate("fieldsViewer.path.keys = []")
    page.set_input_files("input[type=file]", file)
    until(lambda: page.evaluate("fieldsViewer.path.keys.length") == 2)
    assert page.evaluate("fieldsViewer.path.keys[0].c2w") == pytest.approx(first)
    page.evaluate("fieldsViewer.path.keys[0].seconds = 0.2")
    with page.expect_download() as film:
        page.evaluate("fieldsViewer.film(64, 48)")
    film.value.save_as(tmp_path / "film.mp4")
    import av

    with av.open(tmp_path / "film.mp4") as frames:
        assert sum(1 for _ in frames.decode(video=0)) == 6


def test_paths_of_other_forms_are_read_and_nonsense_is_told(page, tmp_path):
    matrix = np.eye(4)
    matrix[:3, 3] = 1, 2, 3
    old = {"keyframes": [{"matrix": json.dumps(matrix.T.ravel().tolist()), "fov": 40}] * 2}
    frames = {"camera_angle_x": 0.7, "frames": [{"transform_matrix": matrix.tolist()}] * 3}
    for content, count in ((old, 2), (frames, 3)):
        (tmp_path / "p.json").write_text(json.dumps(content))
        page.set_input_files("input[type=file]", tmp_path / "p.json")
        until(lambda n=count: page.evaluate("fieldsViewer.path.keys.length") == n)
        got = page.evaluate("fieldsViewer.path.keys[0].c2w")
        assert got == pytest.approx(matrix.ravel())
    for text in ("{", "{}", '{"keyframes": [{"matrix": [1]}]}'):
        (tmp_path / "bad.json").write_text(text)
        page.set_input_files("input[type=file]", tmp_path / "bad.json")
        until(lambda: (page.text_content("#message") or "").startswith("bad.json"))
        page.evaluate("fieldsViewer.say('')")


def test_a_screenshot_has_the_pixels_that_are_shown(page, tmp_path):
    from fields.pictures import read_picture

    exact(page)
    with page.expect_download() as shot:
        page.keyboard.press("p")
    shot.value.save_as(tmp_path / "shot.png")
    assert np.array_equal(read_picture(tmp_path / "shot.png").pixels[..., :3], pixels_of(page))


def test_it_works_with_the_keyboard_alone_and_says_its_keys(page):
    page.keyboard.press("?")
    assert page.is_visible("#help")
    assert "screenshot" in page.text_content("#help")
    page.keyboard.press("Escape")
    assert not page.is_visible("#help")
    page.keyboard.press("h")
    assert not page.is_visible("#panel")
    page.keyboard.press("h")
    # What is focused takes its own keys alone.
    page.focus("input[name=lossless]")
    page.keyboard.press("k")
    assert page.evaluate("fieldsViewer.path.keys.length") == 1
    page.focus("input[name=quality]")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("fieldsViewer.values.quality") == 74
    assert page.evaluate("fieldsViewer.subject.camera.exact !== null")
    page.keyboard.press("Escape")
    page.keyboard.down("ArrowLeft")
    until(lambda: page.evaluate("fieldsViewer.subject.camera.exact === null"), "a turn")
    page.keyboard.up("ArrowLeft")
    unnamed = page.evaluate(
        """[...document.querySelectorAll("#panel button, #panel input, #panel select, nav button")]
          .filter((e) => !e.labels?.length && !e.ariaLabel && !e.textContent.trim() && !e.hidden)
          .map((e) => e.outerHTML)"""
    )
    assert unnamed == []


def test_a_narrow_page_shows_as_much_from_side_to_side_as_a_square_one(page):
    page.set_viewport_size({"width": 300, "height": 900})
    until(lambda: page.evaluate("fieldsViewer.aspect()") < 0.7)
    page.keyboard.press("0")
    aspect = page.evaluate("fieldsViewer.aspect()")
    fov = np.radians(page.evaluate("fieldsViewer.subject.camera.fov"))
    usual = np.radians(page.evaluate("fieldsViewer.about.fov"))
    assert np.tan(fov / 2) * aspect == pytest.approx(np.tan(usual / 2))
    exact(page)
    darkest = pixels_of(page).min((0, 2))  # of each column
    assert darkest.min() < 255 and darkest[0] == darkest[-1] == 255


def test_light_and_dark_differ_and_can_be_read(page):
    def contrast():
        return page.evaluate(
            """() => { const of = (c) => { const v = c.match(/[\\d.]+/g).slice(0, 3)
              .map((x) => x / 255)
              .map((x) => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
              return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
              const s = getComputedStyle(document.getElementById("panel"));
              const [a, b] = [of(s.color), of(s.backgroundColor)];
              return [b, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]; }"""
        )

    first = contrast()
    page.keyboard.press("l")
    second = contrast()
    assert first[0] != second[0]
    assert min(first[1], second[1]) > 7


def test_a_picture_is_moved_zoomed_to_the_pointer_and_drawn_exactly(browser, run):  # noqa: F811
    with Viewer(run, port=0) as viewer:
        page = open_page(browser, viewer)
        ready(page)
        exact(page)

        def shown():
            place = page.evaluate("fieldsViewer.subject._place()")
            size = tuple(place["whole"])
            seen = pixels_of(page)
            x0, y0 = max(place["left"], 0), max(place["top"], 0)
            x1 = min(place["left"] + size[0], place["width"])
            y1 = min(place["top"] + size[1], place["height"])
            box = (x0 - place["left"], y0 - place["top"], x1 - place["left"], y1 - place["top"])
            assert np.array_equal(seen[y0:y1, x0:x1], run.render(size, box))
            return size

        before = shown()
        page.mouse.move(100, 120)
        under = "(() => { const s = fieldsViewer.subject, p = s._place();"
        under += " return [(100 - p.left) / p.whole[0], (120 - p.top) / p.whole[1]]; })()"
        first = page.evaluate(under)
        page.mouse.wheel(0, -500)
        until(lambda: not page.evaluate("fieldsViewer.subject.exact"))
        exact(page)
        assert shown()[0] > before[0]
        assert page.evaluate(under) == pytest.approx(first, abs=0.01)
        page.mouse.down()
        page.mouse.move(160, 150, steps=4)
        page.mouse.up()
        until(lambda: not page.evaluate("fieldsViewer.subject.exact"))
        exact(page)
        shown()
        assert page.wrong == []
        page.close()


def test_truth_stands_beside_a_picture(browser, run):  # noqa: F811
    with Viewer(run, port=0) as viewer:
        page = open_page(browser, viewer)
        ready(page)
        exact(page)
        page.select_option("select[name=compare]", "truth")
        until(lambda: page.is_visible("#truth"))
        exact(page)
        page.keyboard.press("c")
        assert page.input_value("select[name=compare]") == "error"
        page.close()
