from __future__ import annotations

from http import HTTPStatus

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from gateway.server.listeners.upgrade import Wanted, host_of


def refusal(path="/mqtt", *, origins=(), **headers):
    """The status that a request is refused with; None when it is granted."""
    found = Wanted("/mqtt", tuple(origins), 1 << 20).refusal_of(Request(path, Headers(headers)))
    return None if found is None else found[0]


def test_mqtt_is_at_one_path():
    assert refusal("/mqtt") is None
    assert refusal("/mqtt?token=x") is None
    assert refusal("/") is HTTPStatus.NOT_FOUND
    assert refusal("/mqtt/") is HTTPStatus.NOT_FOUND


@pytest.mark.parametrize(
    ("origin", "host", "origins", "is_granted"),
    [
        (None, "plant.example", [], True),
        ("https://plant.example", "plant.example:8083", [], True),
        ("https://PLANT.example:8080", "plant.example:8083", [], True),
        ("http://localhost:3000", "127.0.0.1:8083", [], True),
        ("http://127.0.0.1", "[::1]:8083", [], True),
        ("https://evil.example", "127.0.0.1:8083", [], False),
        ("https://evil.example", "plant.example", [], False),
        ("http://localhost", "plant.example", [], False),
        ("null", "127.0.0.1:8083", [], False),
        ("null", "", [], False),
        ("", "", [], False),
        ("http://[", "127.0.0.1", [], False),
        ("https://dash.example", "127.0.0.1", ["https://dash.example"], True),
        ("https://dash.example:1", "127.0.0.1", ["https://dash.example"], False),
        ("https://evil.example", "127.0.0.1", ["*"], True),
    ],
)
def test_pages_of_other_sites_need_leave(origin, host, origins, is_granted):
    headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
    expected = None if is_granted else HTTPStatus.FORBIDDEN
    assert refusal(origins=origins, **headers) is expected


@pytest.mark.parametrize("name", ["Origin", "Host"])
def test_a_request_says_once_where_it_comes_from_and_goes_to(name):
    headers = Headers([(name, "http://a"), (name, "http://b")])
    found = Wanted("/mqtt", (), 1 << 20).refusal_of(Request("/mqtt", headers))
    assert found is not None
    assert found[0] is HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://A.b:1", "a.b"), ("//[::1]:8083", "::1"), ("null", None), ("http://[", None)],
)
def test_a_host_name_is_in_small_letters(url, host):
    assert host_of(url) == host
