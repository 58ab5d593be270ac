"""The firmware for real boards: readings, a lost connection, lost power, the twin, commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boards.conftest import FIRMWARE, NAME, TOPIC
from tests.harness.log_reader import read_log
from tests.harness.scripted_client import opened
from tests.harness.waiting import wait_for


def readings(gateway):
    return [event.payload for event in read_log(gateway.data, "telemetry") if event.topic == TOPIC]


def seqs(gateway):
    return [reading["seq"] for reading in readings(gateway)]


def numbers(gateway):
    return [reading["n"] for reading in readings(gateway)]


def wait_for_readings(gateway, count):
    wait_for(lambda: len(readings(gateway)) >= count, f"{count} readings", poll_s=0.2)


@pytest.mark.parametrize(
    "path", [*FIRMWARE.rglob("*.py"), *FIRMWARE.rglob("*.h")], ids=lambda path: path.name
)
def test_a_firmware_is_short_enough_to_be_read(path: Path):
    assert len(path.read_text().splitlines()) < 200


def test_readings_arrive_once_and_in_order(board, gateway):
    board.power_on(gateway.port)
    wait_for_readings(gateway, 10)
    taken = numbers(gateway)
    assert taken == list(range(len(taken)))
    found = seqs(gateway)
    assert found == list(range(found[0], found[0] + len(found)))


def test_what_is_read_without_a_connection_arrives_later(board, gateway):
    board.power_on(gateway.port)
    wait_for_readings(gateway, 5)
    gateway.kill()
    before = len(readings(gateway))
    gateway.start()
    wait_for_readings(gateway, before + 10)
    taken = list(dict.fromkeys(numbers(gateway)))
    # The ring of the small board holds sixteen: what it gave up is missing, and nothing else.
    assert taken == sorted(taken)
    if board.kind != "arduino":
        assert taken == list(range(len(taken)))


def test_a_loss_of_power_keeps_what_waits_and_uses_no_number_twice(board, gateway):
    board.power_on(gateway.port)
    wait_for_readings(gateway, 3)
    gateway.kill()
    wait_for(lambda: is_saved(board), "readings in flash", poll_s=0.05)
    board.lose_power()
    gateway.start()
    known = len(readings(gateway))
    board.power_on(gateway.port)
    wait_for_readings(gateway, known + 5)
    found = readings(gateway)
    numbers_by_seq = {}
    for reading in found:
        assert numbers_by_seq.setdefault(reading["seq"], reading["n"]) == reading["n"]


def is_saved(board):
    """Whether the flash holds a reading that waits."""
    path = board.flash / ("eeprom" if board.kind == "arduino" else "outbox.jsonl")
    return path.exists() and b'"seq"' in path.read_bytes()


def test_the_twin_sets_the_interval_and_hears_of_it(board, gateway):
    with opened(gateway.port, "operator", version=4) as operator:
        operator.ask((f"twin/{NAME}/reported", 1))
        board.power_on(gateway.port)
        wait_for_readings(gateway, 2)
        operator.deliver(f"twin/{NAME}/set", b'{"interval_s": 3600}')
        (reported,) = operator.take(1)
    assert reported.topic == f"twin/{NAME}/reported"
    assert b"3600" in reported.payload


def test_commands_are_answered(board, gateway):
    with opened(gateway.port, "operator", version=4) as operator:
        operator.ask((f"command/{NAME}/response/+", 1))
        board.power_on(gateway.port)
        wait_for_readings(gateway, 2)
        for request, name in (("r1", "count"), ("r2", "dance")):
            # QoS 0: the first answer may come before an acknowledgement of the second.
            operator.tell(f"command/{NAME}/send/{request}", b'{"name": "%s"}' % name.encode())
        answers = operator.take(2)
    assert [answer.topic.rsplit("/", 1)[1] for answer in answers] == ["r1", "r2"]
    assert b'"status":200' in answers[0].payload.replace(b" ", b"")
    assert b'"status":404' in answers[1].payload.replace(b" ", b"")
