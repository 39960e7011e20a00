"""A viewer that is open: its address, its end, and the frame that a notebook shows it in."""

from __future__ import annotations

import html
import sys
import time
import webbrowser
from collections.abc import Collection
from typing import Any

from fields.errors import FieldsError, either
from fields_viewer.baking import PROXIES
from fields_viewer.guard import Guard
from fields_viewer.hub import Hub
from fields_viewer.server import PORT, Server
from fields_viewer.subjects import subject_of
from fields_viewer.training import Training


class Viewer:
    """Shows something until `close`.

    Args:
        thing: a run, or a function; see `view`.
        port: 7007 by default, or any that is free where that is taken.
        host: the address that is listened at; that of this machine alone by default.
        origins: more of them that pages may come from: that of a proxy, with the path that it puts
            in front of ours, if it does; a notebook's frame then goes through the first of them.
        training: of the run, under way.
        proxy: whether frames of a scene in motion are drawn from a baked proxy: "on", "off" or, on
            a CPU alone, "auto".
        of_function: the view that a function begins with, see FunctionSubject.
    """

    def __init__(
        self,
        thing: Any,
        *,
        port: int = PORT,
        host: str = "127.0.0.1",
        origins: Collection[str] = (),
        training: Training | None = None,
        proxy: str = "auto",
        **of_function: Any,
    ):
        if proxy not in PROXIES:
            raise FieldsError(f"proxy must be {either(PROXIES)}, got {proxy!r}")
        self.guard = Guard(host, origins=origins)
        self.hub = Hub(subject_of(thing, **of_function), training, proxy)
        self.server = Server(self.hub, self.guard, port)
        self.server.start()

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def url(self) -> str:
        """With the token in its fragment, which browsers send to nobody."""
        return self.guard.addresses(self.port)[0]

    def lines(self) -> list[str]:
        """What the reader should know: the address, and the way to it from elsewhere."""
        result, proxies = [self.url], self.guard.addresses(self.port)[1:]
        if self.guard.is_wide:
            result.append(
                f"listening at {self.guard.host or 'every address'}: whoever has the token may"
                " look, and what is sent is not encrypted"
            )
        else:
            result.append(
                f"from another machine: ssh -L {self.port}:127.0.0.1:{self.port} USER@THIS_MACHINE,"
                " then the same address"
            )
        return [*result, *(f"through the proxy: {address}" for address in proxies)]

    def wait(self) -> None:
        """Until Ctrl-C."""
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass
        finally:
            self.close()

    def close(self) -> None:
        self.server.stop()

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _repr_html_(self) -> str:
        """For a notebook: an IFrame."""
        address = self.guard.addresses(self.port)[:2][-1]
        return (
            f'<iframe src="{html.escape(address)}" width="100%" height="640"'
            ' style="border:0" title="fields viewer"></iframe>'
        )

    def __repr__(self) -> str:
        return f"Viewer({self.hub.subject.title!r}, {self.url})"


def view(
    thing: Any,
    *,
    open_browser: bool = True,
    wait: bool | None = None,
    **options: Any,
) -> Viewer:
    """Show a run, or what a function draws, in the browser.

    Args:
        thing: a run; or a function (camera, (width, height), cancel) -> picture [height, width, 3],
            uint8 or floats in [0, 1]. `camera` is a fields.cameras.Camera; `cancel` is a tensor [1]
            that is not zero once nobody waits for the picture: long functions look at it.
        open_browser: ask the system to open the page.
        wait: return after Ctrl-C alone; by default so in a script, but not in a notebook or at the
            prompt.
        options: see Viewer, and FunctionSubject for where the first camera of a function stands.
    """
    viewer = Viewer(thing, **options)
    for line in viewer.lines():
        print(line, flush=True)
    if open_browser:
        opens(viewer.url)
    if wait if wait is not None else not _is_interactive():
        viewer.wait()
    return viewer


def opens(url: str) -> bool:
    """Whether a browser was found."""
    try:
        return webbrowser.open(url)
    except webbrowser.Error:
        return False


def _is_interactive() -> bool:
    return hasattr(sys, "ps1") or "IPython" in sys.modules
