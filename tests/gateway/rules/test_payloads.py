from __future__ import annotations

import pytest

from gateway.rules.payloads import decode_payload
from gateway.rules.values import UNKNOWN


def test_json_is_its_value():
    assert decode_payload(b'{"x": [1, 2.5, null, true]}') == {"x": [1, 2.5, None, True]}


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b"NaN", b"[" * 5_000, b"21.5 C"])
def test_what_is_no_json_is_unknown(payload):
    assert decode_payload(payload) is UNKNOWN
