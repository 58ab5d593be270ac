"""An ack without a commit must show: on a slow disk, a failing one, a full one."""

from __future__ import annotations

import pytest

from tests.faults.hasty_server import HastyServer
from tests.faults.promises import (
    PUBLISHES,
    PromiseBroken,
    check_that_acks_wait_for_the_sync,
    check_that_no_ack_leaves_while,
)
from tests.harness.log_reader import by_topic, read_log
from tests.harness.raw_client import connected

REFUSALS = [("fsync_errno", "EIO"), ("write_errno", "ENOSPC"), ("write_errno", "EIO")]


def test_no_ack_comes_sooner_than_a_sync_takes(gateway_on, disk):
    check_that_acks_wait_for_the_sync(gateway_on, disk)


@pytest.mark.parametrize(("fault", "error"), REFUSALS)
def test_no_ack_leaves_while_the_disk_refuses_and_nothing_is_lost(gateway_on, disk, fault, error):
    check_that_no_ack_leaves_while(gateway_on, disk, fault, error)
    logged = by_topic(read_log(gateway_on.data, "telemetry"))
    assert len(logged) == 3
    for payloads in logged.values():
        assert payloads == list(range(1, PUBLISHES + 1)), "nothing was resent, so nothing repeats"


def test_a_full_disk_leaves_the_rest_of_the_gateway_working(gateway_on, disk):
    disk.set(write_errno="ENOSPC")
    with connected(gateway_on.port, "publisher") as publisher:
        publisher.publish("plant/pump/state", b"1", packet_id=1)
        with connected(gateway_on.port, "newcomer") as newcomer:
            assert newcomer.subscribe(("plant/#", 1)) == b"\x01"
            newcomer.ping()
            disk.heal()
            assert publisher.read_acks(1) == [1]
            assert newcomer.collect(1)[0].payload == b"1"


def test_an_event_reaches_no_subscriber_before_it_is_safe(gateway_on, disk):
    with connected(gateway_on.port, "listener") as listener:
        listener.subscribe(("plant/#", 0))
        disk.set(fsync_errno="EIO")
        with connected(gateway_on.port, "publisher") as publisher:
            publisher.publish("plant/pump/state", b"1", packet_id=1)
            publisher.ping()
            listener.ping()
            assert listener.deliveries == []
            disk.heal()
            assert publisher.read_acks(1) == [1]
        assert listener.collect(1)[0].payload == b"1"


@pytest.fixture
def hasty(disk):
    """A server that acknowledges before it stores."""
    with HastyServer(disk.watched, environment=disk.environment) as server:
        yield server


def test_the_check_of_slow_syncs_sees_a_hasty_server(hasty, disk):
    with pytest.raises(PromiseBroken):
        check_that_acks_wait_for_the_sync(hasty, disk)


@pytest.mark.parametrize(("fault", "error"), REFUSALS)
def test_the_check_of_refusals_sees_a_hasty_server(hasty, disk, fault, error):
    with pytest.raises(PromiseBroken):
        check_that_no_ack_leaves_while(hasty, disk, fault, error)
