"""Reads the section `ota:`: how fast firmware goes out to devices."""

from __future__ import annotations

from gateway.devices import OtaOptions
from gateway.documents import Section

RATE_BYTES_LEAST = 1 << 10
RATE_BYTES_MOST = 1 << 30


def read_ota(top: Section, default: OtaOptions) -> OtaOptions:
    """Bytes a second, to each device and to all of them."""
    section = top.section("ota")
    if section is None:
        return default
    limits = {"least": RATE_BYTES_LEAST, "most": RATE_BYTES_MOST}
    options = OtaOptions(
        bytes_per_s=section.size_bytes("rate", default.bytes_per_s, **limits),
        device_bytes_per_s=section.size_bytes("device_rate", default.device_bytes_per_s, **limits),
    )
    section.finish()
    return options
