"""Who may speak with the server: addresses that a request names, and the token.

A page of another site must not reach a viewer on this machine. Its script may open a socket here,
but the browser says where the script came from (Origin); a name that an attacker points at this
machine (DNS rebinding) stands in Host. Both are checked, and nothing is sent before the token came.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fields.errors import FieldsError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
WIDE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # what stands for them here


def new_token() -> str:
    """128 random bits as 32 hexadecimal digits."""
    return secrets.token_hex(16)


@dataclass(frozen=True)
class Guard:
    """
    Args:
        host: that the server binds.
        token: a client's first message.
        origins: more of them that pages may come from, such as a proxy's `https://hub.example`,
            with the path that it puts in front of ours, if it does.

    Attributes:
        prefixes: of each origin that path, without a slash at its end.
    """

    host: str
    token: str = field(default_factory=new_token)
    origins: Collection[str] = ()
    prefixes: tuple[str, ...] = field(init=False)

    def __post_init__(self):
        checked = [checked_origin(o) for o in self.origins]
        object.__setattr__(self, "origins", tuple(origin for origin, _ in checked))
        object.__setattr__(self, "prefixes", tuple(prefix for _, prefix in checked))

    @property
    def is_wide(self) -> bool:
        """Other machines can reach the server."""
        return not is_loopback(self.host)

    def refuses_host(self, host: str | None) -> str | None:
        """Why a request with this Host header is refused; None where it is not."""
        name = _name_of(host)
        if name is None:
            return "the request names no host"
        if name in LOOPBACK or name == self.host.lower():
            return None
        if any(name == _name_of(urlsplit(o).netloc) for o in self.origins):
            return None
        # An address in numbers was typed by somebody: no name was made to point here.
        if self.is_wide and (_is_address(name) or name in _own_names()):
            return None
        return "this name is not that of the viewer; open the address that it printed"

    def refuses_origin(self, origin: str | None, host: str | None) -> str | None:
        """Why a socket of a page from `origin` is refused; None where it is not."""
        if origin is None:
            return "the request names no origin"
        if origin.lower().rstrip("/") in self.origins:
            return None
        parts = urlsplit(origin)
        same = parts.scheme in ("http", "https") and parts.netloc.lower() == (host or "").lower()
        return None if same else f"pages of {origin[:80]!r} may not open this viewer"

    def own_path(self, path: str) -> str:
        """Without the prefix of a proxy that has passed it on as it was."""
        for prefix in self.prefixes:
            if prefix and path.startswith(f"{prefix}/"):
                return path[len(prefix) :]
        return path

    def addresses(self, port: int) -> list[str]:
        """Of the page, with the token in its fragment, which browsers send to nobody: the own one,
        and those of proxies."""
        name = WIDE.get(self.host, self.host)
        name = f"[{name}]" if ":" in name else name
        proxies = [o + p for o, p in zip(self.origins, self.prefixes, strict=True)]
        return [f"{place}/#{self.token}" for place in (f"http://{name}:{port}", *proxies)]

    def knows(self, token: object) -> bool:
        """Compared in constant time."""
        given = token.encode() if isinstance(token, str) else b""
        return hmac.compare_digest(given, self.token.encode())


def is_loopback(host: str) -> bool:
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_origin(origin: str) -> tuple[str, str]:
    """In the form of a browser's header, and the path behind it; FieldsError where it is none."""
    parts = urlsplit(origin)
    try:
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound or parts.query or parts.fragment or "@" in parts.netloc:
        raise FieldsError(
            "--allow-origin must be such as https://hub.example, with a path where the proxy puts"
            f" one in front, got {origin!r}"
        )
    return f"{parts.scheme}://{parts.netloc}".lower(), parts.path.rstrip("/")


def _name_of(host: str | None) -> str | None:
    """A Host header without its port, in small letters."""
    if not host:
        return None
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> set[str]:
    return {socket.gethostname().lower(), socket.getfqdn().lower()}
