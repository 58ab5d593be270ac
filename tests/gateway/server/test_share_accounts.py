import msgspec
import pytest

from gateway.server.share_accounts import SavedGroup, ShareTally, decode_share
from gateway.session import Position


def test_a_group_is_read_as_it_was_written():
    saved = SavedGroup([("s", 0, 3)], [Position("s", 0, 1, 1)], ShareTally(3, 1, 1, 9))
    assert decode_share(msgspec.msgpack.encode(saved)) == saved
    assert saved.unaccounted == 0


def test_what_an_earlier_program_wrote_has_nothing_to_explain():
    saved = decode_share(msgspec.msgpack.encode([[["s", 0, 3]], []]))
    assert (saved.tally, saved.unaccounted) == (None, 0)


def test_what_is_no_group_is_refused():
    with pytest.raises(ValueError, match="Expected"):
        decode_share(msgspec.msgpack.encode("rubbish"))
