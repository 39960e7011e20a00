"""One port that serves the page and the socket."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import errno
import http
import json
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.server import Server as SocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from fields.errors import FieldsError
from fields_viewer.baking import Baking
from fields_viewer.client import Client
from fields_viewer.film import Films
from fields_viewer.guard import Guard
from fields_viewer.hub import Hub
from fields_viewer.protocol import CLOSED_AS_FULL, CLOSED_BY_TOKEN, MOST_BYTES, Refused, parse
from fields_viewer.training import Training

PORT = 7007
MOST_CLIENTS = 4
TOKEN_SECONDS = 2.0
_TELL_EVERY = 0.25  # seconds between two reports of a training
_ENDING = 5.0  # seconds for a picture under way, which is cancelled, to end
_STRANGERS = 16  # connections that have not shown a token yet
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_PAGE = Path(__file__).parent / "page"


def page_files() -> dict[str, tuple[str, bytes]]:
    """What is served, by its path: the type and the bytes. Nothing else is ever read."""
    files = {
        f"/{path.name}": (_TYPES[path.suffix], path.read_bytes())
        for path in sorted(_PAGE.iterdir())
        if path.suffix in _TYPES
    }
    return {"/": files["/live.html"], **files}


class Server:
    """Serves a hub in a thread of its own until `stop`.

    Args:
        hub: what is shown.
        guard: who may speak with it.
        port: 0 takes any that is free; where PORT is taken, so does PORT.
    """

    def __init__(self, hub: Hub, guard: Guard, port: int = PORT):
        self.hub, self.guard, self.port = hub, guard, port
        self._files = page_files()
        self._clients: set[Client] = set()
        self._telling: set[asyncio.Task[Any]] = set()
        self._strangers = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failed: Exception | None = None
        self._done = asyncio.Event()
        self._thread = threading.Thread(
            target=self._serve, name="fields-viewer-server", daemon=True
        )

    def start(self) -> None:
        """Returns once the port is open; FieldsError where it cannot be."""
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            raise FieldsError(f"the viewer cannot listen: {self._failed}")
        self.hub.baking.start(lambda: any(client.wants_proxy for client in list(self._clients)))

    def stop(self) -> None:
        """Close all pages, and the port."""
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._done.set)
            self._thread.join()
        self.hub.baking.stop()

    @property
    def clients(self) -> int:
        return len(self._clients)

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
        except Exception as error:
            self._failed = error
        finally:
            self._loop.close()
            self._ready.set()

    async def _main(self) -> None:
        server = await self._listen()
        self.port = next(iter(server.sockets)).getsockname()[1]
        self._ready.set()
        async with server:
            telling = [
                asyncio.create_task(self._tell(kind, thing))
                for kind, thing in self.hub.told().items()
            ]
            await self._done.wait()
            for task in telling:
                task.cancel()
            await asyncio.gather(*telling, return_exceptions=True)
            for client in self._clients:
                client.close()

    async def _listen(self) -> SocketServer:
        def listen(port: int) -> Any:
            return serve(
                self._meet, self.guard.host, port, process_request=self._answer,
                max_size=MOST_BYTES, max_queue=64, compression=None, server_header=None,
                open_timeout=5, close_timeout=1, write_limit=1 << 20,
            )  # fmt: skip

        try:
            return await listen(self.port)
        except OSError as error:
            if self.port != PORT or error.errno != errno.EADDRINUSE:
                raise
            return await listen(0)

    # Requests

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The page's files, refusals, or None for a socket that may be opened."""
        host = _only(request, "Host")
        why = self.guard.refuses_host(host)
        if why:
            return _text(http.HTTPStatus.FORBIDDEN, why)
        path = self.guard.own_path(urlsplit(request.path).path)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            why = self.guard.refuses_origin(_only(request, "Origin"), host)
            if why:
                return _text(http.HTTPStatus.FORBIDDEN, why)
            return None if path == "/live" else _text(http.HTTPStatus.NOT_FOUND, "no such socket")
        if path not in self._files:
            return _text(http.HTTPStatus.NOT_FOUND, "there is one page here, at /")
        kind, data = self._files[path]
        return _response(http.HTTPStatus.OK, kind, data, self._policy(host or ""))

    def _policy(self, host: str) -> str:
        """Content-Security-Policy: the page's own files and socket, and nothing else."""
        proxies = [origin.replace("http", "ws", 1) for origin in self.guard.origins]
        sockets = " ".join([f"ws://{host}", f"wss://{host}", *proxies])
        framers = " ".join(["'self'", "http://localhost:*", "http://127.0.0.1:*"])
        return "; ".join(
            [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' blob: data:",
                f"connect-src 'self' {sockets}",
                f"frame-ancestors {' '.join([framers, *self.guard.origins])}",
                "base-uri 'none'",
                "form-action 'none'",
            ]
        )

    # Sockets

    async def _meet(self, socket: ServerConnection) -> None:
        """A socket from its first message to its end."""
        if self._strangers >= _STRANGERS:
            return await socket.close(CLOSED_AS_FULL, "too many at once; try again")
        self._strangers += 1
        try:
            known = await self._shows_token(socket)
        finally:
            self._strangers -= 1
        if not known:
            return await socket.close(CLOSED_BY_TOKEN, "the token is missing or wrong")
        if len(self._clients) >= MOST_CLIENTS:
            return await socket.close(
                CLOSED_AS_FULL, f"{MOST_CLIENTS} pages are open already; close one and reload"
            )
        await self._talk(socket)

    async def _shows_token(self, socket: ServerConnection) -> bool:
        try:
            message = parse(await asyncio.wait_for(socket.recv(), TOKEN_SECONDS))
        except (asyncio.TimeoutError, ConnectionClosed, Refused):
            return False
        return message["type"] == "hello" and self.guard.knows(message["token"])

    async def _talk(self, socket: ServerConnection) -> None:
        loop = asyncio.get_running_loop()

        def send(data: str | bytes) -> None:
            if threading.current_thread() is self._thread:
                task = loop.create_task(_sent(socket, data))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)
                return
            self._wait_for(_sent(socket, data))

        client = Client(self.hub, send)
        films = Films(self.hub, send, client.tell)
        self._clients.add(client)
        try:
            # In a thread, since a subject may read its source; the first message is before any
            # picture.
            await asyncio.to_thread(client.start)
            async for text in socket:
                self._hear(client, films, parse(text))
        except Refused as reason:
            with contextlib.suppress(ConnectionClosed):
                await socket.close(1008, str(reason)[:120])
        except (ConnectionClosed, ConnectionError):
            pass
        finally:
            films.stop()
            client.close()
            self._clients.discard(client)
            # The server ends after its pages, and so after their threads: one that still draws when
            # the interpreter ends brings the process down.
            await asyncio.to_thread(films.join, _ENDING)
            await asyncio.to_thread(client.join, _ENDING)

    def _wait_for(self, sending: Coroutine[Any, Any, bool]) -> None:
        """Until it is sent; for threads, which may outlive the server."""
        try:
            future = asyncio.run_coroutine_threadsafe(sending, self._loop)
        except RuntimeError:  # the loop has ended
            sending.close()
            raise ConnectionError("the viewer has ended") from None
        is_sent = None
        while is_sent is None:
            try:
                is_sent = future.result(timeout=1.0)
            except concurrent.futures.CancelledError:
                is_sent = False
            except concurrent.futures.TimeoutError:
                if not self._thread.is_alive():  # it ended before the message was begun
                    sending.close()
                    is_sent = False
        if not is_sent:
            raise ConnectionError("the page is gone")

    def _hear(self, client: Client, films: Films, message: dict[str, Any]) -> None:
        if message["type"] == "shots":
            films.shots(message["start"], message["shots"])
        elif message["type"] == "film":
            films.begin(message, client.settings)
        elif message["type"] == "do":
            self._do(films, message["name"])
        elif message["type"] == "hello":
            raise Refused("hello was said already")
        else:
            client.receive(message)

    def _do(self, films: Films, name: str) -> None:
        training = self.hub.training
        actions = {"stop-film": films.stop}
        if training:
            actions |= {"pause": training.pause, "resume": training.resume, "save": training.save}
        if name not in actions:
            raise Refused(f"there is nothing called {name!r} to do")
        actions[name]()

    async def _tell(self, kind: str, thing: Training | Baking) -> None:
        """Where it stands, to all pages, several times a second."""
        told = -1
        while True:
            await asyncio.sleep(_TELL_EVERY)
            if thing.version != told:
                told = thing.version
                state = json.dumps({"type": kind, **thing.state()})
                for client in list(self._clients):
                    with contextlib.suppress(ConnectionError):
                        client.post(state)


def _only(request: Request, name: str) -> str | None:
    """A header that is there once."""
    values = request.headers.get_all(name)
    return values[0] if len(values) == 1 else None


async def _sent(socket: ServerConnection, data: str | bytes) -> bool:
    """Whether it could be. The message is made here: a task may end before it has begun."""
    try:
        await socket.send(data)
    except ConnectionClosed:
        return False
    return True


def _response(status: http.HTTPStatus, kind: str, body: bytes, policy: str) -> Response:
    headers = Headers(
        [
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ]
    )
    return Response(status.value, status.phrase, headers, body)


def _text(status: http.HTTPStatus, text: str) -> Response:
    return _response(status, "text/plain", f"{text}\n".encode(), "default-src 'none'")
