from __future__ import annotations

from gateway.devices import Device, DeviceQuota
from gateway.server import DeviceUsage
from tests.gateway.server.registered import pump


async def test_what_a_device_uses_stands_beside_what_it_may(gateway):
    own = await gateway(pump(quota=DeviceQuota(messages_per_s=10, connections_max=2)))
    client = own.joined()
    client.publish("plant/p-7/t", b"x" * 10)
    found = await DeviceUsage(own.server.hub).of("p-7")
    assert (found["connections"], found["connections_max"]) == (1, 2)
    assert (found["messages_per_s"], found["bytes_per_s"], found["beyond"]) == (10, 0, "slow")
    assert (found["messages"], found["bytes"], found["is_waiting"]) == (1, 21, False)


async def test_who_is_not_registered_has_what_everybody_has(gateway):
    own = await gateway(Device("x"))
    found = await DeviceUsage(own.server.hub).of("p-7")
    assert (found["connections"], found["connections_max"], found["messages"]) == (0, 10, 0)


async def test_figures_tell_of_all_devices(gateway):
    own = await gateway(pump(quota=DeviceQuota(messages_per_s=10)), Device("x"))
    own.joined()
    figures = DeviceUsage(own.server.hub).figures()
    assert {name: figure_of() for name, figure_of in figures.items()} == {
        "devices/registered": 2,
        "devices/enrolled": 0,
        "devices/applicants": 0,
        "devices/limited": 1,
    }
