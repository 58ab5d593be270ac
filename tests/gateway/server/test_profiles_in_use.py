from __future__ import annotations

from gateway.devices import AUDIT_STREAM, DeviceQuota, Role, parse_profile
from gateway.server import ProfilesInUse
from gateway.server.spilling import ClaimLimits
from tests.gateway.server.registered import pump

HEAD = "version: 1\nprofile: pump\n"
NORTH = HEAD + 'topics: ["plant/{device}/{site}/t"]\n'


def in_use(own, text):
    """Let the server go by a profile; returns the book, which tests replace."""
    book = parse_profile(text)
    made = ProfilesInUse(
        own.server, book, lambda one: [*one.templates, "+/{device}/#"], lambda _: ClaimLimits()
    )
    return made, book


async def test_rights_and_quotas_follow_the_profile(gateway):
    roles = {"device": Role(("{topics}",), ("{topics}",))}
    own = await gateway(pump(profile="pump"), roles=roles)
    _, book = in_use(own, NORTH)
    client = own.joined()
    assert client.connection.permit.rights.write == ("plant/p-7/+/t",)
    book.replace(parse_profile(HEAD + 'topics: ["hall/{device}"]\nquota: {messages: 5}\n'))
    assert client.connection.permit.rights.write == ("hall/p-7",)
    assert client.connection.permit.limits == DeviceQuota(messages_per_s=5)
    assert client.connection.quota is not None


async def test_topics_name_their_devices_as_the_profile_says(gateway):
    own = await gateway()
    router = own.server.ingest.router
    _, book = in_use(own, NORTH)
    assert router.routes_of([b"plant/a/b/t"])[0].origin.device == "a"
    book.replace(parse_profile(HEAD + 'topics: ["plant/{site}/{device}/t"]\n'))
    assert router.routes_of([b"plant/a/b/t"])[0].origin.device == "b"


async def test_payloads_are_looked_at_where_a_profile_may_refuse_them(gateway):
    own = await gateway()
    _, book = in_use(own, NORTH)
    assert own.server.ingest.payload_checks is None
    book.replace(parse_profile(NORTH + "undecodable: reject\n"))
    assert own.server.ingest.payload_checks is not None
    book.replace(parse_profile(NORTH))
    assert own.server.ingest.payload_checks is None


async def test_the_audit_tells_of_profiles_that_were_not_taken_over(gateway):
    own = await gateway()
    made, _ = in_use(own, NORTH)
    made.tell_invalid("pump.yaml:1:1: no")
    (event,) = await own.events(AUDIT_STREAM, 1)
    assert (event["event"], event["reason"]) == ("profiles-invalid", "pump.yaml:1:1: no")
