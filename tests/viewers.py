"""What tests of the viewer share: a client in Python, and a browser where there is one."""

import json
import shutil
import threading
import time
from typing import Any

import meshes
import numpy as np
import pytest
import scene_fits
from small import TINY, picture
from websockets.sync.client import connect

import fields
from fields import fitting
from fields.progress import Silent
from fields.request import Request
from fields_viewer import Viewer
from fields_viewer.protocol import HEADER_BYTES, Header
from fields_viewer.training import Training
from fields_viewer.turns import Turns

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPENED = []  # the contexts of clients' sockets
WAIT = 30  # seconds at the most, for what comes in a moment


def until(holds, what="it"):
    """Wait until `holds()` is true; returns what it gave."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come")


class Page:
    """Speaks with a viewer as its page does."""

    def __init__(self, viewer, token=None, origin=None, path="/live"):
        self.viewer = viewer
        own = f"127.0.0.1:{viewer.port}"
        context = connect(
            f"ws://{own}{path}",
            origin=f"http://{own}" if origin is None else origin,
            compression=None,
            max_size=None,
            open_timeout=WAIT,
            close_timeout=1,
        )
        self.socket = context.__enter__()
        OPENED.append(context)
        self.told = []
        self.send("hello", token=viewer.guard.token if token is None else token)

    @staticmethod
    def close_all():
        while OPENED:
            OPENED.pop().__exit__(None, None, None)

    def send(self, kind, **message):
        self.socket.send(json.dumps({"type": kind, **message}))

    def next(self):
        """The next message: a dictionary, or a header with its bytes."""
        data = self.socket.recv(timeout=WAIT)
        if isinstance(data, str):
            message = json.loads(data)
            self.told.append(message)
            return message
        return Header.unpack(data), data[HEADER_BYTES:]

    def picture(self, *kinds):
        """The next picture of some kinds; frames are said to be shown."""
        while True:
            found = self.next()
            if isinstance(found, tuple):
                if found[0].kind == 0:
                    self.send("shown", id=found[0].id)
                if found[0].kind in kinds:
                    return found

    def message(self, kind):
        while True:
            found = self.next()
            if isinstance(found, dict) and found["type"] == kind:
                return found

    def look(self, camera, number=1):
        """Ask for a view."""
        half = np.arctan(camera.height / 2 / camera.fl_y)
        self.send(
            "view", id=number, c2w=camera.cam_to_world.ravel().tolist(),
            fov=float(np.degrees(2 * half)), w=camera.width, h=camera.height,
        )  # fmt: skip

    def still(self, width, height, drawn=0):
        """The still picture [height, width, 3], put together of its parts."""
        import imagecodecs

        result, last = np.zeros((height, width, 3), np.uint8), False
        while not last:
            header, data = self.picture(1)
            if header.drawn == drawn:
                pixels = imagecodecs.png_decode(data)
                result[header.y : header.y + header.height, header.x : header.x + header.width] = (
                    pixels
                )
                last = bool(header.flags & 1)
        return result

    def closed(self):
        """The code and the reason with which the server ends the socket."""
        from websockets.exceptions import ConnectionClosed

        try:
            while True:
                self.socket.recv(timeout=WAIT)
        except ConnectionClosed as end:
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")


class InView:
    """A fit in a thread, with a viewer attached."""

    def __init__(self, out, steps, batch=512, slow=0.0):
        options = {name: value for name, value in TINY.items() if name != "batch"}
        self.request = Request(options=options, out=out, steps=steps, batch=batch)
        self.training = Training(Silent(), Turns())
        self.viewer: Any = None
        self.session: Any = None
        self.slow = slow
        self.thread = threading.Thread(target=self._fit)
        self.failed = None

    def _fit(self):
        try:
            self.run = fitting.carry_out(
                self.request, picture(), self.training, time.perf_counter(), watch=self._begins
            )
            self.training.ends("done")
        except BaseException as error:
            self.failed = error

    def _begins(self, session):
        session.gate = self.training
        self.session = session
        take = session.step

        class Slow:
            def __call__(self, step, factor, pause=self.slow):
                time.sleep(pause)
                return take(step, factor)

            def tensors(self):
                return take.tensors()

        session.step = Slow()
        self.viewer = Viewer(session.live(), training=self.training, port=0)
        self.training.begins(session.standing)

    def __enter__(self):
        self.thread.start()
        until(lambda: self.failed or self.training.word == "running")
        assert self.failed is None
        return self

    def __exit__(self, *error):
        self.training.resume()
        self.thread.join()
        self.viewer.close()
        assert self.failed is None


def fitted_shape(folder):
    """A run of a ring."""
    import trimesh

    vertices, faces = meshes.torus()
    trimesh.Trimesh(vertices, faces, process=False).export(folder / "ring.obj")
    monkey = pytest.MonkeyPatch()
    monkey.setattr("fields.runs.shape.RESOLUTION", 24)
    monkey.setattr("fields.runs.shape.PREVIEW", (16, 16))
    monkey.setattr("fields.shapes.scores.POINTS", 500)
    run = fields.fit(folder / "ring.obj", out=folder / "run", steps=150)
    monkey.undo()
    return run


def fitted_scene(folder):
    """A run of the demo scene."""
    source = scene_fits.make(folder / "demo")
    run = fields.fit(source, out=folder / "run", steps=60, **scene_fits.SMALL)
    return fields.load(run.path)


@pytest.fixture(scope="module")  # one at a time: playwright has no second one beside it
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium here (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        # A name that somebody made to point here.
        rule = "--host-resolver-rules=MAP evil.example 127.0.0.1"
        options = ["--no-sandbox", "--no-proxy-server", rule]
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield made
        made.close()


def open_page(browser, viewer, url=None, size=(640, 400)):
    """A page that is ready, with what it complained of and whom it asked."""
    page = browser.new_page()
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.wrong, page.asked = [], []
    page.on("console", lambda line: page.wrong.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(url or viewer.url)
    return page


def ready(page):
    until(lambda: page.evaluate("document.documentElement.dataset.ready === 'yes'"), "the page")


def exact(page):
    """Wait for the still picture."""
    until(lambda: page.evaluate("fieldsViewer.subject.exact"), "the still picture")


def pixels_of(page, canvas="picture"):
    """What a canvas shows, [H, W, 3]."""
    width, height, data = page.evaluate(
        f"""() => {{
          const c = document.getElementById({canvas!r});
          const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
          let text = "";
          for (let i = 0; i < d.length; i += 8192)
            text += String.fromCharCode(...d.subarray(i, i + 8192));
          return [c.width, c.height, btoa(text)];
        }}"""
    )
    import base64

    array = np.frombuffer(base64.b64decode(data), np.uint8)
    return array.reshape(height, width, 4)[..., :3]
