from __future__ import annotations

import pytest

from gateway.clock import ManualClock
from gateway.devices import DeviceTopics, parse_profile
from gateway.events import Origin
from gateway.mqtt import ReasonCode
from gateway.routing import RetainedMessages, Route, Router
from gateway.server import PayloadChecks, ServerOptions
from gateway.server.ingest import Ingest
from gateway.server.payload_checks import PayloadRefused
from gateway.session import Appended, AppendRefused, PublishBatch, SessionState
from gateway.store import partition_of
from tests.gateway.server.conftest import ROUTES, STREAMS, ScriptedStore, turn

HEAD = 'version: 1\nprofile: p\ntopics: ["power/{device}"]\nfields: {t: {max: 9}}\n'
BOTH = parse_profile(HEAD + "undecodable: reject\ninvalid: reject\n")


def check(book, *payloads, topic="power/d"):
    route = Route("telemetry", 0, Origin(topic, "d"))
    PayloadChecks(book).check([route] * len(payloads), payloads)


@pytest.mark.parametrize("payload", [b"\xff", b'{"t": 10}'])
def test_what_the_profile_refuses_is_refused_with_the_reason(payload):
    with pytest.raises(PayloadRefused) as raised:
        check(BOTH, b'{"t": 1}', payload)
    assert raised.value.reason_code == ReasonCode.PAYLOAD_FORMAT_INVALID == 0x99


def test_what_is_right_or_has_no_profile_passes():
    check(BOTH, b'{"t": 1}')
    check(BOTH, b"\xff", topic="other/d")


def test_only_what_says_reject_is_refused():
    check(parse_profile(HEAD + "undecodable: reject\n"), b'{"t": 10}')
    check(parse_profile(HEAD + "invalid: reject\n"), b"\xff")
    check(parse_profile(HEAD), b"\xff")


class Publisher:
    def __init__(self):
        self.state, self.answers, self.permit = SessionState("c", 0), [], None

    def perform(self, answer):
        self.answers.append(answer)


@pytest.mark.spec("MQTT5-4.3.2-4")
async def test_one_wrong_payload_of_a_batch_is_refused_and_the_others_are_stored():
    store = ScriptedStore()
    for spec in STREAMS:
        await store.ensure(spec)
    options = ServerOptions()
    router = Router(ROUTES, DeviceTopics().device_of, partition_of)
    retained = RetainedMessages(options.retained)
    ingest = Ingest(store, router, ManualClock(10**12), retained, options)
    ingest.payload_checks = PayloadChecks(BOTH)
    publisher = Publisher()
    payloads = [b'{"t": 1}', b'{"t": 10}', b'{"t": 2}']
    ids = [bytes([0, number]) for number in (1, 2, 3)]
    batch = PublishBatch([b"power/d"] * 3, payloads, [2] * 3, ids)
    ingest.submit(publisher, publisher.state, batch)
    for _ in range(5):
        await turn()
    refused = [one for one in publisher.answers if isinstance(one, AppendRefused)]
    taken = [one for one in publisher.answers if isinstance(one, Appended)]
    assert [(one.packet_ids, one.reason_code) for one in refused] == [([ids[1]], 0x99)]
    assert "at most 9" in refused[0].reason
    assert [own for one in taken for own in one.packet_ids] == [ids[0], ids[2]]
    assert (ingest.accepted, ingest.refused) == (2, 1)
