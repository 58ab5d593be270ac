import pytest

from gateway.errors import GroupRefused
from gateway.store.groups.register import READING, WORKING, GroupEntry, check_name, read_entry

ENTRY = GroupEntry("g", READING, ["alerts", "telemetry"], {"a": [("alerts", 0)], "b": []})


def test_an_entry_is_read_back_as_it_was():
    assert read_entry("g", ENTRY.put().value) == ENTRY
    plain = GroupEntry("g", WORKING, ["telemetry"])
    assert read_entry("g", plain.put().value) == plain


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b'{"version":"1"}', b'{"version":1}'])
def test_what_is_no_entry_is_refused(value):
    with pytest.raises(GroupRefused, match="'g' can't be read"):
        read_entry("g", value)


def test_an_entry_of_a_later_version_is_refused():
    with pytest.raises(GroupRefused, match=r"another version of Penstock .*version 2"):
        read_entry("g", b'{"version": 2}')


@pytest.mark.parametrize("name", ["", "a\n", "x" * 201])
def test_names_are_short_and_printable(name):
    with pytest.raises(GroupRefused, match="1 to 200 printable"):
        check_name(name)
