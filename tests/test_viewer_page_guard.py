"""Who may look, in Chromium: other sites, other names, tunnels, proxies, frames, and crowds."""

import contextlib
import http.server
import socket
import threading
import time

import numpy as np
import pytest
from test_viewer_page import sphere
from viewers import (  # noqa: F401
    WAIT,
    browser,
    exact,
    open_page,
    ready,
    until,
)

import fields
from fields_viewer import Viewer


@pytest.fixture(scope="module")
def open_ball(browser):  # noqa: F811
    with Viewer(sphere, port=0) as made:
        yield made


@pytest.fixture
def ball(open_ball):
    """A viewer that nobody looks at."""
    until(lambda: open_ball.server.clients == 0, "the end of other pages")
    return open_ball


@contextlib.contextmanager
def site(body):
    """Another site on this machine, of one page; its address."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            data = f"<!doctype html><meta charset=utf-8><link rel=icon href=data:,>{body}".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def tunnel(port):
    """Another port that leads to this one, as `ssh -L` makes it."""
    door, ends = socket.create_server(("127.0.0.1", 0)), []

    def carry(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for end in (source, sink):
            shut(end)

    def shut(end):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                pair = door.accept()[0], socket.create_connection(("127.0.0.1", port))
                ends.extend(pair)
                for way in (pair, pair[::-1]):
                    threading.Thread(target=carry, args=way, daemon=True).start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield door.getsockname()[1]
    finally:
        shut(door)
        thread.join()
        for end in (door, *ends):
            shut(end)
            end.close()


def test_a_page_of_another_site_is_told_nothing(browser, ball):  # noqa: F811
    script = f"""<script>
      const socket = new WebSocket("ws://127.0.0.1:{ball.port}/live");
      socket.onopen = () => {{
        socket.send(JSON.stringify({{ type: "hello", token: "{ball.guard.token}" }}));
      }};
      socket.onmessage = () => {{ document.title = "told"; }};
      socket.onclose = () => {{ document.title ||= "refused"; }};
    </script>"""
    with site(script) as port:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        until(lambda: page.title(), "an end")
        assert page.title() == "refused"
        assert ball.server.clients == 0
        page.close()


def test_under_a_name_that_was_made_to_point_here_nothing_is_served(browser, ball):  # noqa: F811
    page = browser.new_page()
    answer = page.goto(f"http://evil.example:{ball.port}/#{ball.guard.token}")
    assert answer.status == 403
    assert "open the address that it printed" in page.text_content("body")
    assert page.query_selector("canvas") is None
    page.close()


def test_it_comes_through_a_tunnel_from_another_port(browser, ball):  # noqa: F811
    with tunnel(ball.port) as port:
        for name in ("localhost", "127.0.0.1"):
            page = open_page(browser, ball, f"http://{name}:{port}/#{ball.guard.token}")
            ready(page)
            exact(page)
            assert page.wrong == []
            page.close()


def test_it_comes_through_a_proxy_that_puts_a_path_in_front(browser):  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]  # that the viewer will have, so that the proxy's is known
    with tunnel(port) as way:
        place = f"http://localhost:{way}/user/me/proxy"
        with Viewer(sphere, port=port, origins=[place]) as viewer:
            assert f"through the proxy: {place}/#{viewer.guard.token}" in viewer.lines()
            assert f'src="{place}/#' in viewer._repr_html_()
            page = open_page(browser, viewer, f"{place}/#{viewer.guard.token}")
            ready(page)
            exact(page)
            assert page.wrong == []
            page.close()


def test_a_notebook_shows_it_in_a_frame_and_other_sites_do_not(browser, ball):  # noqa: F811
    with site(ball._repr_html_()) as port:
        page, said = browser.new_page(), []
        page.on("console", lambda line: said.append(line.text))
        page.goto(f"http://localhost:{port}/")
        frame = until(lambda: page.frame(url=f"http://127.0.0.1:{ball.port}/**"), "the frame")
        until(lambda: frame.evaluate("document.documentElement.dataset.ready === 'yes'"))
        page.goto(f"http://evil.example:{port}/")
        until(lambda: page.title() == "" and "frame-ancestors" in " ".join(said), "a refusal")
        assert ball.server.clients == 0
        page.close()


def test_a_page_that_is_closed_in_the_middle_of_a_frame_ends_it(browser):  # noqa: F811
    begun, ended = threading.Event(), threading.Event()

    def render(camera, size, cancel):
        begun.set()
        end = time.monotonic() + WAIT
        while not cancel.item() and time.monotonic() < end:
            time.sleep(0.005)
        if not cancel.item():
            return np.zeros((size[1], size[0], 3), np.uint8)
        ended.set()
        raise fields.Cancelled("cancelled")

    with Viewer(render, port=0) as viewer:
        page = open_page(browser, viewer)
        assert begun.wait(WAIT)
        page.close()
        assert ended.wait(WAIT)
        until(lambda: viewer.server.clients == 0, "the end of the page")
        page = open_page(browser, viewer)
        ready(page)
        page.close()


def test_of_ten_pages_four_are_shown_and_six_are_told_why_not(browser, ball):  # noqa: F811
    pages = [open_page(browser, ball) for _ in range(4)]
    for page in pages:
        ready(page)
    for _ in range(6):
        page = open_page(browser, ball)
        until(lambda p=page: "4 pages are open already" in (p.text_content("#message") or ""))
        assert page.is_visible("#message")
        page.close()
    for page in pages:
        assert page.evaluate("fieldsViewer.stream.opened")
        page.close()


@pytest.mark.parametrize("text", ["nonsense", "x" * 70_000], ids=["garbage", "too large"])
def test_a_page_that_talks_nonsense_is_sent_away_and_no_other(browser, ball, text):  # noqa: F811
    good, bad = open_page(browser, ball), open_page(browser, ball)
    ready(good)
    ready(bad)
    bad.evaluate("(text) => fieldsViewer.stream.socket.send(text)", text)
    until(lambda: bad.evaluate("document.documentElement.dataset.ready === 'no'"))
    assert bad.is_visible("#message")
    good.evaluate("fieldsViewer.subject.camera.turn(0.3, 0)")
    until(lambda: good.evaluate("fieldsViewer.stream.opened && fieldsViewer.subject.exact"))
    for page in (good, bad):
        page.close()
