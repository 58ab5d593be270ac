from __future__ import annotations

from collections import Counter

import orjson
import pytest

from firmware_sim.services.commands import Commands
from firmware_sim.services.deeds import Restart
from firmware_sim.services.spec import CommandsSpec, TwinSpec
from firmware_sim.services.twin import Twin
from gateway.mqtt import Properties, Publish

CLOCK_MS = 1_000


class Owner:
    """The commands of one device, and what became of the requests."""

    def __init__(self, has_twin=True, **spec):
        self.outcomes = Counter()
        self.commands = Commands(
            CommandsSpec(**spec), "p", 1, lambda _, outcome: self.outcomes.update([outcome])
        )
        self.twin = Twin(TwinSpec(), "p", 2_000, lambda _: None) if has_twin else None

    def ask(self, request_id, message, properties=None):
        packet = Publish(f"command/p/request/{request_id}", properties=properties or Properties())
        return self.commands.hear(request_id, packet, message, self.twin, CLOCK_MS)

    def status(self, request_id, message):
        return orjson.loads(self.ask(request_id, message)[0].payload)["status"]


def test_a_ping_is_answered_on_the_topic_of_its_request():
    told = Owner().ask("7", {"name": "ping"})
    assert [deed.topic for deed in told] == ["command/p/response/7"]
    assert orjson.loads(told[0].payload) == {"status": 200, "result": "pong"}


def test_a_request_that_comes_again_is_answered_again_and_not_obeyed():
    owner = Owner()
    first = owner.ask("7", {"name": "reboot"})
    again = owner.ask("7", {"name": "reboot"})
    assert any(isinstance(deed, Restart) for deed in first)
    assert again == first[:1]
    assert owner.outcomes == {"obeyed": 1, "again": 1}


def test_what_the_flash_forgot_is_obeyed_again():
    owner = Owner(remembers=2)
    for request_id in "1231":
        owner.ask(request_id, {"name": "ping"})
    assert owner.outcomes == {"obeyed": 4}


def test_settings_are_taken_and_answered_with_what_is_in_force():
    owner = Owner()
    told = owner.ask("1", {"name": "set", "payload": {"interval_s": 5}})
    assert orjson.loads(told[0].payload) == {"status": 200, "result": {"interval_s": 5}}
    assert owner.status("2", {"name": "set", "payload": {"speed": 5}}) == 400
    assert owner.status("3", {"name": "set"}) == 400


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"name": "dance"}, 404),
        ({"name": 5}, 400),
        (["ping"], 400),
        (None, 400),
        ({"name": "ping", "expires": CLOCK_MS}, 410),
        ({"name": "ping", "expires": CLOCK_MS + 1}, 200),
        ({"name": "ping", "expires": None}, 200),
    ],
)
def test_what_can_not_be_done_says_why(message, status):
    assert Owner().status("1", message) == status


def test_without_a_twin_nothing_can_be_set():
    assert Owner(has_twin=False).status("1", {"name": "set", "payload": {"interval_s": 1}}) == 404


def test_a_share_of_the_commands_fails_the_same_ones_every_time():
    statuses = [
        [owner.status(str(number), {"name": "ping"}) for number in range(200)]
        for owner in (Owner(fails=0.3), Owner(fails=0.3))
    ]
    assert statuses[0] == statuses[1]
    assert 30 < statuses[0].count(500) < 90


def test_a_request_says_where_it_wants_its_answer():
    wish = Properties(response_topic="answers/here", correlation_data=b"x7")
    told = Owner().ask("7", {"name": "ping"}, wish)[0]
    assert told.topic == "answers/here"
    assert told.properties == Properties(correlation_data=b"x7")


@pytest.mark.parametrize("request_id", ["", "x" * 201])
def test_a_request_without_a_usable_id_is_not_answered(request_id):
    assert Owner().ask(request_id, {"name": "ping"}) == []
