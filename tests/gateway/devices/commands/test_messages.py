from __future__ import annotations

import orjson
import pytest

from gateway.devices.commands.command import Command, Wanted, answered, sent
from gateway.devices.commands.messages import (
    Answer,
    event_payload,
    read_answer,
    rejected_payload,
    request_payload,
    request_topic,
    response_topic,
)

WITHOUT = "an answer without a status from 100 to 599"
COMMAND = Command("c1", "pump-7", Wanted("reboot", {"in": 5}), "console", 1_000)


def test_a_request_says_until_when_its_answer_is_awaited():
    assert request_topic(COMMAND) == "command/pump-7/request/c1"
    assert response_topic(COMMAND) == "command/pump-7/response/c1"
    assert orjson.loads(request_payload(sent(COMMAND, 2_000))) == {
        "name": "reboot",
        "payload": {"in": 5},
        "expires": 32_000,
    }


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        (b'{"status": 200, "result": {"a": 1}}', Answer(200, {"a": 1})),
        (b'{"status": 404}', Answer(404, None)),
        (b"done", Answer(502, "an answer that is not JSON: done")),
        (b"[]", Answer(502, f"{WITHOUT}: []")),
        (b'{"status": true}', Answer(502, WITHOUT + ': {"status": true}')),
        (b'{"status": 7}', Answer(502, WITHOUT + ': {"status": 7}')),
        (
            b"[" * 400 + b"]" * 400,
            Answer(502, f"an answer that is not JSON: {'[' * 400}{']' * 400}"),
        ),
    ],
)
def test_whatever_a_device_sends_is_an_answer(payload, answer):
    assert read_answer(payload) == answer


def test_an_answer_that_is_too_large_is_told_in_short():
    answer = read_answer(b"x" * 70_000)
    assert answer.status == 502
    assert len(answer.result) < 1_100


def test_an_event_says_what_there_is_to_say():
    event = orjson.loads(event_payload(answered(sent(COMMAND, 2), 200, "ok", 9)))
    assert event == {
        "id": "c1",
        "device": "pump-7",
        "name": "reboot",
        "state": "answered",
        "by": "console",
        "created": 1_000,
        "sends": 1,
        "sent": 2,
        "ended": 9,
        "status": 200,
        "result": "ok",
    }
    assert orjson.loads(rejected_payload("pump-7", "c1", "me", "no"))["state"] == "rejected"
