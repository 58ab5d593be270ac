from __future__ import annotations

import msgspec
import pytest

from gateway.devices import Image, UpdateRefused, check_image, decode_image, encode_image

IMAGE = Image("pump", "1.2.0", "ab" * 32, 1_000, b"s" * 64, 5, "me")


def test_an_image_comes_back_as_it_was():
    assert decode_image(encode_image(IMAGE)) == IMAGE
    assert IMAGE.id == "pump@1.2.0"
    check_image(IMAGE)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "a/b"}, "name 'a/b'"),
        ({"version": ""}, "version ''"),
        ({"sha256": "AB" * 32}, "64 small hexadecimal digits"),
        ({"size_bytes": 0}, "1 to 1073741824 bytes, not 0"),
        ({"signature": b"short"}, "64 bytes, not 5"),
    ],
)
def test_what_an_image_cannot_be_is_said(change, complaint):
    with pytest.raises(UpdateRefused, match=complaint):
        check_image(msgspec.structs.replace(IMAGE, **change))


def test_what_is_no_image_is_refused():
    with pytest.raises(UpdateRefused, match="can't be read"):
        decode_image(b"\xc1")
