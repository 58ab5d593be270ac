"""What one device uses of what it may, and what is counted of devices over all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.server.hub import Hub
from gateway.server.quotas import within


class DeviceUsage:
    """Answers for a running gateway how things stand with a device's quota."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def of(self, device_id: str) -> dict[str, Any]:
        """The connections and messages of a device, beside what it may have of each.

        A rate of 0 is no limit. Messages are counted where they are limited, by its own quota,
        since it came.
        """
        hub, gate = self._hub, self._hub.gate
        device = gate.registry.get(device_id)
        limits = None if device is None else gate.limits_of(device)
        options = hub.options.quota if limits is None else within(limits, hub.options.quota)
        connections_max = gate.options.connections_per_device_max
        if limits is not None and limits.connections_max is not None:
            connections_max = limits.connections_max
        usage = hub.quotas.usage_of(device_id)
        return {
            "connections": len(gate.connections_of(device_id)),
            "connections_max": connections_max,
            "messages_per_s": options.messages_per_s,
            "bytes_per_s": options.bytes_per_s,
            "beyond": options.beyond,
            **usage._asdict(),
        }

    def figures(self) -> Mapping[str, Callable[[], int]]:
        """The figures of `$SYS` about devices."""
        hub, gate = self._hub, self._hub.gate
        return {
            "devices/registered": lambda: len(gate.registry),
            "devices/enrolled": lambda: gate.enrolment.enrolled,
            "devices/applicants": lambda: len(gate.enrolment.applicants),
            "devices/limited": lambda: hub.quotas.devices,
        }
