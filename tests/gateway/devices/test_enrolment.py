from __future__ import annotations

import msgspec
import pytest

from gateway.devices.credentials import new_key
from gateway.devices.enrolment import (
    EnrolmentGroup,
    EnrolmentRefused,
    GroupBook,
    check_group,
    check_newcomer,
    check_vouched,
    decode_group,
    encode_group,
    group_key,
    newcomer,
    rotated_keys,
    signing_key,
    used,
    with_only_key,
)
from gateway.devices.registry import Device, DeviceInvalid, Key, Registry, encode_device

SECRET = new_key(bytes(32))
KEY = group_key(SECRET, "claim", 0)
LINE = EnrolmentGroup(
    "line", "claim", "pump-*", profile="pump", tags={"site": "n"}, keys=(KEY,), devices_max=2
)
replace = msgspec.structs.replace


def registry(*devices):
    return Registry({one.id: encode_device(one) for one in devices})


def refusal(group, device_id, *devices, now_ms=0):
    with pytest.raises(EnrolmentRefused) as caught:
        check_newcomer(group, device_id, registry(*devices), now_ms)
    return str(caught.value)


def test_a_group_is_kept_as_it_is():
    assert decode_group(encode_group(LINE)) == LINE
    with pytest.raises(DeviceInvalid, match="can't be read"):
        decode_group(b"\xc1")


def test_an_id_that_nobody_has_may_be_a_newcomer():
    assert check_newcomer(LINE, "pump-1", registry(), 0) is None
    made = newcomer(LINE, "pump-1", 5)
    assert (made.status, made.profile, made.tags, made.group) == (
        "active",
        "pump",
        {"site": "n"},
        "line",
    )
    assert made.is_unused
    assert made.created_ms == 5


def test_a_newcomer_may_have_to_wait_for_approval():
    assert newcomer(replace(LINE, approve="manual"), "pump-1", 0).status == "pending"


@pytest.mark.parametrize("kind", ["token", "authority"])
def test_who_proves_itself_each_time_is_known_at_once(kind):
    made = newcomer(replace(LINE, kind=kind), "pump-1", 0)
    assert not made.is_unused
    assert made.has_certificate is (kind == "authority")


def test_no_id_is_given_away_that_somebody_else_registered():
    for device in (Device("pump-1"), Device("pump-1", group="other", is_unused=True)):
        assert refusal(LINE, "pump-1", device) == "'pump-1' is registered already"


def test_an_id_is_given_away_again_until_somebody_has_used_it():
    made = newcomer(LINE, "pump-1", 0)
    assert check_newcomer(LINE, "pump-1", registry(made), 0) == made
    assert "already" in refusal(LINE, "pump-1", used(made, 1))


def test_what_was_denied_is_not_asked_for_again():
    denied = replace(newcomer(LINE, "pump-1", 0), status="disabled")
    assert refusal(LINE, "pump-1", denied) == "'pump-1' was denied"


@pytest.mark.parametrize(
    ("group", "device_id", "reason"),
    [
        (LINE, "valve-1", "is for ids such as 'pump-\\*'"),
        (replace(LINE, status="revoked"), "pump-1", "was revoked"),
        (replace(LINE, expires_ms=10), "pump-1", "its time is over"),
        (LINE, "pump-/", "can't be a device id"),
        (replace(LINE, pattern="*"), "$x", "can't be a device id"),
    ],
)
def test_what_a_group_is_not_for(group, device_id, reason):
    with pytest.raises(EnrolmentRefused, match=reason):
        check_newcomer(group, device_id, registry(), 10)


def test_a_group_has_so_many_devices_and_no_more():
    two = [newcomer(LINE, name, 0) for name in ("pump-1", "pump-2")]
    assert "has 2 devices, as many as it may have" in refusal(LINE, "pump-3", *two)
    known = registry(*two)
    known.put("pump-1", None)
    assert check_newcomer(LINE, "pump-3", known, 0) is None


def test_devices_are_counted_by_the_group_that_they_are_in_now():
    known = registry(newcomer(LINE, "pump-1", 0))
    assert known.count_of("line") == 1
    known.put("pump-1", encode_device(Device("pump-1", group="other")))
    assert (known.count_of("line"), known.count_of("other")) == (0, 1)
    known.put("pump-1", encode_device(Device("pump-1")))
    assert (known.count_of("line"), known.count_of("other")) == (0, 0)


def test_another_key_replaces_the_one_that_never_arrived():
    made = with_only_key(newcomer(LINE, "pump-1", 0), Key(b"1" * 32), 5)
    made = with_only_key(made, Key(b"2" * 32), 6)
    assert [key.sha256 for key in made.keys] == [b"2" * 32]
    assert (made.generation, made.changed_ms, made.is_unused) == (3, 6, True)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id": "a/b"}, "can't be a device id"),
        ({"pattern": ""}, "a pattern is such as"),
        ({"pattern": "a/*"}, "no id fits"),
        ({"devices_max": 0}, "a group has 1 to"),
        ({"per_minute": 0}, "in a minute"),
        ({"keys": ()}, "a group has one key"),
        ({"keys": (KEY,) * 3}, "or 2 while it changes"),
        ({"kind": "authority"}, "certificate of an authority"),
        ({"role": "x" * 300}, "won't do"),
    ],
)
def test_a_group_that_cannot_be_is_refused(fields, reason):
    check_group(LINE)
    with pytest.raises(DeviceInvalid, match=reason):
        check_group(replace(LINE, **fields))


def test_what_a_group_signs_with_is_not_what_it_is_known_by():
    token = group_key(SECRET, "token", 7)
    assert token.signing == signing_key(SECRET.encode())
    assert token.signing != token.sha256
    assert KEY.signing == b""
    assert (token.name, token.key.created_ms) == (KEY.name, 7)
    with pytest.raises(DeviceInvalid, match="at least 22 characters"):
        group_key("short", "claim", 0)


def test_the_key_before_stays_valid_when_one_more_is_made():
    one, two, three = (group_key(new_key(bytes([n]) * 32), "claim", n) for n in range(3))
    assert rotated_keys((one,), two) == (one, two)
    assert rotated_keys((one, two), three) == (two, three)


def test_the_book_knows_groups_by_name_and_by_authority():
    book = GroupBook()
    assert book.of_authorities([b"a"]) is None
    ca = EnrolmentGroup("ca", "authority", "*", authorities=(b"a", b"b"))
    book.put("ca", encode_group(ca))
    book.put("line", encode_group(LINE))
    assert (len(book), {one.id for one in book}) == (2, {"ca", "line"})
    assert book.of_authorities([b"x", b"b"]) == ca
    assert book.of_authorities([b"x"]) is None
    book.put("ca", None)
    assert book.get("ca") is None


def test_a_group_vouches_for_ids_that_fit_and_as_long_as_it_is_not_revoked():
    check_vouched(replace(LINE, expires_ms=1), "pump-1")
    with pytest.raises(EnrolmentRefused):
        check_vouched(LINE, "x")
