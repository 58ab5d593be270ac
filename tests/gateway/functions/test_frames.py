import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.functions import encode_frame, frames
from gateway.functions.frames import receive_frame


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.one_of(st.binary(max_size=5_000), st.text(), st.integers(0, 1 << 40)), max_size=5)
)
def test_what_is_sent_is_received(content):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(encode_frame(content))
        assert receive_frame(theirs) == content


def test_the_end_is_none_wherever_it_comes():
    whole = encode_frame(["x" * 100])
    for length in range(len(whole)):
        ours, theirs = socket.socketpair()
        with theirs:
            ours.sendall(whole[:length])
            ours.close()
            assert receive_frame(theirs) is None


def test_a_frame_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(frames, "FRAME_BYTES_MAX", 10)
    with pytest.raises(ValueError, match="at most 10"):
        encode_frame(b"x" * 11)
