from __future__ import annotations

import pytest

from gateway.devices import Device, DeviceTopics, Rights
from gateway.routing import Router, TopicRefused
from gateway.server.permits import TOPICS_MAX, Permit, Proof, PublishDenied
from gateway.store import partition_of
from tests.gateway.server.conftest import ROUTES


@pytest.fixture
def told():
    return []


@pytest.fixture
def permit(told):
    router = Router(ROUTES, DeviceTopics().device_of, partition_of)
    rights = Rights(("plant/p/#",), ("plant/p/#",))
    return Permit(Device("p"), rights, router, Proof("key"), lambda *what: told.append(what))


def test_a_topic_is_resolved_once_and_a_denial_is_told_once(permit, told):
    first = permit.routes_of([b"plant/p/t", b"plant/p/u"])
    assert permit.routes_of([b"plant/p/t"])[0] is first[0]
    for _ in range(2):
        with pytest.raises(TopicRefused, match="'p' may not publish to 'plant/q/t'"):
            permit.routes_of([b"plant/p/t", b"plant/q/t"])
    assert told == [("publish-denied", "plant/q/t")]


def test_who_invents_topics_does_not_grow_the_table(permit):
    for number in range(3 * TOPICS_MAX):
        permit.routes_of([b"plant/p/%d" % number])
    assert len(permit._routes) <= TOPICS_MAX
    for number in range(100):
        permit.routes_of([b"plant/p/%d/" % number + b"x" * 60_000])
    assert len(permit._routes) < 10


def test_the_partition_is_that_of_the_credentials(permit):
    (route,) = permit.routes_of([b"plant/p/t"])
    assert route.partition == partition_of("p", 3)


def test_other_rights_count_at_once(permit):
    permit.routes_of([b"plant/p/t"])
    permit.renew(Device("p"), Rights(("plant/q/#",)))
    with pytest.raises(TopicRefused):
        permit.routes_of([b"plant/p/t"])
    assert permit.routes_of([b"plant/q/t"])


def test_a_denial_may_end_the_connection(permit):
    permit.closes_on_denial = True
    with pytest.raises(PublishDenied):
        permit.routes_of([b"plant/q/t"])


def test_filters_are_looked_at_without_what_stands_before_them(permit):
    allowed = ["plant/p/#", "$share/g/plant/p/t", "$replay/-1h/plant/p/#"]
    refused = ["$share/g/#", "$replay/@1"]
    assert permit.refused_of(allowed + refused) == refused
