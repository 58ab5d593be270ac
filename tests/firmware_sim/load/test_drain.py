from __future__ import annotations

from firmware_sim.load.drain import Drain, OrderCheck
from firmware_sim.load.options import DrainLoad
from firmware_sim.load.packets import build_ring, device_topic


def test_a_session_gets_all_that_it_missed_in_order(gateway, watched):
    load = DrainLoad(
        port=gateway.port, missed=3_000, publishers=3, window=50, background_hz=500.0, give_up_s=30
    )
    run = Drain(load)
    measured = run.measure(watched)
    run.close()
    assert measured.missed >= 3_000
    assert (measured.delivered, measured.disordered) == (measured.missed, 0)
    assert watched.words == ["measuring", "measured"]


def ring_of(number):
    return build_ring(device_topic(number), window=1, payload_bytes=120, seed=1)


def check_of(*packets, ring):
    check = OrderCheck(ring.packet_bytes, 120, ring.packet_count)
    for one in packets:
        check.take(one)
    return check.disordered


def test_devices_may_come_in_any_order_but_not_their_messages():
    ring, other = ring_of(1), ring_of(2)
    size = ring.packet_bytes
    first, second, third = (ring.encoded[at * size : (at + 1) * size] for at in range(3))
    stranger = other.encoded[:size]
    assert check_of(first + stranger + second, third, ring=ring) == 0
    assert check_of(first + third, second, ring=ring) == 2
    assert check_of(first + first, ring=ring) == 1
    assert check_of(ring.encoded[: ring.packet_count * size], first, ring=ring) == 0
