"""Reads what a profile says of its devices' quotas, unless the registry says otherwise."""

from __future__ import annotations

from typing import Final, get_args

from gateway.devices.profiles.reading import pick
from gateway.devices.registry import Beyond, DeviceQuota
from gateway.documents import Section

MESSAGES_PER_S_MAX: Final = 10_000_000
BYTES_PER_S_MAX: Final = 100 << 30
CONNECTIONS_MAX: Final = 100_000


def read_quota(section: Section) -> DeviceQuota:
    """How much each device of a profile may publish, and by how many clients at once."""
    beyonds: tuple[Beyond, ...] = get_args(Beyond)
    quota = DeviceQuota()
    if "messages" in section:
        messages = section.integer("messages", least=0, most=MESSAGES_PER_S_MAX)
        quota = DeviceQuota(messages_per_s=messages)
    if "bytes" in section:
        size = section.size_bytes("bytes", least=0, most=BYTES_PER_S_MAX)
        quota = quota.over(DeviceQuota(bytes_per_s=size))
    if "connections" in section:
        connections = section.integer("connections", least=1, most=CONNECTIONS_MAX)
        quota = quota.over(DeviceQuota(connections_max=connections))
    if "beyond" in section:
        quota = quota.over(DeviceQuota(beyond=pick(section, "beyond", beyonds, "slow")))
    section.finish("messages", "bytes", "connections", "beyond")
    return quota
