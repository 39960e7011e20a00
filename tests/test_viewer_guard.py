"""Who may speak with the viewer, and what may be said."""

import json

import pytest

from fields.errors import FieldsError
from fields_viewer.guard import Guard, new_token
from fields_viewer.protocol import HEADER_BYTES, Header, Refused, parse

IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
VIEW = {"type": "view", "id": 1, "c2w": IDENTITY, "fov": 40, "w": 100, "h": 80}


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7007", "localhost:9000", "[::1]:7007", "LOCALHOST", "127.0.0.1"]
)
def test_a_page_of_this_machine_is_let_in_from_any_port(host):
    guard = Guard("127.0.0.1")
    assert guard.refuses_host(host) is None
    assert guard.refuses_origin(f"http://{host}", host) is None


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "127.0.0.1.evil.example:7007", "127.evil.example", "0x7f000001",
     "192.168.1.5:7007", "[::2]:1", "localhost.evil.example", "user@127.0.0.1.evil.example", "[::"],
)  # fmt: skip
def test_a_name_that_was_made_to_point_here_is_refused(host):
    assert Guard("127.0.0.1").refuses_host(host)


@pytest.mark.parametrize(
    "origin",
    [None, "null", "http://evil.example", "http://localhost:8888", "https://127.0.0.1",
     "file://", "ws://127.0.0.1:7007", "http://127.0.0.1:7007.evil.example"],
)  # fmt: skip
def test_a_page_of_another_site_is_refused(origin):
    assert Guard("127.0.0.1").refuses_origin(origin, "127.0.0.1:7007")


def test_a_proxy_is_let_in_where_it_was_named():
    guard = Guard("127.0.0.1", origins=["https://Hub.example/"])
    assert guard.refuses_origin("https://hub.example", "127.0.0.1:7007") is None
    assert guard.refuses_host("hub.example") is None
    assert guard.refuses_origin("https://other.example", "hub.example")
    for wrong in ("hub.example", "https://hub.example/?a", "https://a@hub.example", "ftp://a",
                  "https://", ""):  # fmt: skip
        with pytest.raises(FieldsError, match="--allow-origin must be such as"):
            Guard("127.0.0.1", origins=[wrong])


def test_the_path_that_a_proxy_puts_in_front_is_taken_away():
    guard = Guard("127.0.0.1", origins=["https://hub.example/user/me/7007/", "https://b.example"])
    assert guard.refuses_origin("https://hub.example", "127.0.0.1:7007") is None
    assert guard.own_path("/user/me/7007/live.js") == "/live.js"
    for path in ("/", "/live.js", "/user/me/70071/live.js", "/user/me/7007"):
        assert guard.own_path(path) == path
    own, hub, other = guard.addresses(7007)
    assert own == f"http://127.0.0.1:7007/#{guard.token}"
    assert hub == f"https://hub.example/user/me/7007/#{guard.token}"
    assert other == f"https://b.example/#{guard.token}"


def test_a_wide_bind_takes_addresses_and_its_own_name_alone():
    guard = Guard("0.0.0.0")
    assert guard.is_wide
    assert guard.refuses_host("192.168.1.5:7007") is None
    assert guard.refuses_host("evil.example:7007")


def test_tokens_are_128_random_bits():
    assert len({new_token() for _ in range(50)}) == 50
    assert len(new_token()) == 32
    guard = Guard("127.0.0.1")
    assert guard.knows(guard.token)
    for wrong in ("", guard.token[:-1], guard.token + "0", None, 7, "é", [guard.token]):
        assert not guard.knows(wrong)


def test_a_header_comes_back_as_it_was():
    header = Header(1, 1, 7, 640, 480, 2, 3, 999, -5, 12, 800, 600, 0.5, 1234, 5678)
    assert len(header.pack()) == HEADER_BYTES == 40
    assert Header.unpack(header.pack() + b"rest") == header


@pytest.mark.parametrize(
    "change",
    [
        {"id": -1}, {"id": 1.5}, {"id": True}, {"id": 2**40}, {"c2w": IDENTITY[:15]},
        {"c2w": [*IDENTITY[:15], "1"]}, {"c2w": [float("nan"), *IDENTITY[1:]]},
        {"c2w": [2, *IDENTITY[1:]]}, {"c2w": "identity"}, {"fov": 0}, {"fov": 180}, {"w": 0},
        {"w": 100_000}, {"w": 8000, "h": 8000}, {"more": 1}, {"type": "run"}, {"type": 3},
    ],
)  # fmt: skip
def test_a_view_that_is_none_is_refused_in_one_line(change):
    assert parse(json.dumps(VIEW))["id"] == 1
    with pytest.raises(Refused) as refused:
        parse(json.dumps({**VIEW, **change}))
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '"view"', "{}", '{"type": []}', b"\x00\x01", "[" * 30_000,
     '{"type": "view"}', '{"type": "set", "name": "a", "value": {"b": 1}}',
     '{"type": "tiles", "id": 1, "want": [[1, 2]], "moving": 0}', '{"type": "do", "name": 1}',
     '{"type": "film", "fps": 0, "w": 8, "h": 8, "count": 1}',
     '{"type": "shots", "start": 0, "shots": [[1]]}'],
)  # fmt: skip
def test_garbage_is_refused_in_one_line(text):
    with pytest.raises(Refused) as refused:
        parse(text)
    assert len(str(refused.value).splitlines()) == 1
