"""The server by itself: what it sends, and what it does with those that mean no good."""

import json
import threading
import time

import imagecodecs
import numpy as np
import pytest
from small import TINY, picture
from viewers import WAIT, Page, until
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import fields
import fields_viewer
from fields import cameras
from fields.cameras import Camera
from fields_viewer.protocol import CLOSED_AS_FULL, CLOSED_BY_TOKEN, FLAT_TILE, FRAME

CAMERA = cameras.around(np.zeros(3), 1.0, (160, 120), up="z")


def stripes(camera: Camera, size, cancel):
    """A picture that its camera alone decides."""
    _, directions = camera.rays()
    return (0.5 + 0.5 * directions).reshape(size[1], size[0], 3)


@pytest.fixture(autouse=True)
def _closed_in_the_end():
    yield
    Page.close_all()


@pytest.fixture
def viewer():
    with fields_viewer.Viewer(stripes, port=0) as made:
        yield made


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewer") / "run"
    return fields.fit(picture(90, 120), out=folder, steps=5, **TINY)


def test_three_lines_show_what_a_function_draws(viewer):
    page = Page(viewer)
    about = page.message("welcome")
    assert about["title"] == "stripes"
    assert not about["flat"]
    page.look(CAMERA)
    header, data = page.picture(FRAME)
    assert data[:2] == b"\xff\xd8"
    assert (header.whole_width, header.whole_height) == (160, 120)
    wanted = (stripes(CAMERA, (160, 120), None) * 255).round()
    assert np.array_equal(page.still(160, 120), wanted)


def test_frames_of_a_moving_camera_are_the_newest_ones(viewer):
    page = Page(viewer)
    page.message("welcome")
    for number in range(1, 60):
        page.look(CAMERA, number)
    last = 0
    while last < 59:
        header, _ = page.picture(FRAME)
        assert header.id > last
        last = header.id


def test_no_more_frames_are_under_way_than_were_shown(viewer):
    page = Page(viewer)
    page.message("welcome")
    came = []
    for number in range(1, 12):
        page.look(CAMERA, number)
        time.sleep(0.03)
    with pytest.raises(TimeoutError):
        while True:
            data = page.socket.recv(timeout=0.4)
            came.append(data[0])
    assert came.count(FRAME) == 2


def refused(viewer, path="/live", **options):
    with pytest.raises(InvalidStatus) as answer:
        connect(f"ws://127.0.0.1:{viewer.port}{path}", open_timeout=WAIT, **options).__enter__()
    return answer.value.response.status_code


def test_other_origins_and_hosts_are_refused(viewer):
    own = f"http://127.0.0.1:{viewer.port}"
    assert refused(viewer, origin="http://evil.example") == 403
    assert refused(viewer) == 403
    assert refused(viewer, origin="http://evil.example", additional_headers={"X": "1"}) == 403
    assert refused(viewer, "/other", origin=own) == 404
    status, body = get(viewer, "/", host="evil.example")
    assert status == 403
    assert b"script" not in body


def get(viewer, path, host=None):
    """An HTTP request as somebody else would send it."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", viewer.port, timeout=WAIT)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{viewer.port}")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    viewer.headers = dict(answer.getheaders())
    return answer.status, body


def test_the_page_and_nothing_else_is_served(viewer):
    status, body = get(viewer, "/")
    assert status == 200
    assert b"<canvas" in body
    assert viewer.guard.token.encode() not in body
    policy = viewer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path in ("/live.js", "/live.css?x=1"):
        assert get(viewer, path)[0] == 200
    for path in ("/../server.py", "/server.py", "/%2e%2e/server.py", "/etc/passwd", "//etc/passwd",
                 "/page/live.js", "/live.html/", "/live"):  # fmt: skip
        assert get(viewer, path)[0] == 404


@pytest.mark.parametrize("token", ["", "0" * 32, "x" * 128])
def test_without_the_token_nothing_is_told(viewer, token):
    page = Page(viewer, token=token)
    assert page.closed()[0] == CLOSED_BY_TOKEN
    assert page.told == []


def test_who_says_nothing_is_sent_away(viewer):
    own = f"127.0.0.1:{viewer.port}"
    with connect(f"ws://{own}/live", origin=f"http://{own}") as socket:
        begun = time.monotonic()
        with pytest.raises(Exception, match="4401"):
            socket.recv(timeout=WAIT)
        assert time.monotonic() - begun < 6


@pytest.mark.parametrize(
    "text", ["nonsense", '{"type": "view"}', '{"type": "set", "name": "x", "value": 1}',
             '{"type": "do", "name": "reboot"}', b"\x00",
             '{"type": "tiles", "id": 1, "want": [], "moving": 0}', "[" * 50_000, "x" * 70_000],
)  # fmt: skip
def test_garbage_ends_its_page_and_no_other(viewer, text):
    good, bad = Page(viewer), Page(viewer)
    good.message("welcome")
    bad.message("welcome")
    bad.socket.send(text)
    if "tiles" not in str(text):  # which mean nothing here, and are harmless
        assert bad.closed()[0] in (1008, 1009)
    good.look(CAMERA)
    assert good.still(160, 120).any()


def test_ten_pages_are_refused_politely_and_four_are_not(viewer):
    pages = [Page(viewer) for _ in range(4)]
    for page in pages:
        page.message("welcome")
    for _ in range(6):
        code, reason = Page(viewer).closed()
        assert code == CLOSED_AS_FULL
        assert "close one" in reason
    pages[0].socket.close()
    until(lambda: viewer.server.clients == 3)
    Page(viewer).message("welcome")


def test_a_render_that_raises_is_told_and_ends_nothing(capfd):
    broken = threading.Event()
    broken.set()

    def render(camera, size, cancel):
        if broken.is_set():
            raise RuntimeError("no\nlight")
        return stripes(camera, size, cancel)

    with fields_viewer.Viewer(render, port=0) as viewer:
        page = Page(viewer)
        page.look(CAMERA)
        assert page.message("error")["text"] == "RuntimeError: no light"
        broken.clear()
        page.look(CAMERA, 2)
        assert page.still(160, 120).any()
    assert "RuntimeError" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("result", "said"),
    [(None, "render must return"), (np.zeros((5, 5, 3)), "was asked for"),
     (np.zeros((2, 3, 5)), "render must return a picture"), ("x", "render must return")],
)  # fmt: skip
def test_what_is_no_picture_is_told(result, said, capfd):
    with fields_viewer.Viewer(lambda *_: result, port=0) as viewer:
        page = Page(viewer)
        page.look(CAMERA)
        assert said in page.message("error")["text"]


def test_a_page_that_vanishes_in_the_middle_of_a_frame_cancels_it():
    begun, ended = threading.Event(), threading.Event()

    def render(camera, size, cancel):
        begun.set()
        end = time.monotonic() + WAIT
        while not cancel.item() and time.monotonic() < end:
            time.sleep(0.005)
        ended.set()
        raise fields.Cancelled("cancelled")

    with fields_viewer.Viewer(render, port=0) as viewer:
        page = Page(viewer)
        page.look(CAMERA)
        assert begun.wait(WAIT)
        page.socket.close()
        assert ended.wait(WAIT)
        until(lambda: viewer.server.clients == 0)
        Page(viewer).message("welcome")


def test_a_new_view_cancels_a_still_picture():
    stills, cancelled = [], []

    def render(camera, size, cancel):
        if size == (160, 120):  # the still one: frames in motion are smaller
            stills.append(size)
            end = time.monotonic() + WAIT
            while not cancel.item() and time.monotonic() < end and len(stills) == 1:
                time.sleep(0.005)
            if cancel.item():
                cancelled.append(size)
                raise fields.Cancelled("cancelled")
        return stripes(camera, size, cancel)

    with fields_viewer.Viewer(render, port=0) as viewer:
        page = Page(viewer)
        page.look(CAMERA)
        until(lambda: stills)
        page.look(CAMERA, 2)
        assert page.still(160, 120).any()
        assert cancelled


def test_tiles_and_the_still_part_of_a_picture_are_those_of_render(run):
    with fields_viewer.Viewer(run, port=0) as viewer:
        page = Page(viewer)
        about = page.message("welcome")
        assert about["flat"]
        assert about["size"] == [120, 90]
        page.send("tiles", id=1, want=[[2, 1, 0], [0, 0, 0]], moving=1)
        header, data = page.picture(FLAT_TILE)
        assert (header.scale, header.x, header.width, header.height) == (2.0, 1, 224, 256)
        tile = imagecodecs.jpeg8_decode(data).astype(int)
        assert np.abs(tile - run.render((480, 360), (256, 0, 480, 256))).mean() < 8
        page.send("flat", id=2, size=[300, 225], crop=[-10, 20, 200, 200], still=1)
        result = page.still(210, 180)
        assert np.array_equal(result[:, 10:], run.render((300, 225), (0, 20, 200, 200)))
        page.send("tiles", id=3, want=[[0, 5, 5]], moving=1)
        assert "no such tile" in page.message("error")["text"]


def test_truth_and_error_stand_beside_a_picture(tmp_path, capfd):
    from fields.pictures import write_picture

    source = picture(40, 56)
    write_picture(tmp_path / "p.png", source)
    run = fields.fit(tmp_path / "p.png", out=tmp_path / "run", steps=5, **TINY)
    with fields_viewer.Viewer(run, port=0) as viewer:
        page = Page(viewer)
        page.message("welcome")
        page.send("set", name="compare", value="truth")
        page.send("flat", id=2, size=[56, 40], crop=[0, 0, 56, 40], still=1)
        assert np.array_equal(page.still(56, 40, drawn=2), source)
        page.send("set", name="compare", value="error")
        page.send("flat", id=3, size=[56, 40], crop=[0, 0, 56, 40], still=1)
        assert page.still(56, 40, drawn=2).any()


def test_a_taken_port_gives_way_to_a_free_one_and_a_named_one_is_refused(viewer):
    with pytest.raises(fields.FieldsError, match="cannot listen"):
        fields_viewer.Viewer(stripes, port=viewer.port)


def test_the_lines_say_how_to_come_from_elsewhere_and_warn_of_a_wide_bind(viewer):
    address, tunnel = viewer.lines()
    assert address == f"http://127.0.0.1:{viewer.port}/#{viewer.guard.token}"
    assert f"ssh -L {viewer.port}:127.0.0.1:{viewer.port}" in tunnel
    assert viewer.url in viewer._repr_html_()
    with fields_viewer.Viewer(stripes, port=0, host="0.0.0.0") as wide:
        assert "whoever has the token" in wide.lines()[1]
        assert Page(wide, token="").closed()[0] == CLOSED_BY_TOKEN


def test_a_film_is_drawn_of_the_shots_that_came(viewer, tmp_path):
    import av

    page = Page(viewer)
    page.message("welcome")
    shots = [[*CAMERA.cam_to_world[:3].ravel().tolist(), 40.0, -1] for _ in range(7)]
    page.send("shots", start=0, shots=shots[:4])
    page.send("shots", start=4, shots=shots[4:])
    page.send("film", fps=10, w=64, h=48, count=7)
    header, data = page.picture(3)
    assert (header.width, header.height) == (64, 48)
    (tmp_path / "film.mp4").write_bytes(data)
    with av.open(tmp_path / "film.mp4") as film:
        assert sum(1 for _ in film.decode(video=0)) == 7
    page.send("film", fps=10, w=64, h=48, count=8)
    assert page.closed()[0] == 1008


def test_run_view_gives_a_frame_for_a_notebook(run):
    viewer = run.view(port=0)
    try:
        assert json.dumps(viewer.url)[1:-1] in viewer._repr_html_()
        assert "<iframe" in viewer._repr_html_()
    finally:
        viewer.close()


def test_the_name_view_is_the_function_whatever_was_imported():
    import fields_viewer
    import fields_viewer.viewer

    assert callable(fields_viewer.view) and callable(fields_viewer.view)
    assert fields_viewer.view is fields_viewer.viewer.view


def test_once_it_is_closed_nothing_of_it_goes_on():
    begun = threading.Event()

    def slow(camera, size, cancel):
        begun.set()
        until(lambda: cancel.item())
        time.sleep(0.3)  # what cannot be cancelled
        return np.zeros((size[1], size[0], 3), np.uint8)

    viewer = fields_viewer.Viewer(slow, port=0)
    page = Page(viewer)
    page.message("welcome")
    page.look(CAMERA)
    assert begun.wait(30)
    Page.close_all()
    viewer.close()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("fields-viewer")]
