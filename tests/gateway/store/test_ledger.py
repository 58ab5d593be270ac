import pytest

from gateway.store.ledger import LedgerNote, decode_note, encode_note

NOTE = LedgerNote([5, 7], 1_700_000_000_000)


def test_a_note_is_read_back():
    assert decode_note(encode_note(NOTE)) == NOTE


def test_a_changed_note_is_no_note():
    encoded = encode_note(NOTE).replace(b"7]", b"9]")
    with pytest.raises(ValueError, match="checksum"):
        decode_note(encoded)
