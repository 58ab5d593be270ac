from __future__ import annotations

import pytest

from gateway.config import claim_limits, load_config
from gateway.devices import ProfileBook
from gateway.devices.profiles.loader import parse_profile
from gateway.errors import DocumentInvalid

PROFILE = """
version: 1
profile: camera
topics: ["cameras/{device}/frame"]
payload: {format: text}
claim_check: 16KiB
"""


def load(tmp_path, stream):
    path = tmp_path / "gateway.yaml"
    path.write_text(f"version: 1\nstreams:\n  - {{name: a, filters: '#'{stream}}}\n")
    return load_config(path).streams[0]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("", 256 << 10),
        (", claim_check: 64KiB", 64 << 10),
        (", compact: {by: device}", None),
    ],
)
def test_a_stream_says_how_large_a_payload_it_keeps_itself(tmp_path, stream, expected):
    assert load(tmp_path, stream).claim_bytes == expected


@pytest.mark.parametrize(
    ("stream", "complaint"),
    [
        (", claim_check: 100", "gateway.yaml:3:"),
        (", claim_check: 1GiB", "gateway.yaml:3:"),
        (", claim_check: 64KiB, compact: {by: device}", "compacts keeps every payload in the log"),
    ],
)
def test_what_is_out_of_bounds_is_refused_with_its_place(tmp_path, stream, complaint):
    with pytest.raises(DocumentInvalid, match=complaint):
        load(tmp_path, stream)


def test_a_profile_goes_before_its_stream():
    limits = claim_limits({"a": 64 << 10}, parse_profile(PROFILE))
    assert limits.least == 16 << 10
    assert limits.of("a", "cameras/c1/frame") == 16 << 10
    assert limits.of("a", "cameras/c1/frame") == 16 << 10
    assert limits.of("a", "pumps/p1/level") == 64 << 10
    assert claim_limits({}, ProfileBook()).least == 256 << 10
