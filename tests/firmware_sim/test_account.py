from __future__ import annotations

from collections import Counter
from zlib import crc32

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.account import COPIES_MAX, Ledger

TOPICS = ["a", "b"]
READINGS = 6


def payload_of(topic, seq):
    return orjson.dumps({"topic": topic, "seq": seq})


STEPS = st.tuples(
    st.sampled_from(
        ["sent", "again", "acknowledged", "refused", "overflowed", "stored", "garbled"]
    ),
    st.sampled_from(TOPICS),
    st.integers(0, READINGS - 1),
)


def happen(ledger, account, word, reading):
    topic, seq = reading
    payload = payload_of(topic, seq)
    deeds = {
        "sent": lambda: account.sent(seq, is_repeat=False),
        "again": lambda: account.sent(seq, is_repeat=True),
        "acknowledged": lambda: account.acknowledged(seq, 1),
        "refused": lambda: account.refused(seq),
        "overflowed": lambda: account.overflowed(seq),
        "stored": lambda: ledger.stored(topic, payload),
        "garbled": lambda: ledger.stored(topic, payload + b" "),
    }
    deeds[word]()


def play(steps):
    ledger = Ledger(keeps_readings=True)
    accounts = {topic: ledger.open_account(topic) for topic in TOPICS}
    for topic in TOPICS:
        for seq in range(READINGS):
            accounts[topic].taken(seq, payload_of(topic, seq))
    for word, topic, seq in steps:
        happen(ledger, accounts[topic], word, (topic, seq))
    return ledger


class BruteForce:
    """The account by its words: lists of what happened, searched again and again."""

    def __init__(self, steps):
        self.happened = {(topic, seq): [] for topic in TOPICS for seq in range(READINGS)}
        self.stored = []
        self.places = []
        sent = []
        for word, topic, seq in steps:
            self.happened[topic, seq].append(word)
            if word in {"sent", "again"} and (topic, seq) not in sent:
                sent.append((topic, seq))
            if word == "stored":
                is_sent = (topic, seq) in sent
                self.places.append(sent.index((topic, seq)) + 1 if is_sent else 0)
            if word == "stored":
                self.stored.append((topic, seq))
        self.garbled = sum(word == "garbled" for word, _, _ in steps)

    def fate(self, reading):
        words = self.happened[reading]
        for word in ("acknowledged", "refused", "overflowed"):
            if word in words:
                return word
        return "unacknowledged" if "sent" in words else "buffered"

    def disordered(self):
        count = 0
        for at, (topic, seq) in enumerate(self.stored):
            before = self.stored[:at]
            is_first = (topic, seq) not in before
            count += is_first and any(
                reading[0] == topic
                and self.places[earlier] > self.places[at]
                and before.index(reading) == earlier
                for earlier, reading in enumerate(before)
            )
        return count

    def verdict(self):
        readings = list(self.happened)
        fates = Counter(map(self.fate, readings))
        copies = Counter(self.stored)
        acknowledged = {r for r in readings if self.fate(r) == "acknowledged"}
        return {
            "taken": len(readings),
            "acknowledged": fates["acknowledged"],
            "unacknowledged": fates["unacknowledged"],
            "refused": fates["refused"],
            "buffered": fates["buffered"],
            "overflowed": fates["overflowed"],
            "stored_once": sum(copies[r] == 1 for r in readings),
            "stored_again": sum(copies[r] > 1 for r in readings),
            "copies": len(self.stored),
            "missing": sum(copies[r] == 0 for r in acknowledged),
            "stored_unacknowledged": sum(r not in acknowledged for r in copies),
            "strangers": self.garbled,
            "disordered": self.disordered(),
        }


@given(st.lists(STEPS, max_size=40))
@settings(max_examples=200, deadline=None)
def test_the_account_is_what_counting_by_hand_gives(steps):
    verdict = play(steps).settle()
    expected = BruteForce(steps).verdict()
    assert {name: getattr(verdict, name) for name in expected} == expected
    assert verdict.is_good is (expected["missing"] == 0)


def test_every_reading_is_in_exactly_one_line():
    verdict = play([("sent", "a", 0), ("acknowledged", "a", 0), ("refused", "b", 1)]).settle()
    fates = (
        verdict.acknowledged,
        verdict.unacknowledged,
        verdict.refused,
        verdict.buffered,
        verdict.overflowed,
    )
    assert sum(fates) == verdict.taken == len(TOPICS) * READINGS


def test_an_acknowledged_reading_that_is_not_in_the_log_is_missing():
    ledger = play([("acknowledged", "a", 0), ("acknowledged", "a", 1)])
    ledger.stored("a", payload_of("a", 1))
    verdict = ledger.settle()
    assert (verdict.missing, verdict.is_good) == (1, False)


def test_a_changed_record_does_not_stand_for_its_reading():
    ledger = play([("acknowledged", "a", 0)])
    ledger.stored("a", payload_of("a", 0).replace(b"a", b"x"))
    verdict = ledger.settle()
    assert (verdict.missing, verdict.strangers) == (1, 1)


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"7", b"{}", b'{"seq":true}', b'{"seq":-1}', b'{"seq":99}', b"\xff"]
)
def test_records_that_no_device_sent_are_strangers(payload):
    ledger = play([])
    ledger.stored("a", payload)
    assert ledger.settle().strangers == 1


def test_records_of_an_earlier_run_are_no_strangers():
    ledger = play([])
    ledger.start_ms = 1_000
    ledger.stored("a", b'{"ts":999,"seq":0}')
    ledger.stored("a", b'{"ts":1000,"seq":0}')
    assert ledger.settle().strangers == 1


def test_topics_that_are_not_ours_are_none_of_our_business():
    ledger = play([])
    ledger.stored("somebody/else", payload_of("a", 0))
    verdict = ledger.settle()
    assert (verdict.strangers, verdict.copies) == (0, 0)


def test_copies_beyond_what_a_byte_holds_count_as_many():
    ledger = play([("stored", "a", 0)] * (COPIES_MAX + 10))
    assert ledger.settle().copies == COPIES_MAX


def test_two_devices_can_not_share_a_topic():
    ledger = Ledger(keeps_readings=True)
    ledger.open_account("a")
    with pytest.raises(ValueError, match="two devices publish to 'a'"):
        ledger.open_account("a")


def test_without_readings_only_the_tally_is_kept():
    ledger = Ledger(keeps_readings=False)
    account = ledger.open_account("a")
    for seq in range(100):
        account.taken(seq, b"x")
        account.sent(seq, is_repeat=False)
        account.acknowledged(seq, 3)
    assert len(account.states) == 0
    tally = ledger.tally
    assert (tally.taken, tally.published, tally.acknowledged) == (100, 100, 100)


def test_digests_are_of_the_bytes_as_sent():
    ledger = play([])
    assert list(ledger.open_account("c").digests) == []
    account = ledger.open_account("d")
    account.taken(0, b"abc")
    assert list(account.digests) == [crc32(b"abc")]


def test_commands_are_counted_and_one_that_is_obeyed_twice_is_a_broken_promise():
    ledger = Ledger(keeps_readings=True)
    account = ledger.open_account("a")
    for request_id, outcome in (("1", "obeyed"), ("1", "again"), ("2", "obeyed"), ("3", "unknown")):
        account.obeyed(request_id, outcome)
    verdict = ledger.settle()
    assert (verdict.commands, verdict.commands_repeated, verdict.is_good) == (2, 0, True)
    assert ledger.tally.services == {
        "command_obeyed": 2,
        "command_again": 1,
        "command_unknown": 1,
    }
    account.obeyed("2", "obeyed")
    verdict = ledger.settle()
    assert (verdict.commands, verdict.commands_repeated, verdict.is_good) == (2, 1, False)


def test_the_same_request_id_at_two_devices_is_two_commands():
    ledger = Ledger(keeps_readings=True)
    for topic in "ab":
        ledger.open_account(topic).obeyed("1", "obeyed")
    assert ledger.settle().commands == 2
    assert ledger.settle().is_good


def test_a_message_that_went_astray_is_a_broken_promise():
    ledger = Ledger(keeps_readings=True)
    ledger.open_account("a").served("misdelivered")
    assert not ledger.settle().is_good
